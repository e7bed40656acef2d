//! The log: what it says and how often. With the format `json`, every line of it is JSON, up to the last one.

use crate::client::{Client, connect, request};
use crate::run::{Run, file, folder, full_pipe, hubcast};
use serde_json::Value;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::process::{Command, Stdio};

/// The events of a JSON log. Panics if a line is not JSON, or has no level or message.
#[track_caller]
fn events(log: &str) -> Vec<Value> {
    let parse = |line: &str| {
        let event: Value = serde_json::from_str(line).unwrap_or_else(|_| panic!("not JSON: {line}"));
        assert!(event["level"].is_string() && event["message"].is_string(), "{line}");
        event
    };
    log.lines().map(parse).collect()
}

/// The message of an event.
fn message(event: &Value) -> &str {
    event["message"].as_str().unwrap()
}

/// The events whose message contains `part`.
fn with<'a>(events: &'a [Value], part: &str) -> Vec<&'a Value> {
    events.iter().filter(|event| message(event).contains(part)).collect()
}

/// Runs a server that must fail to start: its exit code is 1, and its log is one event of level `ERROR`. Returns the
/// message of this event.
#[track_caller]
fn failed_start(words: &[&str]) -> String {
    let ended = hubcast(&["--log-format", "json"]).args(words).output().unwrap();
    assert_eq!((ended.status.code(), ended.stdout.as_slice()), (Some(1), b"".as_slice()));
    let events = events(std::str::from_utf8(&ended.stderr).unwrap());
    assert_eq!((events.len(), &events[0]["level"]), (1, &Value::from("ERROR")), "{events:?}");
    message(&events[0]).to_owned()
}

#[test]
fn what_an_operator_must_hear_comes_once_and_in_json_to_the_last_line() {
    let state = folder("operator");
    let mut server =
        Run::start(
            &[
                &[
                    "--log-format",
                    "json",
                    "--workers",
                    "2",
                    "--close-timeout",
                    "200ms",
                    "--origins",
                    "https://a.example",
                ][..],
                &["--max-connections", "3", "--max-outbox", "64KiB", "--state-dir", state.to_str().unwrap()],
            ]
            .concat(),
        );
    let address = server.address();
    for page in ["Origin: https://b.example\r\n", "Origin: null\r\n", ""] {
        assert_eq!(request(&mut connect(address), "/socket", page), 403);
    }
    // A refused connection may count as open for a moment longer, so this tries again until there is room.
    let mut publisher = loop {
        if let Some(client) = Client::over(connect(address), address) {
            break client;
        }
    };
    let slow = [(); 2].map(|()| {
        let mut client = Client::narrow(address);
        client.subscribe("t");
        client
    });
    for _ in 0..3 {
        assert_eq!(request(&mut connect(address), "/socket", "Origin: https://a.example\r\n"), 503);
    }
    let closed = (0..2000).find(|_| publisher.publish("t", "x".repeat(60_000))["receivers"] == 0);
    assert!(closed.is_some(), "slow consumers are not closed");
    drop((slow, publisher));
    // A folder has the name of the state file, so the server cannot write the file.
    fs::create_dir(state.join("histories.json")).unwrap();
    let before = server.logs("slow consumers");
    server.signal("TERM");
    let (code, after) = server.end();
    assert_eq!(code, Some(1));
    let events = events(&(before + &after));
    for warning in ["the server is full", "`origins` does not list their Origin", "slow consumers are closed"] {
        let logged = with(&events, warning);
        assert_eq!((logged.len(), &logged[0]["level"]), (1, &Value::from("WARN")), "{warning}: {after}");
        assert_eq!(logged[0]["times"], 1, "{warning}");
    }
    let last = events.last().unwrap();
    assert_eq!(last["level"], "ERROR");
    assert!(message(last).starts_with("the server failed: cannot write the state file"), "{last}");
}

#[test]
fn a_start_that_fails_is_one_event_also_where_the_log_is_off() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    for level in ["off", "info"] {
        let fault = failed_start(&["--log-level", level, "--listen", &address]);
        assert!(fault.contains("the port is taken by another program"), "{fault}");
    }
    let file = file("file", "");
    let fault = failed_start(&["--listen", "127.0.0.1:0", "--state-dir", file.to_str().unwrap()]);
    assert!(fault.contains("the state folder cannot be used"), "{fault}");
    assert!(failed_start(&["--max-connections", "16000000"]).contains("raise the limit"));
}

