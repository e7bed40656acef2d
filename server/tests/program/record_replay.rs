//! `hubcast record` and `hubcast replay`: what is recorded comes again, in its order and to the letter.

use crate::commands::{Sub, client, outcome};
use crate::run::{Run, file};
use serde_json::Value;
use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// A line of a recording with this time in milliseconds.
fn line(at_ms: u64, topic: &str, message: &str) -> String {
    let at_us = at_ms * 1000;
    format!("{{\"at_us\":{at_us},\"event\":\"message\",\"topic\":\"{topic}\",\"message\":{message}}}\n")
}

/// Writes a recording and returns its path.
fn recording(name: &str, lines: &str) -> String {
    let header = "{\"recording\":1,\"start\":\"2026-11-26T20:00:00.000Z\",\"server\":\"ws://a.example/socket\"}\n";
    file(name, &format!("{header}{lines}")).to_str().unwrap().to_owned()
}

/// The path of a file that does not exist yet.
fn nothing_at(name: &str) -> PathBuf {
    let path = file(name, "");
    fs::remove_file(&path).unwrap();
    path
}

#[track_caller]
fn publish(server: &Run, words: &[&str], input: &str) {
    assert_eq!(outcome(&mut client(server, &[&["pub"], words].concat()), input).0, Some(0));
}

#[test]
fn a_recording_that_does_not_fit_is_not_called_whole() {
    let server = Run::start(&[]);
    let path = nothing_at("cut.jsonl");
    // A file of 8 KiB at most stands for a disk that becomes full.
    let script = "trap '' XFSZ; ulimit -f 8; exec \"$0\" \"$@\"";
    let mut limited = Command::new("bash");
    limited
        .env("HUBCAST_URL", format!("ws://{}/socket", server.address()))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    limited.args(["-c", script, env!("CARGO_BIN_EXE_hubcast"), "record", "many", "-o"]).arg(&path);
    let record = Sub::start(&mut limited);
    publish(&server, &["many"], &"a message\n".repeat(1_000));
    let (code, _, notes) = record.end();
    assert_eq!(code, Some(1), "{notes}");
    assert!(notes.contains("cannot write to") && !notes.contains("are recorded"), "{notes}");
    // What was written before is a recording.
    let replayed = outcome(&mut client(&server, &["replay", path.to_str().unwrap(), "--speed", "max"]), "");
    assert!(replayed.2.contains("this is no line of a recording") || replayed.0 == Some(0), "{replayed:?}");
}

#[test]
fn what_is_recorded_comes_again_to_the_letter() {
    let server = Run::start(&[]);
    let path = nothing_at("whole.jsonl");
    let path = path.to_str().unwrap();
    let words = ["record", "a.b", "-p", "c.>", "-o", path, "-n", "3"];
    let record = Sub::start(
        client(&server, &words).env("HUBCAST_URL", format!("ws://u:canary@{}/socket?token=canary", server.address())),
    );
    publish(&server, &["a.b", "--json", "--whole"], "{\"x\":\n1.000000000000000000001}");
    publish(&server, &["c.d"], "a \"text\"\n");
    publish(&server, &["a.b", "--json"], "[1]\n");
    let (code, output, notes) = record.end();
    assert_eq!((code, output.as_str()), (Some(0), ""), "{notes}");
    assert!(notes.contains("3 messages are recorded, without a gap"), "{notes}");
    let recorded = fs::read_to_string(path).unwrap();
    assert!(!recorded.contains("canary"), "{recorded}");
    let lines: Vec<Value> = recorded.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((lines.len(), &lines[0]["recording"]), (4, &Value::from(1)));
    assert_eq!((&lines[1]["topic"], &lines[1]["offset"]), (&"a.b".into(), &1.into()));
    let times: Vec<_> = lines[1..].iter().map(|line| line["at_us"].as_u64().unwrap()).collect();
    assert!(times.is_sorted(), "{times:?}");

    let sub = Sub::start(&mut client(&server, &["sub", "x", "c.d", "--topics", "-n", "3"]));
    let (code, stdout, stderr) =
        outcome(&mut client(&server, &["replay", path, "--map", "a.b=x", "--speed", "max"]), "");
    assert_eq!((code, stdout.as_str(), stderr.as_str()), (Some(0), "", ""));
    let output = sub.end().1;
    let mut lines: Vec<_> = output.lines().collect();
    // The two subscriptions are read in turn.
    lines.sort_unstable();
    assert_eq!(lines, ["c.d\ta \"text\"", "x\t[1]", "x\t{\"x\": 1.000000000000000000001}"]);
}

#[test]
fn a_recording_passes_through_pipes_in_its_order() {
    let server = Run::start(&[]);
    let record = Sub::start(&mut client(&server, &["record", "world", "-n", "300"]));
    let lines = (0..300).fold(String::new(), |mut lines, n| {
        let _ = writeln!(lines, "{n}");
        lines
    });
    publish(&server, &["world"], &lines);
    let recorded = record.end().1;
    let sub = Sub::start(&mut client(&server, &["sub", "other", "-n", "300"]));
    let words = ["replay", "-", "--speed", "100x", "--map", "world=other"];
    assert_eq!(outcome(&mut client(&server, &words), &recorded).0, Some(0));
    assert_eq!(sub.end().1, lines);
}

