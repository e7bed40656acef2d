//! What the program keeps: by its rules for topics, and in its state folder from one run to the next.

use crate::client::Client;
use crate::run::{Run, file, folder, hubcast};
use serde_json::{Value, json};
use std::fs;
use std::path::Path;

/// The sorted names of all entries in a folder.
fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// Publishes three messages to `news`, with the offsets 1 to 3. Returns the epoch of `news`.
fn three_publications(server: &Run) -> Value {
    let mut client = Client::open(server.address());
    let subscribed = client.ask(&json!({"id": 1, "action": "subscribe", "topic": "news"}));
    assert_eq!(subscribed["offset"], 0);
    for (number, message) in [json!("one"), json!({"two": "\n"}), json!("three")].into_iter().enumerate() {
        assert_eq!(client.publish("news", message)["offset"], number + 1);
    }
    subscribed["epoch"].clone()
}

#[test]
fn after_a_clean_restart_a_client_gets_what_it_missed_and_goes_on_in_the_same_epoch() {
    let state = folder("clean");
    let first = Run::with_state(&state);
    let epoch = three_publications(&first);
    first.stop();
    let second = Run::with_state(&state);
    let mut client = Client::open(second.address());
    let subscribed = client.resume("news", &epoch, 1);
    let expected = json!({
        "event": "subscribed", "id": 1, "topic": "news", "epoch": epoch, "offset": 3, "recovered": true, "replayed": 2
    });
    assert_eq!(subscribed, expected);
    assert_eq!(names(&state), ["lock", "revoked.jsonl"], "what was taken up is not there for a second time");
    let message = |offset: u64, message: Value| json!({"event": "message", "topic": "news", "epoch": epoch, "offset": offset, "message": message});
    assert_eq!(client.hear(), message(2, json!({"two": "\n"})));
    assert_eq!(client.hear(), message(3, json!("three")));
    assert_eq!(Client::open(second.address()).publish("news", json!("four"))["offset"], 4);
    assert_eq!(client.hear(), message(4, json!("four")));
}

#[test]
fn that_histories_lose_publications_to_the_bound_of_all_is_logged_once_for_the_first_minute() {
    let server = Run::start(&["--history-max-bytes", "1KiB"]);
    let mut client = Client::open(server.address());
    client.ask(&json!({"id": 1, "action": "subscribe", "topic": "news"}));
    (0..20).for_each(|_| _ = client.publish("news", json!("x".repeat(500))));
    drop(client);
    let log = server.stop();
    assert_eq!(log.matches("history_max_bytes").count(), 1, "{log}");
}

#[test]
fn after_a_crash_the_epoch_is_another_and_nothing_is_recovered() {
    let state = folder("crash");
    let first = Run::with_state(&state);
    let epoch = three_publications(&first);
    first.stop();
    // The second run loads the file of the first run and publishes more. After its crash, the file of the first run
    // must not be loaded again: it is out of date.
    let second = Run::with_state(&state);
    assert_eq!(Client::open(second.address()).resume("news", &epoch, 3)["recovered"], true);
    assert_eq!(Client::open(second.address()).publish("news", json!("four"))["offset"], 4);
    second.crash();
    let third = Run::with_state(&state);
    let subscribed = Client::open(third.address()).resume("news", &epoch, 3);
    assert_eq!((&subscribed["recovered"], &subscribed["offset"]), (&json!(false), &json!(0)));
    assert_ne!(subscribed["epoch"], epoch);
}

#[test]
fn what_is_published_again_with_its_key_after_a_clean_restart_takes_effect_once() {
    let state = folder("keys");
    let first = Run::with_state(&state);
    let epoch = three_publications(&first);
    let order = json!({"id": 7, "action": "publish", "topic": "news", "message": "paid", "key": "order-17"});
    let mut client = Client::open(first.address());
    assert_eq!(client.resume("news", &epoch, 3)["recovered"], true);
    client.ask(&order);
    // The server may not have noticed yet that an earlier client is gone, so the number of receivers says nothing.
    let published = client.hear();
    assert_eq!((&published["id"], &published["offset"]), (&json!(7), &json!(4)), "{published}");
    let (producer, sequence) = ("Zk3x9Qf0T2mW8cVb1LdR7A", 41);
    let numbered = json!({"id": 8, "action": "publish", "topic": "news", "producer": producer, "sequence": sequence});
    client.ask(&numbered);
    assert_eq!(client.hear()["offset"], 5);
    drop(client);
    first.stop();
    let second = Run::with_state(&state);
    let mut client = Client::open(second.address());
    assert_eq!(client.resume("news", &epoch, 5)["recovered"], true);
    let again = client.ask(&order);
    assert_eq!((&again["id"], &again["offset"]), (&json!(7), &json!(4)), "no message comes before it: {again}");
    assert_eq!(again["duplicate"], true);
    assert_eq!(client.ask(&numbered)["offset"], 5, "and no message before it");
    assert_eq!(client.publish("news", json!("next"))["offset"], 6);
    second.crash();
    let third = Run::with_state(&state);
    assert_eq!(Client::open(third.address()).ask(&order)["offset"], Value::Null, "a crash forgets keys and histories");
}

