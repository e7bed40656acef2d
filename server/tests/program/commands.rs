//! Runs of the client commands, for the tests of `sub`, `pub`, `history` and `presence`.

use crate::run::{Run, hubcast};
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Output, Stdio};

/// A client command for this server.
pub(crate) fn client(server: &Run, words: &[&str]) -> Command {
    let mut command = hubcast(words);
    command.env("HUBCAST_URL", format!("ws://{}/socket", server.address()));
    command
}

/// Runs a command with this standard input to its end. Returns its exit code, standard output and standard error.
pub(crate) fn outcome(command: &mut Command, input: &str) -> (Option<i32>, String, String) {
    let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
    // A command that reads nothing may have closed it.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    texts(child.wait_with_output().unwrap())
}

fn texts(Output { status, stdout, stderr }: Output) -> (Option<i32>, String, String) {
    (status.code(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}

/// A running `hubcast sub`.
pub(crate) struct Sub {
    child: Child,
    notes: BufReader<std::process::ChildStderr>,
}

impl Sub {
    /// Starts it, and waits until the server has confirmed its subscription.
    #[track_caller]
    pub(crate) fn start(command: &mut Command) -> Self {
        let mut child = command.arg("-v").spawn().unwrap();
        let mut notes = BufReader::new(child.stderr.take().unwrap());
        let mut line = String::new();
        while !line.contains("subscribed to") {
            line.clear();
            assert_ne!(notes.read_line(&mut line).unwrap(), 0, "it ended before it was subscribed");
        }
        Self { child, notes }
    }

    /// The process.
    pub(crate) fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    /// Sends a signal, such as `INT`.
    pub(crate) fn signal(&self, name: &str) {
        signal(&self.child, name);
    }

    /// Waits for the end. Returns the exit code, the standard output and the rest of standard error.
    pub(crate) fn end(mut self) -> (Option<i32>, String, String) {
        let mut rest = String::new();
        std::io::Read::read_to_string(&mut self.notes, &mut rest).unwrap();
        let (code, output, _) = texts(self.child.wait_with_output().unwrap());
        (code, output, rest)
    }
}

/// Sends a signal to a process, such as `INT`.
pub(crate) fn signal(child: &Child, name: &str) {
    let sent = Command::new("kill").args([&format!("-{name}"), &child.id().to_string()]).status().unwrap();
    assert!(sent.success());
}
