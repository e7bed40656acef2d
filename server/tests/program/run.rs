//! One run of the program: starting it, reading its output, sending it signals, and waiting for its end.

use std::fs;
use std::io::{BufRead, BufReader, PipeReader, PipeWriter, Read, Write, pipe};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, ChildStdout, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

/// The program with these arguments, with an empty environment and no standard input. Its two outputs are pipes.
pub(crate) fn hubcast(words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hubcast"));
    command.env_clear().args(words).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// The path of a test's folder. An old folder of this name is removed; the new one does not exist yet.
pub(crate) fn folder(name: &str) -> PathBuf {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("program").join(name);
    let _ = fs::remove_dir_all(&path);
    path
}

/// Writes a file with this name and text, and returns its path.
pub(crate) fn file(name: &str, text: &str) -> PathBuf {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("program").join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, text).unwrap();
    path
}

/// A running server. It is killed when this is dropped, also when the test fails.
pub(crate) struct Run {
    child: Child,
    /// The standard error of the server; `None` if this does not read it.
    log: Option<BufReader<ChildStderr>>,
    /// The standard output of the server after its first line; `None` if this does not read it.
    output: Option<BufReader<ChildStdout>>,
    /// The line that says where the server listens; empty if this does not read the output.
    first_line: String,
    address: SocketAddr,
}

impl Run {
    /// Starts a server on a free port of 127.0.0.1 and waits until it listens.
    pub(crate) fn start(words: &[&str]) -> Self {
        Self::of(hubcast(&["--listen", "127.0.0.1:0", "--drain-spread", "0s"]).args(words))
    }

    /// Starts a server with a state folder and waits until it listens.
    pub(crate) fn with_state(folder: &Path) -> Self {
        Self::start(&["--state-dir", folder.to_str().unwrap()])
    }

    /// Starts the server of a command and waits until it listens. The standard output must be a pipe.
    #[track_caller]
    pub(crate) fn of(command: &mut Command) -> Self {
        let mut child = command.spawn().unwrap();
        let log = child.stderr.take().map(BufReader::new);
        let (mut output, mut first_line) = (BufReader::new(child.stdout.take().unwrap()), String::new());
        output.read_line(&mut first_line).unwrap();
        let address = first_line.split("://").nth(1).and_then(|rest| rest.split("/socket").next());
        let address = address.unwrap_or_else(|| panic!("not a line that says where it listens: {first_line:?}"));
        Self { child, log, output: Some(output), address: address.parse().unwrap(), first_line }
    }

    /// A server that listens on this address already. Its log and output are not read.
    pub(crate) fn started(child: Child, address: SocketAddr) -> Self {
        Self { child, log: None, output: None, first_line: String::new(), address }
    }

    /// The number of its process.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// The address on which the server listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// The line that says where the server listens.
    pub(crate) fn first_line(&self) -> &str {
        &self.first_line
    }

    /// Reads the standard output after its first line, until the server closes it.
    pub(crate) fn rest_of_output(&mut self) -> String {
        let mut rest = String::new();
        self.output.as_mut().unwrap().read_to_string(&mut rest).unwrap();
        rest
    }

    /// Sends a signal to the server, such as `TERM`.
    pub(crate) fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([&format!("-{name}"), &self.child.id().to_string()]).status().unwrap();
        assert!(sent.success());
    }

    /// Waits for a line of the log that contains `part`. Returns the log from where the last read ended to this line.
    #[track_caller]
    pub(crate) fn logs(&mut self, part: &str) -> String {
        let log = self.log.as_mut().unwrap();
        let (mut read, mut begin) = (String::new(), 0);
        while !read[begin..].contains(part) {
            begin = read.len();
            assert_ne!(log.read_line(&mut read).unwrap(), 0, "the log ended without {part}: {read}");
        }
        read
    }

    /// Closes the reading end of the log. From now on, each write of the server to its log fails.
    pub(crate) fn closes_log(&mut self) {
        self.log = None;
    }

    /// Waits until the server ends, at most `DEADLINE`, and returns its exit code. Does not read the log.
    #[track_caller]
    pub(crate) fn exit_code(mut self) -> Option<i32> {
        let begun = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code();
            }
            assert!(begun.elapsed() < DEADLINE, "the server ends when it is asked to");
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// Stops the server with SIGTERM, checks that its exit code is 0, and returns the rest of its log.
    #[track_caller]
    pub(crate) fn stop(self) -> String {
        self.signal("TERM");
        let (code, log) = self.end();
        assert_eq!(code, Some(0), "{log}");
        log
    }

    /// Kills the server with SIGKILL.
    pub(crate) fn crash(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Waits until the server ends, at most `DEADLINE`. Returns its exit code and the rest of its log.
    #[track_caller]
    pub(crate) fn end(mut self) -> (Option<i32>, String) {
        let (mut log, (read, rest_of_log)) = (self.log.take().unwrap(), mpsc::channel());
        thread::spawn(move || {
            let mut rest = String::new();
            log.read_to_string(&mut rest).unwrap();
            // The receiver is gone if the test has failed.
            let _ = read.send(rest);
        });
        let rest = rest_of_log.recv_timeout(DEADLINE).expect("the server ends when it is asked to");
        (self.child.wait().unwrap().code(), rest)
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A full pipe: its writing end and its reading end. It holds 64 KiB, and the caller reads nothing from it.
pub(crate) fn full_pipe() -> (PipeWriter, PipeReader) {
    let (reader, mut writer) = pipe().unwrap();
    writer.write_all(&[b'.'; 64 * 1024]).unwrap();
    (writer, reader)
}

/// The longest wait for the end of a server. A server that does not end fails its test and does not block it.
const DEADLINE: Duration = Duration::from_secs(30);