#[test]
fn a_proxy_in_front_of_an_open_server_is_warned_of_once() {
    let server = Run::start(&[]);
    for header in ["X-Forwarded-For: 192.0.2.1\r\n", "Forwarded: for=192.0.2.1\r\n"] {
        request(&mut connect(server.address()), "/socket", header);
    }
    assert_eq!(server.stop().matches("came through a proxy").count(), 1);
    let path = file("proxy.toml", "[anonymous]\nsubscribe = [\"a\"]");
    let granted = Run::start(&["--config", path.to_str().unwrap()]);
    request(&mut connect(granted.address()), "/socket", "X-Forwarded-For: 192.0.2.1\r\n");
    assert!(!granted.stop().contains("came through a proxy"));
}

#[test]
fn variables_that_are_ignored_are_named_in_the_log() {
    let mut command = hubcast(&["--listen", "127.0.0.1:0"]);
    let server = Run::of(command.env("HUBCAST_IMAGE", "hubcast:1").env("HUBCAST_PORT_8080_TCP_PROTO", "tcp"));
    server.signal("TERM");
    let (code, log) = server.end();
    assert_eq!(code, Some(0));
    assert_eq!(log.matches("variables=\"HUBCAST_IMAGE\"").count(), 1, "{log}");
}

#[test]
fn a_log_that_nobody_reads_does_not_end_the_server() {
    let mut server = Run::start(&["--log-level", "debug"]);
    server.closes_log();
    for _ in 0..3 {
        assert_eq!(request(&mut connect(server.address()), "/nowhere", ""), 404);
    }
    server.signal("TERM");
    assert_eq!(server.exit_code(), Some(0));
}

#[test]
fn a_log_whose_reader_stands_still_blocks_no_client_and_no_signal() {
    let ((full, _reader), state) = (full_pipe(), folder("standing_reader"));
    let words = ["--listen", "127.0.0.1:0", "--drain-spread", "0s", "--log-level", "debug", "--workers", "1"];
    let server = Run::of(hubcast(&words).args(["--state-dir", state.to_str().unwrap()]).stderr(full));
    for _ in 0..3 {
        assert_eq!(request(&mut connect(server.address()), "/nowhere", ""), 404);
    }
    let mut client = Client::open(server.address());
    client.subscribe("news");
    assert_eq!(client.publish("news", "one")["offset"], 1);
    drop(client);
    server.signal("TERM");
    assert_eq!(server.exit_code(), Some(0));
    assert!(state.join("histories.json").exists(), "what is kept is stored");
}

#[test]
fn a_standard_output_whose_reader_stands_still_blocks_no_client_and_no_signal() {
    let (full, _reader) = full_pipe();
    let mut command = hubcast(&["--listen", "127.0.0.1:0", "--log-format", "json"]);
    let mut child = command.stdout(full).spawn().unwrap();
    let mut log = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    while !line.contains("listening") {
        line.clear();
        assert_ne!(log.read_line(&mut line).unwrap(), 0);
    }
    let event: Value = serde_json::from_str(&line).unwrap();
    let server = Run::started(child, event["address"].as_str().unwrap().parse().unwrap());
    assert_eq!(request(&mut connect(server.address()), "/healthz", ""), 200);
    server.signal("TERM");
    assert_eq!(server.exit_code(), Some(0));
}

#[test]
fn a_log_file_that_may_grow_no_more_does_not_end_the_server() {
    let log = folder("log_file");
    fs::create_dir_all(log.parent().unwrap()).unwrap();
    let script = format!("ulimit -f 1 && exec \"$0\" \"$@\" 2> {}", log.display());
    let mut command = Command::new("sh");
    command.env_clear().args(["-c", &script, env!("CARGO_BIN_EXE_hubcast")]);
    command.args(["--listen", "127.0.0.1:0", "--log-level", "debug", "--drain-spread", "0s"]);
    let server = Run::of(command.stdin(Stdio::null()).stdout(Stdio::piped()));
    for _ in 0..30 {
        assert_eq!(request(&mut connect(server.address()), "/nowhere", ""), 404);
    }
    server.signal("TERM");
    assert_eq!(server.exit_code(), Some(0));
}