#[test]
fn without_a_state_folder_a_restart_begins_another_epoch() {
    let first = Run::start(&[]);
    let epoch = three_publications(&first);
    first.stop();
    let second = Run::start(&[]);
    assert_eq!(Client::open(second.address()).resume("news", &epoch, 3)["recovered"], false);
}

#[test]
fn a_damaged_file_is_reported_and_set_aside_and_the_server_starts() {
    let state = folder("damaged");
    let first = Run::with_state(&state);
    let epoch = three_publications(&first);
    first.stop();
    let path = state.join("histories.json");
    let text = fs::read(&path).unwrap();
    let half = &text[..text.len() / 2];
    fs::write(&path, half).unwrap();
    let second = Run::with_state(&state);
    assert_eq!(Client::open(second.address()).resume("news", &epoch, 3)["recovered"], false);
    let log = second.stop();
    assert!(log.contains("cannot take up the histories and keys of the last run"), "{log}");
    assert!(log.contains("its end is missing"), "{log}");
    let aside = names(&state).into_iter().find(|name| name.starts_with("histories.damaged-")).unwrap();
    assert_eq!(fs::read(state.join(aside)).unwrap(), half, "it is kept as it was found");
}

#[test]
fn a_folder_that_cannot_be_used_is_said_before_anybody_is_served() {
    let below = file("not_a_folder", "").join("below");
    let refused = hubcast(&["--listen", "127.0.0.1:0", "--log-level", "off", "--state-dir", below.to_str().unwrap()])
        .output()
        .unwrap();
    assert_eq!((refused.status.code(), refused.stdout.as_slice()), (Some(1), b"".as_slice()));
    let fault = String::from_utf8(refused.stderr).unwrap();
    let expected =
        format!("ERROR hubcast: cannot start the server: the state folder cannot be used ({}): ", below.display());
    assert!(fault.contains(&expected), "{fault}");
}

#[test]
fn two_servers_cannot_share_a_state_folder() {
    let state = folder("shared");
    let _first = Run::with_state(&state);
    let second = hubcast(&["--listen", "127.0.0.1:0", "--log-level", "off", "--state-dir", state.to_str().unwrap()])
        .output()
        .unwrap();
    assert_eq!(second.status.code(), Some(1));
    let fault = String::from_utf8(second.stderr).unwrap();
    assert!(fault.contains("another server uses it; give each one a folder of its own"), "{fault}");
}

#[test]
fn a_topic_keeps_what_the_first_rule_that_matches_says() {
    let server = Run::start(&[
        "--topics",
        "[{match = \"room.*\", history = false, presence = true}, {match = \"room.>\", history = {keep = \"always\"}}]",
    ]);
    let mut client = Client::open(server.address());
    let subscribed = client.ask(&json!({"id": 1, "action": "subscribe", "topic": "room.7"}));
    assert_eq!(subscribed, json!({"event": "subscribed", "id": 1, "topic": "room.7"}));
    assert_eq!(client.ask(&json!({"id": 2, "action": "history", "topic": "room.7"}))["code"], "no_history");
    assert_eq!(client.ask(&json!({"id": 3, "action": "presence", "topic": "room.7"}))["count"], 1);
    assert_eq!(client.publish("room.7.log", json!("kept without a listener"))["offset"], 1);
    assert_eq!(client.ask(&json!({"id": 4, "action": "presence", "topic": "room.7.log"}))["code"], "no_presence");
    assert_eq!(client.publish("elsewhere", json!("gone"))["offset"], Value::Null);
}
