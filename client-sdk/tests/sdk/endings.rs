//! Subscriptions that the server refuses, ends, or does not grant the past of.

use crate::script::{Script, topic_of};
use hubcast_client::machine::Failure;
use hubcast_protocol::request::Start;
use serde_json::json;

#[test]
fn a_subscription_that_the_server_refuses_fails_and_one_that_it_ends_says_so() {
    let mut script = Script::connected();
    let refused = script.subscribe(1, topic_of("a"), Start::Live);
    script.reply(json!({"code": "forbidden", "reason": "no"}), json!({"event": "error"}));
    assert!(matches!(script.result(refused), Some(Err(Failure::Refused(why))) if why.reason == "no"));
    script.subscribed(2, "b", json!({}));
    script.says(json!({"event": "unsubscribed", "topic": "b"}));
    assert_eq!(script.heard(2), ["ended: the server ended the subscription"]);
    script.subscribed(3, "c", json!({}));
    script.reconnect();
    script.reply(json!({"code": "forbidden", "reason": "no more"}), json!({"event": "error"}));
    assert_eq!(script.heard(3), ["ended: the token does not grant the subscription any more"]);
    script.subscribed(4, "d", json!({}));
    script.reconnect();
    script.reply(json!({"code": "limit_exceeded", "reason": "too many"}), json!({"event": "error"}));
    assert_eq!(script.heard(4), ["ended: the server did not take the subscription again: too many"]);
    script.reconnect();
    assert!(script.sent().is_empty());
}

#[test]
fn a_subscription_that_the_server_ends_is_told_who_ended_it() {
    let mut script = Script::connected();
    for (id, reason, expected) in [
        (1, "forbidden", "ended: the token does not grant the subscription any more"),
        (2, "operator", "ended: the operator of the server ended the subscription"),
        (3, "something new", "ended: the server ended the subscription"),
    ] {
        script.subscribed(id, "a", json!({"epoch": "e", "offset": 4}));
        script.says(json!({"event": "unsubscribed", "topic": "a", "reason": reason}));
        script.message("a", "e", 5);
        assert_eq!(script.heard(id), [expected]);
    }
    script.reconnect();
    assert!(script.sent().is_empty());
}

#[test]
fn a_past_that_is_not_granted_is_asked_for_once_a_connection_and_then_a_gap() {
    let mut script = Script::connected();
    script.subscribed(1, "a", json!({"epoch": "e", "offset": 4}));
    for offset in [7, 9] {
        script.reconnect();
        let first = script.sent();
        assert!(first[0].get("recover").is_some(), "{first:?}");
        let refusal = json!({"code": "forbidden", "reason": "history of \"a\" is not granted"});
        script.reply_to(&first[0], refusal, json!({"event": "error"}));
        let second = script.sent();
        assert!(second[0].get("recover").is_none(), "{second:?}");
        script.reply_to(
            &second[0],
            json!({"epoch": "e", "offset": offset}),
            json!({"event": "subscribed", "topic": "a"}),
        );
    }
    assert_eq!(script.heard(1), ["resumed", "gap a 5..7", "resumed", "gap a 8..9"]);
    script.reconnect();
    for refused in 0..2 {
        script.reply(json!({"code": "forbidden", "reason": "no"}), json!({"event": "error"}));
        assert_eq!(script.heard(1).len(), refused);
    }
    assert!(script.sent().is_empty());
}

#[test]
fn a_subscription_begins_with_its_past_although_the_operator_has_made_one_before() {
    let mut script = Script::connected();
    script.says(json!({"event": "subscribed", "topic": "a", "epoch": "e", "offset": 4}));
    script.message("a", "e", 5);
    assert!(script.sent().is_empty());
    script.subscribe(1, topic_of("a"), Start::Last(2));
    let sent = script.sent();
    let actions: Vec<_> = sent.iter().map(|request| request["action"].as_str().unwrap()).collect();
    assert_eq!(actions, ["unsubscribe", "subscribe"], "the server replays nothing to who is subscribed already");
    script.says(json!({"event": "unsubscribed", "topic": "a", "id": sent[0]["id"]}));
    let reply = json!({"epoch": "e", "offset": 5, "replayed": 2});
    script.reply_to(&sent[1], reply, json!({"event": "subscribed", "topic": "a"}));
    [4, 5].into_iter().for_each(|offset| script.message("a", "e", offset));
    assert_eq!(script.heard(1), ["a 4", "a 5"]);
    // One that was asked for is not made anew.
    script.says(json!({"event": "subscribed", "topic": "a", "epoch": "e", "offset": 5}));
    script.subscribe(2, topic_of("a"), Start::Live);
    assert_eq!(script.sent().len(), 1);
}
