//! The README's examples on the real program: the tests type what the README says to type, and compare the output with
//! what the README shows.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use hyper_tungstenite::tungstenite::{ClientRequestBuilder, Message, client};
use std::fs;
use std::io::{BufRead, BufReader, Lines};
use std::iter;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

const README: &str = include_str!("../../README.md");
/// The address of the server in the README. The tests replace the real address by it.
const SHOWN: &str = "127.0.0.1:8080";

/// The console examples of the README whose first command begins with `command`: the rest of the command line, and all
/// lines after it.
fn examples(command: &str) -> Vec<(&'static str, Vec<&'static str>)> {
    let blocks = README.split("```console\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    let matching = blocks.filter_map(|block| block.strip_prefix("$ ")?.strip_prefix(command)?.split_once('\n'));
    matching.map(|(rest, lines)| (rest.trim(), lines.lines().collect())).collect()
}

/// A server on a free port. It is killed when this is dropped.
struct Running {
    child: Child,
    address: String,
    first_line: String,
    /// The standard output after its first line.
    output: Lines<BufReader<ChildStdout>>,
}

impl Running {
    /// Starts a server and reads the line that says where it listens.
    fn start() -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hubcast"));
        command.env_clear().args(["--listen", "127.0.0.1:0", "--log-level", "off"]).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap()).lines();
        let first_line = output.next().unwrap().unwrap();
        let address = first_line.split("ws://").nth(1).unwrap().strip_suffix("/socket").unwrap().to_owned();
        Self { child, address, first_line, output }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Plays a session of the README on one connection. Sends each line that begins with `> `, and compares the next event
/// with each line that begins with `< `. The ids and epochs of the README are replaced by those of this server.
fn play(server: &Running, subprotocol: Option<&str>, session: &[&str]) {
    let stream = TcpStream::connect(&server.address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let mut request = ClientRequestBuilder::new(format!("ws://{}/socket", server.address).parse().unwrap());
    if let Some(subprotocol) = subprotocol {
        request = request.with_sub_protocol(subprotocol);
    }
    let (mut socket, _) = client(request, stream).unwrap();
    let mut names: Vec<(&str, String)> = Vec::new();
    let own = |names: &[(&str, String)], text: &str| {
        names.iter().fold(text.to_owned(), |text, (shown, real)| text.replace(shown, real))
    };
    for line in session {
        if let Some(typed) = line.strip_prefix("> ") {
            // Readers paste this line. It must not contain an id or an epoch, because their server has others.
            assert_eq!(own(&names, typed), typed);
            socket.send(Message::text(typed)).unwrap();
        } else if let Some(shown) = line.strip_prefix("< ") {
            let heard = socket.read().unwrap_or_else(|error| panic!("{error} instead of {shown}")).into_text().unwrap();
            for name in [id_in, epoch_in] {
                if let (Some(shown), Some(real)) = (name(shown), name(&heard)) {
                    names.push((shown, real.to_owned()));
                }
            }
            assert_eq!(heard.as_str(), own(&names, shown));
        }
    }
}

/// The first UUID in an event.
fn id_in(welcome: &str) -> Option<&str> {
    let is_id = |word: &&str| word.len() == 36 && word.parse::<uuid::Uuid>().is_ok();
    welcome.split([' ', '"']).find(is_id)
}

/// The epoch in an event.
fn epoch_in(event: &str) -> Option<&str> {
    event.split_once("\"epoch\":\"")?.1.split('"').next()
}

#[test]
fn the_program_says_what_the_readme_shows() {
    let (_, shown) = examples("cargo run --release").remove(0);
    let mut server = Running::start();
    let rest = server.output.by_ref().take(shown.len() - 1).map(Result::unwrap);
    let said = iter::once(server.first_line.clone()).chain(rest);
    assert_eq!(said.map(|line| line.replace(&server.address, SHOWN)).collect::<Vec<_>>(), shown);
}

#[test]
fn the_sessions_of_the_readme_go_as_shown() {
    let server = Running::start();
    let sessions = examples("npx wscat -c ws://127.0.0.1:8080/socket");
    assert_eq!(sessions.len(), 2);
    for (options, session) in sessions {
        assert!(session.iter().filter(|line| line.starts_with("< ")).count() > 3, "{session:?}");
        play(&server, options.strip_prefix("-s "), &session);
    }
}

#[test]
fn the_configuration_of_the_readme_comes_out_as_shown() {
    let (file, lines) = examples("cat ").remove(0);
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("readme");
    fs::create_dir_all(&folder).unwrap();
    let (settings, listing) = lines.split_at(lines.iter().position(|line| line.starts_with("$ ")).unwrap());
    fs::write(folder.join(file), settings.join("\n")).unwrap();
    let programs = Path::new(env!("CARGO_BIN_EXE_hubcast")).parent().unwrap();
    let command = listing[0].strip_prefix("$ ").unwrap();
    let output =
        Command::new("/bin/sh").env_clear().env("PATH", programs).current_dir(&folder).args(["-c", command]).output();
    let output = String::from_utf8(output.unwrap().stdout).unwrap();
    for shown in &listing[1..] {
        assert!(output.lines().any(|line| line == *shown), "{shown:?} is not in\n{output}");
    }
}

#[test]
fn the_rules_of_the_readme_are_a_configuration() {
    let (rules, _) = README.split_once("```toml\n").unwrap().1.split_once("```").unwrap();
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("readme_rules.toml");
    fs::write(&path, rules).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_hubcast"));
    let output = command.env_clear().args(["check-config", "--config"]).arg(path).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
