//! Subscriptions whose topics overlap: what the server sends for one of them reaches the others too. The simulation
//! found these cases.

use crate::script::{Script, pattern_of, topic_of};
use hubcast_client::machine::{Config, Input, SubscriptionId};
use hubcast_protocol::request::Start;
use serde_json::json;
use std::time::Duration;

/// Subscribes to a pattern from now on, as subscription `id`, and confirms it as the server.
fn listen(script: &mut Script, id: u64, pattern: &str) {
    script.subscribe(id, pattern_of(pattern), Start::Live);
    script.reply(json!({}), json!({"event": "subscribed", "pattern": pattern}));
}

#[test]
fn subscriptions_of_one_pattern_that_stand_at_different_places_come_back_with_one_request() {
    let mut script = Script::connected();
    listen(&mut script, 1, ">");
    script.message("a", "e", 4);
    script.message("b", "f", 1);
    listen(&mut script, 2, ">");
    script.message("a", "e", 5);
    assert_eq!((script.heard(1).len(), script.heard(2).len()), (3, 1));
    script.reconnect();
    let sent = script.sent();
    let positions = json!({"a": {"epoch": "e", "offset": 5}, "b": {"epoch": "f", "offset": 1}});
    assert_eq!((sent.len(), &sent[0]["recover"]), (1, &positions));
    script.reply_to(
        &sent[0],
        json!({"recovered": true, "replayed": 1}),
        json!({"event": "subscribed", "pattern": ">"}),
    );
    script.message("a", "e", 6);
    for id in [1, 2] {
        assert_eq!(script.heard(id), ["recovered, 1 follow", "a 6"]);
    }
}

#[test]
fn the_past_that_one_pattern_gets_back_is_not_heard_by_another_that_began_after_it() {
    let mut script = Script::connected();
    listen(&mut script, 1, "a.*");
    script.message("a.x", "e", 1);
    listen(&mut script, 2, ">");
    script.reconnect();
    let sent = script.sent();
    script.reply_to(&sent[0], json!({}), json!({"event": "subscribed", "pattern": ">"}));
    script.reply_to(
        &sent[1],
        json!({"recovered": true, "replayed": 2}),
        json!({"event": "subscribed", "pattern": "a.*"}),
    );
    script.message("a.x", "e", 2);
    script.message("a.x", "e", 3);
    script.message("a.x", "e", 4);
    assert_eq!(script.heard(1), ["a.x 1", "recovered, 2 follow", "a.x 2", "a.x 3", "a.x 4"]);
    assert_eq!(script.heard(2), ["resumed", "gap ? ?..?", "a.x 4"]);
}

#[test]
fn what_comes_back_for_a_topic_and_again_for_a_pattern_is_heard_once_by_each() {
    let mut script = Script::connected();
    script.subscribed(1, "a", json!({"epoch": "e", "offset": 5}));
    listen(&mut script, 2, ">");
    script.message("a", "e", 6);
    script.reconnect();
    let sent = script.sent();
    let [topic, pattern] = &sent[..] else { panic!("{sent:?}") };
    let after = json!({"epoch": "e", "offset": 6});
    assert_eq!((&topic["recover"], &pattern["recover"]), (&after, &json!({"a": after})));
    let end = json!({"epoch": "e", "offset": 8, "recovered": true, "replayed": 2});
    script.reply_to(topic, end, json!({"event": "subscribed", "topic": "a"}));
    [7, 8, 9].into_iter().for_each(|offset| script.message("a", "e", offset));
    script.reply_to(pattern, json!({"recovered": true, "replayed": 3}), json!({"event": "subscribed", "pattern": ">"}));
    [7, 8, 9, 10].into_iter().for_each(|offset| script.message("a", "e", offset));
    assert_eq!(script.heard(1), ["a 6", "recovered, 2 follow", "a 7", "a 8", "a 9", "a 10"]);
    assert_eq!(script.heard(2), ["a 6", "recovered, 3 follow", "a 7", "a 8", "a 9", "a 10"]);
}

