//! Publications: acknowledged, queued, sent again, refused.

use crate::script::Script;
use hubcast_client::machine::{Answer, Command, Config, Failure, Input, Published};
use hubcast_protocol::request::{Key, Publish};
use serde_json::{Value, json};
use std::time::Duration;

#[test]
fn a_publication_is_acknowledged_with_its_place() {
    let mut script = Script::connected();
    let ticket = script.publish("a", "x", true);
    script.reply(json!({"topic": "a", "offset": 46, "receivers": 3}), json!({"event": "published"}));
    let result = script.result(ticket);
    assert!(matches!(result, Some(Ok(Answer::Published(Published { offset: Some(46), receivers: 3, .. })))));
}

#[test]
fn what_is_unacknowledged_is_sent_again_in_order_with_the_same_numbers() {
    let mut script = Script::connected();
    script.publish("a", "x", true);
    script.publish("a", "y", false);
    let first = script.sent();
    assert_eq!(first[0]["producer"], first[1]["producer"]);
    assert_eq!(first[0]["producer"].as_str().unwrap().len(), 32);
    assert!(first[0]["sequence"].as_u64() < first[1]["sequence"].as_u64());
    assert!(first.iter().all(|sent| sent["key"].is_null()));
    script.reconnect();
    assert_eq!(script.sent(), first);
}

#[test]
fn a_key_of_the_program_goes_as_it_is() {
    let mut script = Script::connected();
    script.command(Command::Publish(Publish { key: Some("order-17".into()), ..publish() }));
    let sent = &script.sent()[0];
    assert_eq!((&sent["key"], &sent["producer"], &sent["sequence"]), (&json!("order-17"), &json!(null), &json!(null)));
}

#[test]
fn as_many_publications_are_sent_without_an_answer_as_the_server_remembers() {
    let mut script = Script::connected();
    let tickets: Vec<_> = (0..300).map(|_| script.publish("a", "x", true)).collect();
    let sequences = |sent: &[Value]| sent.iter().map(|sent| sent["sequence"].as_u64().unwrap()).collect::<Vec<_>>();
    let sent = script.sent();
    assert_eq!(sequences(&sent), (1..=256).collect::<Vec<_>>());
    script.reply_to(&sent[0], json!({"topic": "a", "receivers": 1}), json!({"event": "published"}));
    assert_eq!(sequences(&script.sent()), [257]);
    // A request behind waiting publications waits too, also after the connection breaks.
    script.command(Command::Ping);
    assert!(script.sent().is_empty());
    script.reconnect();
    let mut again = Vec::new();
    loop {
        let sent = script.sent();
        let Some(first) = sent.first() else { break };
        again.extend(sequences(&sent[..sent.iter().take_while(|sent| sent["sequence"].is_u64()).count()]));
        let first = first.clone();
        for request in std::iter::once(&first).chain(&sent[1..]) {
            let answer = if request["action"] == "ping" { "pong" } else { "published" };
            script.reply_to(request, json!({"topic": "a", "receivers": 1}), json!({"event": answer}));
        }
    }
    assert_eq!(again, (2..=300).collect::<Vec<_>>());
    assert!(tickets.into_iter().all(|ticket| matches!(script.result(ticket), Some(Ok(Answer::Published(_))))));
}

#[test]
fn a_number_that_the_server_has_forgotten_is_handed_back_as_uncertain() {
    let mut script = Script::connected();
    let key = Key::Number { producer: "a producer of a while ago".into(), sequence: 7 };
    let ticket = script.command(Command::Publish(Publish { key: Some(key.clone()), ..publish() }));
    let sent = script.sent();
    assert_eq!((&sent[0]["producer"], &sent[0]["sequence"]), (&json!("a producer of a while ago"), &json!(7)));
    script.reply_to(
        &sent[0],
        json!({}),
        json!({"event": "error", "code": "sequence_too_old", "reason": "", "retry": false}),
    );
    let Some(Err(Failure::Uncertain { key: handed_back, .. })) = script.result(ticket) else { panic!("nobody knows") };
    assert_eq!(handed_back, key);
}

#[test]
fn publications_wait_for_a_connection_after_the_subscriptions() {
    let mut script = Script::connected();
    script.subscribed(1, "a", json!({"epoch": "e", "offset": 5}));
    script.lose();
    let ticket = script.publish("a", "x", true);
    assert!(script.sent().is_empty());
    script.pass();
    script.welcome();
    let sent = script.sent();
    let actions: Vec<_> = sent.iter().map(|sent| sent["action"].as_str().unwrap()).collect();
    assert_eq!(actions, ["subscribe", "publish"]);
    script.reply_to(&sent[1], json!({"topic": "a", "receivers": 1}), json!({"event": "published"}));
    assert!(script.result(ticket).is_some());
}

