//! Acknowledged, queued, sent again, refused.

use crate::script::Script;
use hubcast_client::machine::{Answer, Command, Config, Failure, Input, Published};
use serde_json::json;
use std::time::Duration;

#[test]
fn a_publication_is_acknowledged_with_its_place() {
    let mut script = Script::connected();
    let ticket = script.publish("a", "x", true);
    script.reply(json!({"topic": "a", "offset": 46, "receivers": 3}), json!({"event": "published"}));
    let published = Published { offset: Some(46), receivers: 3 };
    assert_eq!(script.result(ticket), Some(Ok(Answer::Published(published))));
}

#[test]
fn what_is_unacknowledged_is_sent_again_in_order_with_the_same_keys() {
    let mut script = Script::connected();
    script.publish("a", "x", true);
    script.publish("a", "y", false);
    let first = script.sent();
    assert_ne!(first[0]["key"], first[1]["key"]);
    assert!(first.iter().all(|sent| sent["key"].is_string()));
    script.reconnect();
    assert_eq!(script.sent(), first);
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
    let key = script.sent()[0]["key"].as_str().unwrap().to_owned();
    script.lose();
    let lost = script.now;
    while script.now - lost < Duration::from_secs(30) {
        script.effects.retain(|effect| *effect != hubcast_client::machine::Effect::Connect);
        script.pass();
    }
    assert_eq!(script.result(ticket), Some(Err(Failure::Timeout { key: Some(key.into()) })));
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
    let keys = script.sent().into_iter().map(|sent| sent["key"].as_str().unwrap().to_owned());
    let keys: Vec<_> = keys.collect();
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
        assert_eq!(*handed_back, *key);
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