#[test]
fn that_a_topic_is_gone_is_no_loss_for_who_never_heard_it() {
    let mut script = Script::connected();
    listen(&mut script, 1, ">");
    script.says(json!({"event": "gap", "topic": "a", "reason": "not_recoverable"}));
    script.says(json!({"event": "gap", "topic": "b", "epoch": "e", "offset": 4, "reason": "not_recoverable"}));
    script.message("a", "e", 1);
    assert_eq!(script.heard(1), ["a 1"]);
}

#[test]
fn the_past_that_nobody_waits_for_any_more_is_not_heard_by_others() {
    let mut script = Script::connected();
    listen(&mut script, 1, ">");
    script.subscribe(2, topic_of("a"), Start::Last(2));
    let sent = script.sent();
    script.input(Input::Unsubscribe(SubscriptionId(2)));
    script.reply_to(
        &sent[0],
        json!({"epoch": "e", "offset": 5, "replayed": 2}),
        json!({"event": "subscribed", "topic": "a"}),
    );
    for offset in [4, 5, 6] {
        script.message("a", "e", offset);
    }
    assert_eq!(script.heard(1), ["a 6"]);
}

#[test]
fn a_pattern_says_after_every_reconnect_that_it_cannot_resume_all_it_heard() {
    let mut script = Script::connected_with(Config { topics_per_pattern: 2, ..Config::default() });
    listen(&mut script, 1, ">");
    ["a", "b", "c"].into_iter().for_each(|topic| script.message(topic, "e", 1));
    script.heard(1);
    for _ in 0..2 {
        script.reconnect();
        script.reply(json!({"recovered": true}), json!({"event": "subscribed", "pattern": ">"}));
        assert_eq!(script.heard(1), ["resumed", "gap ? ?..?"]);
    }
}

#[test]
fn an_own_publication_without_echo_is_no_gap_behind_others_or_after_its_time() {
    let mut script = Script::connected();
    script.subscribed(1, "a", json!({"epoch": "e", "offset": 5}));
    script.publish("a", "x", false);
    let sent = script.sent();
    script.wait(Duration::from_secs(30));
    script.reply_to(&sent[0], json!({"topic": "a", "offset": 7, "receivers": 0}), json!({"event": "published"}));
    script.says(json!({"event": "gap", "topic": "a", "from": 6, "to": 6, "reason": "slow_consumer"}));
    script.message("a", "e", 8);
    assert_eq!(script.heard(1), ["gap a 6..6", "a 8"]);
}

#[test]
fn an_own_publication_without_echo_that_a_new_connection_answers_is_not_that_of_the_old_one() {
    let mut script = Script::connected();
    script.subscribed(1, "a", json!({"epoch": "e", "offset": 5}));
    script.publish("a", "x", false);
    let given_up = script.sent();
    script.wait(Duration::from_secs(30));
    script.reconnect();
    script.reply(json!({"epoch": "e", "offset": 5, "recovered": true}), json!({"event": "subscribed", "topic": "a"}));
    let published = json!({"topic": "a", "offset": 6, "receivers": 0});
    script.reply_to(&given_up[0], published, json!({"event": "published"}));
    script.message("a", "e", 7);
    assert_eq!(script.heard(1), ["recovered, 0 follow", "gap a 6..6", "a 7"]);
}

#[test]
fn an_own_publication_without_echo_that_opens_a_topic_is_no_gap_under_a_pattern_that_was_resumed() {
    let mut script = Script::connected();
    listen(&mut script, 1, ">");
    script.message("b", "e", 1);
    script.reconnect();
    script.reply(json!({"recovered": true}), json!({"event": "subscribed", "pattern": ">"}));
    script.heard(1);
    for offset in 1..=2 {
        script.publish("a", "x", false);
        script.reply(json!({"topic": "a", "offset": offset, "receivers": 0}), json!({"event": "published"}));
    }
    script.message("a", "e", 3);
    script.message("a", "e", 4);
    assert_eq!(script.heard(1), ["a 3", "a 4"]);
}