#[test]
fn nothing_new_is_sent_to_a_server_that_is_about_to_close() {
    let mut script = Script::connected();
    script.says(json!({"event": "closing", "code": 1012, "reason": "restarting", "reconnect_in_ms": 10}));
    script.publish("a", "x", true);
    assert!(script.sent().is_empty());
    script.close(1012);
    script.pass();
    script.welcome();
    assert_eq!(script.sent().len(), 1);
}

#[test]
fn a_publication_without_an_answer_hands_its_key_back_in_time() {
    let mut script = Script::connected();
    let ticket = script.publish("a", "x", true);
    let key = key_of(&script.sent()[0]);
    script.lose();
    let lost = script.now;
    while script.now - lost < Duration::from_secs(30) {
        script.effects.retain(|effect| *effect != hubcast_client::machine::Effect::Connect(None));
        script.pass();
    }
    assert_eq!(script.result(ticket), Some(Err(Failure::Timeout { key: Some(key) })));
}

#[test]
fn a_reply_with_an_unknown_id_or_of_another_kind_is_ignored() {
    let mut script = Script::connected();
    let ticket = script.publish("a", "x", true);
    script.says(json!({"event": "published", "id": 999, "topic": "a", "receivers": 1}));
    script.says(json!({"event": "published", "id": "1", "topic": "a", "receivers": 1}));
    script.says(json!({"event": "published", "topic": "a", "receivers": 1}));
    script.says(json!({"event": "error", "id": 999, "code": "internal", "reason": ""}));
    let sent = script.sent();
    script.reply_to(&sent[0], json!({}), json!({"event": "pong"}));
    assert_eq!(script.result(ticket), None);
}

#[test]
fn garbage_and_what_a_newer_server_says_are_skipped() {
    let mut script = Script::connected();
    let ticket = script.command(Command::Ping);
    for text in ["", "hello", "{", r#"{"event":"party"}"#, r#"{"event":"message"}"#] {
        script.input(Input::Frame(text.to_owned()));
    }
    script.reply(json!({}), json!({"event": "pong"}));
    assert_eq!(script.result(ticket), Some(Ok(Answer::Pong)));
}

#[test]
fn a_publication_that_would_cost_the_connection_is_not_sent() {
    let mut script = Script::connected();
    let ticket = script.publish("a", &"x".repeat(65536), true);
    assert!(script.sent().is_empty());
    assert!(matches!(script.result(ticket), Some(Err(Failure::TooLarge { limit: 65536, .. }))));
}

#[test]
fn a_publication_that_is_known_to_be_too_long_fails_at_once_without_a_connection() {
    let mut script = Script::connected();
    script.lose();
    let ticket = script.publish("a", &"x".repeat(65536), true);
    assert!(matches!(script.result(ticket), Some(Err(Failure::TooLarge { limit: 65536, .. }))));
}

#[test]
fn a_publication_that_is_refused_when_it_is_sent_again_may_have_happened() {
    let mut script = Script::connected();
    let tickets = ["a", "b"].map(|topic| script.publish(topic, "x", true));
    let keys: Vec<_> = script.sent().iter().map(key_of).collect();
    script.lose();
    let unsent = script.publish("c", "x", true);
    script.pass();
    script.welcome();
    let sent = script.sent();
    let refused = json!({"event": "error", "code": "rate_limited", "reason": "slow down", "retry": true});
    for (request, (ticket, key)) in sent.iter().zip(tickets.into_iter().zip(keys)) {
        script.reply_to(request, json!({}), refused.clone());
        let Some(Err(Failure::Uncertain { why, key: handed_back })) = script.result(ticket) else {
            panic!("it may have happened")
        };
        assert!(matches!(*why, Failure::Refused(refused) if refused.retry));
        assert_eq!(handed_back, key);
    }
    script.reply_to(&sent[2], json!({}), refused);
    assert!(matches!(script.result(unsent), Some(Err(Failure::Refused(_)))));
}

#[test]
fn the_queue_is_bounded() {
    let mut script = Script::connected_with(Config { queue: 2, ..Config::default() });
    script.lose();
    let tickets = [(); 3].map(|()| script.publish("a", "x", true));
    assert_eq!(tickets.map(|ticket| script.result(ticket)), [None, None, Some(Err(Failure::QueueFull))]);
}

#[test]
fn a_refusal_says_whether_to_try_again() {
    let mut script = Script::connected();
    let ticket = script.publish("a", "x", true);
    script.reply(json!({"code": "rate_limited", "reason": "slow down", "retry": true}), json!({"event": "error"}));
    assert!(matches!(script.result(ticket), Some(Err(Failure::Refused(refused))) if refused.retry));
}

/// A publish to topic `a` with echo and without a key.
fn publish() -> Publish {
    Publish { topic: "a".into(), payload: "x".into(), echo: true, key: None }
}

/// The producer and the sequence of a publish that was sent.
fn key_of(sent: &Value) -> Key {
    let producer = sent["producer"].as_str().unwrap().into();
    Key::Number { producer, sequence: sent["sequence"].as_u64().unwrap() }
}
