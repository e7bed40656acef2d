//! Other settings for a running server: by SIGHUP, and by a change of the configuration file.

use crate::client::Client;
use crate::run::{Run, file, hubcast};
use serde_json::json;
use std::fs;
use std::path::Path;

/// A server with this configuration file.
fn server(file: &Path) -> Run {
    Run::of(&mut hubcast(&["--listen", "127.0.0.1:0", "--config", file.to_str().unwrap()]))
}

const KEPT: &str = "[[topics]]\nmatch = \">\"\nhistory = { size = 10, ttl = \"10m\" }\n";
const CLOSED: &str = "[[topics]]\nmatch = \"secret.>\"\nsubscribe = \"nobody\"\n";

#[test]
fn a_signal_takes_up_other_rules_and_a_subscription_that_is_not_granted_ends() {
    let path = file("reload-signal", KEPT);
    let mut server = server(&path);
    let mut reader = Client::open(server.address());
    for topic in ["secret.plan", "open"] {
        assert_eq!(reader.subscribe(topic)["event"], "subscribed");
    }
    fs::write(&path, CLOSED).unwrap();
    server.signal("HUP");
    let ended = reader.hear();
    assert_eq!(
        (&ended["event"], &ended["topic"], &ended["reason"]),
        (&"unsubscribed".into(), &"secret.plan".into(), &"forbidden".into())
    );
    server.logs("the settings are in force changed=\"topics\"");
    let refused = reader.ask(&json!({"action": "subscribe", "id": 2, "topic": "secret.plan"}));
    assert_eq!(refused["code"], "forbidden");
    let mut publisher = Client::open(server.address());
    publisher.publish("open", "still heard");
    assert_eq!(reader.hear()["message"], "still heard");
    server.signal("TERM");
    assert_eq!(server.end().0, Some(0));
}

#[test]
fn a_changed_file_is_taken_up_without_a_signal() {
    let path = file("reload-file", "requests_per_second = 0\n");
    let mut server = server(&path);
    let next = path.with_extension("next");
    fs::write(&next, "requests_per_second = 5\nping = \"24s\"\n").unwrap();
    fs::rename(&next, &path).unwrap();
    server.logs("the settings are in force changed=\"requests_per_second\"");
    server.logs("these settings have changed, and need a restart settings=\"ping\"");
    server.signal("TERM");
    assert_eq!(server.end().0, Some(0));
}

#[test]
fn settings_that_are_wrong_change_nothing() {
    let path = file("reload-wrong", KEPT);
    let mut server = server(&path);
    fs::write(&path, "origins = \"any\"\n[[topics]]\nmatch = \"a..b\"\n").unwrap();
    server.signal("HUP");
    server.logs("line 2: topics, rule 1");
    let mut reader = Client::open(server.address());
    assert!(reader.subscribe("a")["epoch"].is_string(), "it keeps what it kept before");
    fs::remove_file(&path).unwrap();
    server.signal("HUP");
    server.logs("the settings are wrong, and stay as they were");
    server.signal("TERM");
    assert_eq!(server.end().0, Some(0));
}
