//! `hubcast sub`: what it prints, where it goes on, and its exit codes.

use crate::commands::{Sub, client, outcome};
use crate::run::{Run, file, folder, full_pipe, hubcast};
use rustix::pty::{OpenptFlags, ioctl_tiocgptpeer, openpt, unlockpt};
use serde_json::Value;
use std::fs::File;
use std::io::Read;
use std::time::{Duration, Instant};

#[track_caller]
fn publish(server: &Run, topic: &str, lines: &str) {
    let (code, _, stderr) = outcome(&mut client(server, &["pub", topic]), lines);
    assert_eq!((code, stderr.as_str()), (Some(0), ""));
}

#[test]
fn it_ends_after_so_many_messages() {
    let server = Run::start(&[]);
    let sub = Sub::start(&mut client(&server, &["sub", "world", "-n", "2"]));
    publish(&server, "world", "one\n\nthree\n");
    let (code, output, _) = sub.end();
    assert_eq!((code, output.as_str()), (Some(0), "one\n\n"));
}

#[test]
fn it_ends_when_its_reader_is_gone_although_nothing_comes() {
    let server = Run::start(&["--topics", "[{match = \"room\", presence = true}]"]);
    let mut sub = Sub::start(&mut client(&server, &["sub", "room"]));
    drop(sub.child().stdout.take());
    let (code, _, notes) = sub.end();
    assert_eq!(code, Some(0));
    // Only the log that this test asks for, and no complaint.
    assert!(notes.lines().all(|line| line.contains("hubcast_client")), "{notes}");
    let mut watch = client(&server, &["presence", "room", "--watch"]).spawn().unwrap();
    drop(watch.stdout.take());
    assert_eq!(watch.wait_with_output().unwrap().status.code(), Some(0));
}

#[test]
fn silence_is_told_by_the_exit_code() {
    let server = Run::start(&[]);
    for limit in ["--wait", "--timeout"] {
        let (code, output, _) = outcome(&mut client(&server, &["sub", "world", limit, "50ms"]), "");
        assert_eq!((code, output.as_str()), (Some(5), ""), "{limit}");
    }
    let sub = Sub::start(&mut client(&server, &["sub", "world", "--wait", "2s"]));
    publish(&server, "world", "one\n");
    assert_eq!(sub.end().0, Some(0));
}

#[test]
fn no_server_is_told_in_time() {
    let words = ["sub", "world", "-s", "ws://127.0.0.1:1/socket", "--connect-timeout", "300ms"];
    let began = Instant::now();
    let (code, _, stderr) = outcome(&mut hubcast(&words), "");
    assert_eq!(code, Some(3), "{stderr}");
    assert!(began.elapsed() < Duration::from_secs(5));
}

#[test]
fn wrong_usage_is_told() {
    let server = Run::start(&[]);
    for words in [
        &["sub"][..],
        &["sub", "a", "b", "--since", "e:1"],
        &["sub", "-p", "a.>", "--last", "1"],
        &["sub", "-p", "a>"],
        &["sub", "a", "-s", "127.0.0.1:8080"],
        &["sub", "a", "--wait", "0s"],
    ] {
        assert_eq!(outcome(&mut client(&server, words), "").0, Some(2), "{words:?}");
    }
}

#[test]
fn a_wrong_token_and_a_missing_grant_have_their_exit_code_and_no_token_comes_out() {
    let text = "[tokens]\nkeys = [{ secret = \"a secret of the tests that is long enough\" }]\n[anonymous]\nsubscribe = [\"open\"]\n";
    let config = file("sub-tokens.toml", text);
    let server = Run::start(&["--config", config.to_str().unwrap()]);
    let token = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhZGEifQ.c2lnbmF0dXJlLWNhbmFyeS1zaWduYXR1cmU";
    let token_file = file("sub-token", token);
    let by_file = ["sub", "open", "-v", "--token-file", token_file.to_str().unwrap()];
    for (words, variable) in
        [(&["sub", "open", "-v", "--token", token][..], ""), (&["sub", "open", "-v"], token), (&by_file, "")]
    {
        let (code, stdout, stderr) = outcome(client(&server, words).env("HUBCAST_TOKEN", variable), "");
        assert_eq!(code, Some(4), "{stderr}");
        assert!(!stderr.contains("canary") && !stderr.contains(&token[30..]) && stdout.is_empty(), "{stderr}");
    }
    let (code, _, stderr) = outcome(&mut client(&server, &["sub", "closed"]), "");
    assert_eq!(code, Some(4), "{stderr}");
}

