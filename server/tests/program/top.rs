//! `hubcast top`: what it prints, its exit codes, and that it gives the terminal back.

use crate::commands::{client, outcome, signal};
use crate::run::{Run, file, hubcast};
use rustix::fd::OwnedFd;
use rustix::pty::{OpenptFlags, ioctl_tiocgptpeer, openpt, unlockpt};
use rustix::termios::{LocalModes, Winsize, tcgetattr, tcsetwinsize};
use std::fs::File;
use std::io::{Read, Write};
use std::process::Child;

const KEY: &str = "hc_canary_0123456789abcdefghijklmnopqrstuvwxyzABCDEFE";

fn server() -> Run {
    let config = file(
        "top.toml",
        &format!("[[api_keys]]\nkey = \"{KEY}\"\nmanage = true\n[anonymous]\nsubscribe = [\">\"]\npublish = [\">\"]\n"),
    );
    Run::start(&["--config", config.to_str().unwrap()])
}

#[test]
fn it_prints_what_the_server_does() {
    let server = server();
    let sub = crate::commands::Sub::start(&mut client(&server, &["sub", "a\u{1b}[2J", "-n", "2"]));
    for _ in 0..2 {
        assert_eq!(outcome(&mut client(&server, &["pub", "a\u{1b}[2J", "hi"]), "").0, Some(0));
    }
    let words = ["top", "--once", "-i", "100ms"];
    let (code, output, stderr) = outcome(client(&server, &words).env("HUBCAST_API_KEY", KEY), "");
    assert_eq!((code, stderr.as_str()), (Some(0), ""));
    assert!(output.contains("publications 0.0 a second, 2 in all"), "{output}");
    assert!(output.contains("a\\u001b[2J\n") && !output.contains('\u{1b}'), "{output}");
    assert_eq!(sub.end().0, Some(0));
}

#[test]
fn a_wrong_key_and_a_missing_server_have_their_exit_codes_and_no_key_comes_out() {
    let server = server();
    let wrong = KEY.replace("FE", "FY");
    for key in [None, Some(wrong.as_str())] {
        let mut top = client(&server, &["top", "--once", "-v"]);
        top.envs(key.map(|key| ("HUBCAST_API_KEY", key)));
        let (code, output, stderr) = outcome(&mut top, "");
        assert_eq!((code, output.as_str()), (Some(4), ""), "{stderr}");
        assert!(stderr.contains("401") && !stderr.contains(&wrong[10..]), "{stderr}");
    }
    let (_, _, stderr) = outcome(&mut client(&server, &["top", "--once", "--api-key", &wrong]), "");
    assert!(!stderr.contains(&wrong[10..]) && stderr.contains("--api-key"), "{stderr}");
    let words = ["top", "--once", "-s", "ws://127.0.0.1:1/socket", "--connect-timeout", "300ms"];
    assert_eq!(outcome(&mut hubcast(&words), "").0, Some(3));
    // Without a terminal there is nothing to draw on.
    assert_eq!(outcome(&mut client(&server, &["top"]), "").0, Some(2));
    assert_eq!(outcome(&mut client(&server, &["top", "--once", "-i", "1ms"]), "").0, Some(2));
}

/// A program on a terminal of its own.
struct OnTerminal {
    child: Child,
    terminal: File,
    /// The program's end, which stays open, so that its settings can be read.
    end: OwnedFd,
    shown: String,
}

impl OnTerminal {
    fn start(server: &Run, words: &[&str], key: &str) -> Self {
        let terminal = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        unlockpt(&terminal).unwrap();
        let end = ioctl_tiocgptpeer(&terminal, OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        tcsetwinsize(&end, Winsize { ws_row: 24, ws_col: 80, ws_xpixel: 0, ws_ypixel: 0 }).unwrap();
        let mut top = client(server, words);
        top.env("HUBCAST_API_KEY", key).env("TERM", "xterm-256color");
        let child = top.stdin(end.try_clone().unwrap()).stdout(end.try_clone().unwrap()).spawn().unwrap();
        Self { child, terminal: terminal.into(), end, shown: String::new() }
    }

    /// Reads until this text has been written.
    #[track_caller]
    fn shows(&mut self, text: &str) {
        while !self.shown.contains(text) {
            let mut part = [0; 4096];
            let read = self.terminal.read(&mut part).unwrap();
            assert_ne!(read, 0, "{}", self.shown);
            self.shown.push_str(&String::from_utf8_lossy(&part[..read]));
        }
    }

    fn has_lines(&self) -> bool {
        tcgetattr(&self.end).unwrap().local_modes.contains(LocalModes::ICANON | LocalModes::ECHO)
    }

    /// Waits for the end, checks that the terminal is as before, and returns the exit code.
    #[track_caller]
    fn end(mut self) -> Option<i32> {
        self.shows("\u{1b}[?1049l");
        self.shows("\u{1b}[?25h");
        let code = self.child.wait().unwrap().code();
        assert!(self.has_lines(), "the terminal reads lines again");
        code
    }
}

#[test]
fn keys_and_signals_end_it_and_the_terminal_is_as_before() {
    let server = server();
    for (end, expected) in [("q", 0), ("\u{3}", 130), ("TERM", 143)] {
        let mut top = OnTerminal::start(&server, &["top", "-i", "100ms"], KEY);
        assert!(top.has_lines());
        top.shows("\u{1b}[?1049h");
        top.shows("nobody");
        assert!(!top.has_lines());
        match end {
            "TERM" => signal(&top.child, "TERM"),
            key => top.terminal.write_all(key.as_bytes()).unwrap(),
        }
        assert_eq!(top.end(), Some(expected), "{end}");
    }
}

#[test]
fn a_refused_key_is_shown_and_asked_with_again() {
    let server = server();
    let mut top = OnTerminal::start(&server, &["top", "-i", "100ms"], &KEY.replace("FE", "FY"));
    top.shows("401");
    assert!(top.child.try_wait().unwrap().is_none());
    top.terminal.write_all(b"q").unwrap();
    assert_eq!(top.end(), Some(0));
}
