//! Other settings for a running server: by SIGHUP, and by a change of the configuration file.

use crate::client::{Client, connect, request, token};
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

/// The status of the answer to a handshake with a token, or to a request of the API with a key.
fn status(server: &Run, path: &str, credential: &str) -> u16 {
    request(&mut connect(server.address()), path, &format!("Authorization: Bearer {credential}\r\n"))
}

#[test]
fn keys_of_tokens_and_of_the_api_are_exchanged_and_who_is_connected_stays() {
    let old = ("old", "the secret of the old tokens, which is long");
    let new = ("new", "the secret of the new tokens, which is long");
    let keys = ["old", "new"].map(|name| format!("hc_{name}_0123456789abcdefghijklmnopqrstuvwxyzABCDEFE"));
    let text = |secrets: &[(&str, &str)], key: &str| {
        let secret = |(id, secret): &(&str, &str)| format!("{{ id = \"{id}\", secret = \"{secret}\" }}");
        let secrets: Vec<_> = secrets.iter().map(secret).collect();
        format!("[tokens]\nkeys = [{}]\n[[api_keys]]\nkey = \"{key}\"\nmanage = true\n", secrets.join(", "))
    };
    let path = file("reload-keys", &text(&[old], &keys[0]));
    let mut server = server(&path);
    let tokens = [old, new].map(|secret| token(json!({"sub": "ada", "subscribe": [">"]}), secret));
    let accepted = |server: &Run| {
        let of_tokens = tokens.each_ref().map(|token| status(server, "/socket", token));
        (of_tokens, keys.each_ref().map(|key| status(server, "/api/stats", key)))
    };
    assert_eq!(accepted(&server), ([101, 401], [200, 401]));
    let mut client = Client::open(server.address());
    client.ask(&json!({"id": 1, "action": "authenticate", "token": tokens[0]}));
    for (secrets, key, expected) in
        [(&[old, new][..], &keys[1], ([101, 101], [401, 200])), (&[new], &keys[1], ([401, 101], [401, 200]))]
    {
        fs::write(&path, text(secrets, key)).unwrap();
        server.signal("HUP");
        server.logs("the settings are in force");
        assert_eq!(accepted(&server), expected);
    }
    assert_eq!(client.subscribe("a")["event"], "subscribed", "a token counts to its end");
    fs::write(&path, text(&[("old", "too short")], &keys[1])).unwrap();
    server.signal("HUP");
    server.logs("line 2: tokens, key 1: secret: a secret has at least 32 bytes");
    assert_eq!(accepted(&server), ([401, 101], [401, 200]), "what is wrong changes nothing");
    server.signal("KILL");
}

#[test]
fn the_log_names_what_has_changed_since_the_last_time_and_what_needs_a_restart() {
    let path = file("reload-names", "");
    let mut server = server(&path);
    for (text, changed) in [
        ("max_connections_per_address = 1\n", "\"max_connections_per_address\""),
        ("log_connections = false\n", "\"log_connections, max_connections_per_address\""),
        ("log_connections = false\nping = \"24s\"\n", "\"\""),
    ] {
        fs::write(&path, text).unwrap();
        server.signal("HUP");
        let log = server.logs("the settings are in force");
        assert!(log.contains(&format!("changed={changed}")), "{log}");
    }
    server.logs("need a restart settings=\"ping\"");
    server.signal("KILL");
}

#[test]
fn the_most_connections_of_an_address_can_change() {
    let path = file("reload-address", "");
    let mut server = server(&path);
    let uncounted = Client::open(server.address());
    for (text, expected) in
        [("max_connections_per_address = 1\n", [101, 429]), ("max_connections_per_address = 0\n", [101, 101])]
    {
        fs::write(&path, text).unwrap();
        server.signal("HUP");
        server.logs("the settings are in force");
        let mut open = [connect(server.address()), connect(server.address())];
        assert_eq!(open.each_mut().map(|stream| request(stream, "/socket", "")), expected);
        drop(open);
        // Its places are free when the server has seen that they are gone.
        server.logs("a client is gone");
    }
    drop(uncounted);
    server.signal("KILL");
}