#[test]
fn wrong_usage_and_settings_are_events_too_where_the_log_is_json() {
    let file = file("wrong.toml", "log_format = \"json\"\nping = \"never\"");
    let config = file.to_str().unwrap();
    for (words, variable, part) in [
        (&["--log-format", "json", "--pign", "1s"][..], "", "--ping"),
        (&["--log-format=json", "--ping", "1"], "", "--ping"),
        (&["--pign", "1s"], "json", "--ping"),
        (&["--log-format", "json", "--ping", "0s"], "", "ping"),
        (&["--ping", "0s"], "json", "ping"),
        (&["--config", config], "", "ping"),
    ] {
        let mut command = hubcast(words);
        if !variable.is_empty() {
            command.env("HUBCAST_LOG_FORMAT", variable);
        }
        let ended = command.output().unwrap();
        assert_eq!((ended.status.code(), ended.stdout.as_slice()), (Some(2), b"".as_slice()), "{words:?}");
        let events = events(std::str::from_utf8(&ended.stderr).unwrap());
        assert_eq!((events.len(), &events[0]["level"]), (1, &Value::from("ERROR")), "{events:?}");
        assert!(message(&events[0]).contains(part), "{events:?}");
    }
    for words in [&["--log-format", "text", "--pign", "1s"][..], &["check-config", "--pign", "1s"]] {
        let ended = hubcast(words).env("HUBCAST_LOG_FORMAT", "json").output().unwrap();
        assert!(ended.stderr.starts_with(b"error: "), "{words:?}: for people");
    }
}

#[test]
fn every_refusal_is_logged_at_debug_with_its_reason_and_its_peer() {
    let mut server = Run::start(
        &[
            &["--log-format", "json", "--log-level", "debug", "--max-message", "1KiB", "--max-frame", "1KiB"][..],
            &["--max-fragments", "1", "--origins", "https://a.example", "--ping", "100ms", "--pong-timeout", "100ms"],
            &["--requests-per-second", "1", "--close-timeout", "100ms"],
        ]
        .concat(),
    );
    let ours = "Origin: https://a.example\r\n";
    let subscribe = text(b"{\"action\":\"subscribe\",\"topic\":\"t\"}");
    for (path, headers, frames, logged) in [
        ("/nowhere", "", vec![], ("status", 404, "nothing here")),
        ("/socket", "Origin: https://b.example\r\n", vec![], ("status", 403, "this Origin is not let in")),
        ("/socket", "", vec![], ("status", 403, "exactly one Origin header is needed")),
        ("/socket", "Content-Length: 5\r\n", vec![], ("status", 400, "a handshake has no body")),
        ("/socket", ours, text(b"\xff"), ("code", 1007, "UTF-8")),
        ("/socket", ours, text(&[b'x'; 1025]), ("code", 1009, "")),
        ("/socket", ours, frame(0x83, b""), ("code", 1002, "")),
        ("/socket", ours, [frame(1, b"a"), frame(0, b"b"), frame(0, b"c")].concat(), ("code", 1008, "")),
        ("/socket", ours, subscribe.repeat(500), ("code", 4003, "")),
        ("/socket", ours, vec![], ("code", 4000, "no answer to a ping")),
    ] {
        let mut stream = connect(server.address());
        request(&mut stream, path, headers);
        stream.write_all(&frames).unwrap();
        let peer = format!("\"peer\":\"{}\"", stream.local_addr().unwrap());
        let log = server.logs(&peer);
        let events = events(&log);
        let event = events.last().unwrap();
        assert_eq!((&event[logged.0], &event["level"]), (&Value::from(logged.1), &Value::from("DEBUG")), "{event}");
        assert!(event["reason"].as_str().unwrap().contains(logged.2), "{event}");
        let _ = stream.read_to_end(&mut Vec::new());
    }
    let mut stream = connect(server.address());
    assert_eq!(request(&mut stream, "/socket", &"a: b\r\n".repeat(200)), 431);
    let log = server.logs(&format!("\"peer\":\"{}\"", stream.local_addr().unwrap()));
    assert!(events(&log).last().unwrap()["fault"].is_string(), "{log}");
}

/// A complete text frame of a client.
fn text(payload: &[u8]) -> Vec<u8> {
    frame(0x81, payload)
}

/// A frame of a client with this first byte. The mask is four zeros, so the payload stays as it is. The payload has at
/// most 65,535 bytes.
fn frame(head: u8, payload: &[u8]) -> Vec<u8> {
    let length = match u8::try_from(payload.len()) {
        Ok(short) if short < 126 => vec![0x80 | short],
        _ => [&[0xfe][..], &u16::try_from(payload.len()).unwrap().to_be_bytes()].concat(),
    };
    [&[head][..], &length, &[0; 4], payload].concat()
}
