//! `hubcast pub`: what it publishes, what it refuses, and its exit codes.

use crate::commands::{Sub, client, outcome, signal};
use crate::run::{Run, file, hubcast};
use std::fmt::Write as _;
use std::io::Write as _;
use std::process::Stdio;

#[test]
fn each_line_of_a_file_is_published_in_order() {
    let server = Run::start(&[]);
    let sub = Sub::start(&mut client(&server, &["sub", "world", "-n", "1000"]));
    let lines = (0..1000).fold(String::new(), |mut lines, n| {
        let _ = writeln!(lines, "{n}");
        lines
    });
    let (code, stdout, stderr) = outcome(&mut client(&server, &["pub", "world"]), &lines);
    assert_eq!((code, stdout.as_str(), stderr.as_str()), (Some(0), "", ""));
    assert_eq!(sub.end().1, lines);
}

#[test]
fn a_run_with_keys_can_be_repeated() {
    let server = Run::start(&[]);
    let sub = Sub::start(&mut client(&server, &["sub", "world", "-n", "4"]));
    for lines in ["1\n2\n", "1\n2\n3\n"] {
        assert_eq!(outcome(&mut client(&server, &["pub", "world", "--key-prefix", "p"]), lines).0, Some(0));
    }
    assert_eq!(outcome(&mut client(&server, &["pub", "world", "end"]), "").0, Some(0));
    assert_eq!(sub.end().1, "1\n2\n3\nend\n");
}

#[test]
fn what_cannot_be_published_is_named_with_its_line() {
    let server = Run::start(&[]);
    let (code, _, stderr) = outcome(&mut client(&server, &["pub", "world", "--json"]), "1\n{\n");
    assert_eq!(code, Some(1));
    assert!(stderr.contains("line 2: this is no JSON"), "{stderr}");
    let long = format!("1\n{}\n3\n", "x".repeat(70_000));
    let (code, _, stderr) = outcome(&mut client(&server, &["pub", "world"]), &long);
    assert_eq!(code, Some(1));
    assert!(stderr.contains("line 2: the request has"), "{stderr}");
    let mut child = client(&server, &["pub", "world"]).stdin(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"1\n\xff\n").unwrap();
    let output = child.wait_with_output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.code() == Some(1) && stderr.contains("line 2: it is not UTF-8"), "{stderr}");
}

#[test]
fn a_missing_grant_and_a_missing_server_have_their_exit_codes() {
    let config = file("pub-grants.toml", "[anonymous]\nsubscribe = [\">\"]\n");
    let server = Run::start(&["--config", config.to_str().unwrap()]);
    for words in [&["pub", "world", "hi"][..], &["pub", "world", "hi", "--key", "k"]] {
        let (code, _, stderr) = outcome(&mut client(&server, words), "");
        assert_eq!(code, Some(4), "{stderr}");
    }
    let words = ["pub", "world", "hi", "-s", "ws://127.0.0.1:1/socket", "--connect-timeout", "200ms"];
    assert_eq!(outcome(&mut hubcast(&words), "").0, Some(3));
}

#[test]
fn an_interrupted_run_has_its_messages_confirmed() {
    let server = Run::start(&[]);
    let sub = Sub::start(&mut client(&server, &["sub", "world", "-n", "3"]));
    let mut child = client(&server, &["pub", "world"]).stdin(Stdio::piped()).spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    input.write_all(b"1\n2\n3\n").unwrap();
    assert_eq!(sub.end().1, "1\n2\n3\n");
    signal(&child, "INT");
    let output = child.wait_with_output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!((output.status.code(), stderr.as_str()), (Some(130), ""));
    drop(input);
}