#[test]
fn a_file_is_replaced_only_by_force() {
    let server = Run::start(&[]);
    let path = file("there.jsonl", "precious");
    let words = ["record", "world", "-o", path.to_str().unwrap(), "--wait", "50ms"];
    let (code, _, stderr) = outcome(&mut client(&server, &words), "");
    assert!(code == Some(2) && stderr.contains("--force"), "{stderr}");
    assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
    let (code, _, stderr) = outcome(client(&server, &words).arg("--force"), "");
    assert_eq!(code, Some(5), "{stderr}");
    assert!(fs::read_to_string(&path).unwrap().starts_with("{\"recording\":1,"));
}

#[test]
fn a_recording_that_is_interrupted_is_whole() {
    let server = Run::start(&[]);
    let path = nothing_at("interrupted.jsonl");
    let record = Sub::start(&mut client(&server, &["record", "world", "-o", path.to_str().unwrap()]));
    publish(&server, &["world"], "one\n");
    while fs::read_to_string(&path).unwrap_or_default().lines().count() < 2 {
        std::thread::yield_now();
    }
    record.signal("INT");
    let (code, _, notes) = record.end();
    assert!(code == Some(130) && notes.contains("1 messages are recorded"), "{notes}");
    assert!(fs::read_to_string(&path).unwrap().ends_with("\"message\":\"one\"}\n"));
}

#[test]
fn the_time_between_messages_is_kept_and_can_be_shortened() {
    let server = Run::start(&[]);
    let path = recording("pace.jsonl", &(line(0, "world", "1") + &line(800, "world", "2")));
    let began = Instant::now();
    let words = ["replay", &path, "--speed", "2x"];
    assert_eq!(outcome(&mut client(&server, &words), "").0, Some(0));
    assert!(began.elapsed() >= Duration::from_millis(400));
}

#[test]
fn a_wrong_line_is_named_and_nothing_before_it_is_lost() {
    let server = Run::start(&[]);
    for (wrong, named) in
        [("{\"at_us\":2}\n", "line 4: "), ("\u{1b}[2J\n", "line 4: "), ("{\"at_us\":1,\"event\":\"mess", "line 4: ")]
    {
        let path = recording(
            "wrong.jsonl",
            &(line(0, "world", "1") + &line(1, "world", "2") + wrong + &line(2, "world", "3")),
        );
        let sub = Sub::start(&mut client(&server, &["sub", "world", "-n", "2"]));
        let (code, _, stderr) = outcome(&mut client(&server, &["replay", &path]), "");
        assert_eq!(code, Some(1));
        assert!(stderr.contains(named) && !stderr.contains('\u{1b}'), "{stderr}");
        assert_eq!(sub.end().1, "1\n2\n");
    }
    let path = file("no-recording.jsonl", "{\"a\":1}\n");
    for words in [["replay", path.to_str().unwrap()], ["replay", "/nowhere.jsonl"]] {
        let (code, _, stderr) = outcome(&mut client(&server, &words), "");
        assert_eq!(code, Some(2), "{stderr}");
    }
}

#[test]
fn a_gap_of_the_recording_is_told() {
    let server = Run::start(&[]);
    let gap = "{\"at_us\":1,\"event\":\"gap\",\"topic\":\"world\",\"from\":2,\"to\":4,\"reason\":\"slow_reader\"}\n";
    let path = recording("gap.jsonl", &(line(0, "world", "1") + gap + &line(2, "world", "5")));
    let (code, _, stderr) = outcome(&mut client(&server, &["replay", &path]), "");
    assert_eq!(code, Some(0));
    assert!(stderr.contains("messages 2 to 4 of \"world\" may be missing (slow reader)"), "{stderr}");
}

#[test]
fn a_replay_is_repeated_until_a_signal() {
    let server = Run::start(&[]);
    let path = recording("loop.jsonl", &(line(0, "world", "1") + &line(1, "world", "2")));
    let sub = Sub::start(&mut client(&server, &["sub", "world", "-n", "5"]));
    let child = client(&server, &["replay", &path, "--loop"]).spawn().unwrap();
    assert_eq!(sub.end().1, "1\n2\n1\n2\n1\n");
    crate::commands::signal(&child, "TERM");
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), output.stderr.as_slice()), (Some(143), &b""[..]));
    let empty = recording("empty.jsonl", "");
    assert_eq!(outcome(&mut client(&server, &["replay", &empty, "--loop"]), "").0, Some(1));
    assert_eq!(outcome(&mut client(&server, &["replay", "-", "--loop"]), "").0, Some(2));
}

#[test]
fn a_missing_grant_has_its_exit_code() {
    let config = file("replay-grants.toml", "[anonymous]\nsubscribe = [\">\"]\n");
    let server = Run::start(&["--config", config.to_str().unwrap()]);
    let path = recording("refused.jsonl", &line(0, "world", "1"));
    let (code, _, stderr) = outcome(&mut client(&server, &["replay", &path]), "");
    assert_eq!(code, Some(4), "{stderr}");
}