#[test]
fn a_reader_that_has_enough_is_no_failure() {
    let server = Run::start(&[]);
    let mut sub = Sub::start(&mut client(&server, &["sub", "world"]));
    let mut first = [0; 4];
    let mut output = sub.child().stdout.take().unwrap();
    publish(&server, "world", "one\n");
    output.read_exact(&mut first).unwrap();
    drop(output);
    publish(&server, "world", "two\n");
    let (code, _, stderr) = sub.end();
    assert_eq!(code, Some(0), "{stderr}");
    assert!(!stderr.contains("error") && !stderr.contains("panicked"), "{stderr}");
}

#[test]
fn a_signal_has_its_exit_code() {
    let server = Run::start(&[]);
    for (name, expected) in [("INT", 130), ("TERM", 143)] {
        let sub = Sub::start(&mut client(&server, &["sub", "world"]));
        sub.signal(name);
        assert_eq!(sub.end().0, Some(expected), "{name}");
    }
}

#[test]
fn a_second_run_goes_on_where_the_first_one_ended() {
    let server = Run::start(&[]);
    let path = folder("resume.json");
    let words = |count| ["sub", "world", "--resume", path.to_str().unwrap(), "-n", count];
    let sub = Sub::start(&mut client(&server, &words("2")));
    publish(&server, "world", "1\n2\n3\n4\n5\n");
    assert_eq!(sub.end().1, "1\n2\n");
    let (code, output, _) = outcome(&mut client(&server, &words("1")), "");
    assert_eq!((code, output.as_str()), (Some(0), "3\n"));
    let sub = Sub::start(&mut client(&server, &words("4")));
    publish(&server, "world", "6\n7\n");
    assert_eq!(sub.end().1, "4\n5\n6\n7\n");
}

#[test]
fn events_are_json_lines() {
    let server = Run::start(&[]);
    let sub = Sub::start(&mut client(&server, &["sub", "-p", "a.>", "--json", "-n", "2"]));
    let (code, _, _) = outcome(&mut client(&server, &["pub", "a.b", "--json", "--whole"]), "{\"x\":\n1.00}");
    assert_eq!(code, Some(0));
    publish(&server, "a.c", "text\n");
    let (_, output, _) = sub.end();
    let events: Vec<Value> = output.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(events.len(), 2, "{output}");
    assert!(output.contains("\"message\":{\"x\": 1.00}"), "{output}");
    assert_eq!(
        (&events[1]["event"], &events[1]["topic"], &events[1]["message"]),
        (&"message".into(), &"a.c".into(), &"text".into())
    );
}

#[test]
fn a_message_cannot_steer_the_terminal() {
    let server = Run::start(&[]);
    let terminal = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    unlockpt(&terminal).unwrap();
    let end = ioctl_tiocgptpeer(&terminal, OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    let mut sub = client(&server, &["sub", "world", "--topics", "-n", "1", "--color", "never"]);
    let sub = Sub::start(sub.stdout(end));
    let hostile = "a\u{1b}]0;title\u{7}\u{9b}2J\r\u{8}\u{7f}\u{202e}\u{2066}z";
    publish(&server, "world", hostile);
    let mut shown = vec![0; 4096];
    let read = File::from(terminal).read(&mut shown).unwrap();
    let shown = String::from_utf8(shown[..read].to_vec()).unwrap();
    assert_eq!(shown, "world\ta\\u001b]0;title\\u0007\\u009b2J\\r\\u0008\\u007f\\u202e\\u2066z\r\n");
    assert_eq!(sub.end().0, Some(0));
}

#[test]
fn a_second_signal_ends_it_although_nobody_reads_its_output() {
    let server = Run::start(&[]);
    let mut sub = Sub::start(client(&server, &["sub", "world"]).stdout(full_pipe_end()));
    publish(&server, "world", "one\n");
    sub.signal("INT");
    // The first one may be pending still: a signal that comes twice at once counts once.
    while sub.child().try_wait().unwrap().is_none() {
        sub.signal("INT");
    }
    assert_eq!(sub.end().0, Some(130));
}

/// The writing end of a full pipe that is not read. Its reading end stays open for as long as the tests run.
fn full_pipe_end() -> std::io::PipeWriter {
    let (writer, reader) = full_pipe();
    std::mem::forget(reader);
    writer
}
