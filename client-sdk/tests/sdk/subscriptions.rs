//! Subscriptions: which of them receives which publication, and how they resume after a reconnect.

use crate::script::{FIRST_ID, Script, pattern_of, topic_of};
use hubcast_client::machine::{
    Answer, Command, Config, Effect, Failure, Input, Source, SubscribeRequest, SubscriptionId,
};
use hubcast_protocol::request::{Slow, Start};
use hubcast_protocol::{CloseCode, Position};
use serde_json::json;
use std::time::Duration;

#[test]
fn a_subscription_is_resumed_from_its_position() {
    let mut script = Script::connected();
    script.subscribed(1, "a", json!({"epoch": "e", "offset": 40}));
    script.message("a", "e", 41);
    script.reconnect();
    let sent = script.sent();
    assert_eq!(sent[0]["recover"], json!({"epoch": "e", "offset": 41}));
    assert_eq!(script.heard(1), ["a 41"]);
    let reply = json!({"epoch": "e", "offset": 43, "recovered": true, "replayed": 2});
    script.reply_to(&sent[0], reply, json!({"event": "subscribed", "topic": "a"}));
    script.message("a", "e", 42);
    script.message("a", "e", 43);
    script.message("a", "e", 44);
    assert_eq!(script.heard(1), ["recovered, 2 follow", "a 42", "a 43", "a 44"]);
}

#[test]
fn nothing_is_delivered_before_the_subscription_stands_again() {
    let mut script = Script::connected();
    script.subscribed(1, "a", json!({"epoch": "e", "offset": 40}));
    script.reconnect();
    script.message("a", "e", 45);
    assert!(script.heard(1).is_empty());
}

#[test]
fn what_could_not_be_recovered_is_named() {
    let mut script = Script::connected();
    script.subscribed(1, "a", json!({"epoch": "e", "offset": 40}));
    script.reconnect();
    script
        .reply(json!({"epoch": "e", "offset": 200, "recovered": false}), json!({"event": "subscribed", "topic": "a"}));
    script.message("a", "e", 201);
    assert_eq!(script.heard(1), ["resumed", "gap a 41..200", "a 201"]);
    script.reconnect();
    script.reply(json!({"epoch": "f", "offset": 3, "recovered": false}), json!({"event": "subscribed", "topic": "a"}));
    script.message("a", "f", 4);
    assert_eq!(script.heard(1), ["resumed", "gap a ?..?", "a 4"]);
}

#[test]
fn who_began_with_the_last_ones_gets_them_again_when_the_position_is_gone() {
    let mut script = Script::connected();
    script.subscribe(1, topic_of("a"), Start::Last(2));
    let begin = json!({"epoch": "e", "offset": 5, "replayed": 2});
    script.reply(begin, json!({"event": "subscribed", "topic": "a"}));
    [4, 5].into_iter().for_each(|offset| script.message("a", "e", offset));
    script.reconnect();
    let sent = script.sent();
    let asked = (&sent[0]["recover"], &sent[0]["or_last"], &sent[0]["last"]);
    assert_eq!(asked, (&json!({"epoch": "e", "offset": 5}), &json!(2), &json!(null)));
    let evicted = json!({"epoch": "e", "offset": 12, "recovered": false, "replayed": 2});
    script.reply_to(&sent[0], evicted, json!({"event": "subscribed", "topic": "a"}));
    [11, 12, 13].into_iter().for_each(|offset| script.message("a", "e", offset));
    assert_eq!(script.heard(1), ["a 4", "a 5", "resumed", "gap a 6..10", "a 11", "a 12", "a 13"]);
    script.reconnect();
    let crashed = json!({"epoch": "f", "offset": 1, "recovered": false, "replayed": 1});
    script.reply(crashed, json!({"event": "subscribed", "topic": "a"}));
    [1, 2].into_iter().for_each(|offset| script.message("a", "f", offset));
    assert_eq!(script.heard(1), ["resumed", "gap a ?..?", "a 1", "a 2"]);
}

#[test]
fn a_position_beyond_the_history_swallows_nothing() {
    let mut script = Script::connected();
    let beyond = Position { epoch: "e".parse().unwrap(), offset: 999 };
    script.subscribe(1, topic_of("a"), Start::AfterOrLast(beyond, 2));
    let reply = json!({"epoch": "e", "offset": 5, "recovered": false, "replayed": 2});
    script.reply(reply, json!({"event": "subscribed", "topic": "a"}));
    [4, 5, 6].into_iter().for_each(|offset| script.message("a", "e", offset));
    assert_eq!(script.heard(1), ["resumed", "gap a ?..?", "a 4", "a 5", "a 6"]);
}

#[test]
fn who_is_within_what_another_one_gets_back_has_lost_nothing() {
    let mut script = Script::connected();
    let at = |offset| Position { epoch: "e".parse().unwrap(), offset };
    for (id, offset) in [(1, 2), (2, 8)] {
        script.subscribe(id, topic_of("a"), Start::AfterOrLast(at(offset), 4));
        let end = json!({"epoch": "e", "offset": offset, "recovered": true, "replayed": 0});
        script.reply(end, json!({"event": "subscribed", "topic": "a"}));
    }
    // The first has read less than the second: it is asked for both, from there.
    script.heard(1);
    script.heard(2);
    script.reconnect();
    let evicted = json!({"epoch": "e", "offset": 10, "recovered": false, "replayed": 4});
    script.reply(evicted, json!({"event": "subscribed", "topic": "a"}));
    [7, 8, 9, 10].into_iter().for_each(|offset| script.message("a", "e", offset));
    assert_eq!(script.heard(1), ["resumed", "gap a 3..6", "a 7", "a 8", "a 9", "a 10"]);
    assert_eq!(script.heard(2), ["recovered, 4 follow", "a 9", "a 10"]);
}

#[test]
fn without_a_history_a_reconnect_is_a_gap() {
    let mut script = Script::connected();
    script.subscribed(1, "a", json!({}));
    script.says(json!({"event": "message", "topic": "a", "message": "m"}));
    script.reconnect();
    script.reply(json!({}), json!({"event": "subscribed", "topic": "a"}));
    script.says(json!({"event": "message", "topic": "a", "message": "m"}));
    assert_eq!(script.heard(1), ["a ?", "resumed", "gap a ?..?", "a ?"]);
}

#[test]
fn duplicates_are_dropped_and_missing_offsets_are_a_gap() {
    let mut script = Script::connected();
    script.subscribed(1, "a", json!({"epoch": "e", "offset": 5}));
    for offset in [5, 6, 6, 7, 3, 10] {
        script.message("a", "e", offset);
    }
    assert_eq!(script.heard(1), ["a 6", "a 7", "gap a 8..9", "a 10"]);
}

#[test]
fn a_gap_of_the_server_is_passed_on_once_and_not_found_again() {
    let mut script = Script::connected();
    script.subscribed(1, "a", json!({"epoch": "e", "offset": 5}));
    for _ in 0..2 {
        script.says(json!({"event": "gap", "topic": "a", "from": 6, "to": 9, "reason": "slow_consumer"}));
    }
    script.message("a", "e", 10);
    assert_eq!(script.heard(1), ["gap a 6..9", "a 10"]);
}

#[test]
fn that_joins_and_leaves_were_left_out_is_reported_to_those_who_asked_for_them_and_no_publication_is_missed() {
    let mut script = Script::connected();
    for (id, presence) in [(1, true), (2, false)] {
        let listen =
            SubscribeRequest { presence, slow: Slow::Drop, ..SubscribeRequest::live(Source::Target(topic_of("a"))) };
        script.command(Command::Subscribe(SubscriptionId(id), listen));
        script.reply(json!({"epoch": "e", "offset": 5}), json!({"event": "subscribed", "topic": "a"}));
    }
    script.says(json!({"event": "gap", "topic": "a", "reason": "missed_presence"}));
    script.message("a", "e", 6);
    assert_eq!([1, 2].map(|id| script.heard(id)), [vec!["gap a ?..?", "a 6"], vec!["a 6"]]);
    script.reconnect();
    assert_eq!(script.sent()[0]["recover"], json!({"epoch": "e", "offset": 6}));
}

#[test]
fn after_a_gap_a_subscription_is_resumed_from_where_the_gap_ends() {
    let mut script = Script::connected();
    script.subscribed(1, "a", json!({"epoch": "e", "offset": 5}));
    let pattern = Source::Target(pattern_of("*"));
    let listen = SubscribeRequest { source: pattern, start: Start::Live, presence: false, slow: Slow::Drop };
    script.command(Command::Subscribe(SubscriptionId(2), listen));
    script.reply(json!({}), json!({"event": "subscribed", "pattern": "*"}));
    let gap = json!({"event": "gap", "topic": "a", "epoch": "f", "from": 2, "to": 3, "reason": "slow_consumer"});
    script.says(gap);
    assert_eq!(script.heard(1), ["gap a ?..3"]);
    assert_eq!(script.heard(2), ["gap a 2..3"]);
    script.reconnect();
    let sent = script.sent();
    let end = json!({"epoch": "f", "offset": 3});
    assert_eq!(sent[0]["recover"], end);
    assert_eq!(sent[1]["recover"], json!({"a": end}));
}

#[test]
fn an_own_publication_without_echo_is_no_gap() {
    let mut script = Script::connected();
    script.subscribed(1, "a", json!({"epoch": "e", "offset": 5}));
    script.publish("a", "x", false);
    script.reply(json!({"topic": "a", "offset": 6, "receivers": 0}), json!({"event": "published"}));
    script.message("a", "e", 7);
    assert_eq!(script.heard(1), ["a 7"]);
}

#[test]
fn a_newcomer_gets_the_past_that_it_asked_for_and_the_others_do_not() {
    let mut script = Script::connected();
    script.subscribed(1, "a", json!({"epoch": "e", "offset": 5}));
    script.subscribe(2, topic_of("a"), Start::Last(2));
    script.reply(json!({"epoch": "e", "offset": 5, "replayed": 2}), json!({"event": "subscribed", "topic": "a"}));
    for offset in [4, 5, 6] {
        script.message("a", "e", offset);
    }
    assert_eq!(script.heard(1), ["a 6"]);
    assert_eq!(script.heard(2), ["a 4", "a 5", "a 6"]);
}

#[test]
fn subscriptions_of_one_topic_come_back_with_one_request() {
    let mut script = Script::connected();
    script.subscribed(1, "a", json!({"epoch": "e", "offset": 5}));
    script.subscribed(2, "a", json!({"epoch": "e", "offset": 5}));
    script.message("a", "e", 6);
    script.effects.clear();
    script.reconnect();
    script.reply(json!({"epoch": "e", "offset": 6, "recovered": true}), json!({"event": "subscribed", "topic": "a"}));
    for id in [1, 2] {
        assert_eq!(script.heard(id), ["recovered, 0 follow"]);
    }
}

#[test]
fn the_server_learns_when_the_last_of_a_topic_is_dropped() {
    let mut script = Script::connected();
    script.subscribed(1, "a", json!({}));
    script.subscribed(2, "a", json!({}));
    script.input(Input::Unsubscribe(SubscriptionId(1)));
    assert!(script.sent().is_empty());
    script.input(Input::Unsubscribe(SubscriptionId(2)));
    let sent = script.sent();
    assert_eq!((sent[0]["action"].as_str(), sent[0]["topic"].as_str()), (Some("unsubscribe"), Some("a")));
    script.message("a", "e", 1);
    assert!(script.heard(2).is_empty());
    script.reconnect();
    assert!(script.sent().is_empty());
}

#[test]
fn who_shares_a_topic_gets_what_any_of_them_needs() {
    let mut script = Script::connected();
    script.subscribed(1, "a", json!({}));
    let source = Source::Target(topic_of("a"));
    let listen = SubscribeRequest { presence: true, slow: Slow::Latest, ..SubscribeRequest::live(source) };
    script.command(Command::Subscribe(SubscriptionId(2), listen));
    let sent = script.sent();
    assert_eq!((&sent[0]["presence"], &sent[0]["slow"]), (&json!(true), &json!(null)));
    script.reply_to(&sent[0], json!({}), json!({"event": "subscribed", "topic": "a"}));
    script.says(json!({"event": "join", "topic": "a", "client": FIRST_ID}));
    script.says(json!({"event": "leave", "topic": "a", "client": FIRST_ID}));
    assert!(script.heard(1).is_empty());
    assert_eq!(script.heard(2), [format!("join {FIRST_ID}"), format!("leave {FIRST_ID}")]);
}

#[test]
fn a_pattern_is_resumed_topic_by_topic() {
    let mut script = Script::connected();
    script.subscribe(1, pattern_of("a.>"), Start::Live);
    script.reply(json!({}), json!({"event": "subscribed", "pattern": "a.>"}));
    script.message("a.x", "e", 7);
    script.message("a.y", "f", 1);
    script.message("b", "g", 1);
    assert_eq!(script.heard(1), ["a.x 7", "a.y 1"]);
    script.reconnect();
    let sent = script.sent();
    let positions = json!({"a.x": {"epoch": "e", "offset": 7}, "a.y": {"epoch": "f", "offset": 1}});
    assert_eq!(sent[0]["recover"], positions);
    script.reply_to(
        &sent[0],
        json!({"recovered": false, "replayed": 1}),
        json!({"event": "subscribed", "pattern": "a.>"}),
    );
    script.message("a.x", "e", 8);
    script.says(json!({"event": "gap", "topic": "a.y", "epoch": "h", "offset": 3, "reason": "not_recoverable"}));
    script.message("a.y", "h", 4);
    assert_eq!(script.heard(1), ["resumed", "a.x 8", "gap a.y ?..?", "a.y 4"]);
}

#[test]
fn a_pattern_that_heard_nothing_cannot_know_what_it_missed() {
    let mut script = Script::connected();
    script.subscribe(1, pattern_of("a.*"), Start::Live);
    script.reply(json!({}), json!({"event": "subscribed", "pattern": "a.*"}));
    script.reconnect();
    script.reply(json!({}), json!({"event": "subscribed", "pattern": "a.*"}));
    assert_eq!(script.heard(1), ["resumed", "gap ? ?..?"]);
}

#[test]
fn a_topic_and_a_pattern_hear_the_one_copy_that_comes() {
    let mut script = Script::connected();
    script.subscribed(1, "a.x", json!({"epoch": "e", "offset": 0}));
    script.subscribe(2, pattern_of("a.*"), Start::Live);
    script.reply(json!({}), json!({"event": "subscribed", "pattern": "a.*"}));
    script.message("a.x", "e", 1);
    assert_eq!((script.heard(1), script.heard(2)), (vec!["a.x 1".to_owned()], vec!["a.x 1".to_owned()]));
}

#[test]
fn a_resume_that_would_be_too_long_for_the_server_is_shortened() {
    let mut script = Script::connected_with(Config { topics_per_pattern: 2000, ..Config::default() });
    script.subscribe(1, pattern_of(">"), Start::Live);
    script.reply(json!({}), json!({"event": "subscribed", "pattern": ">"}));
    for topic in 0..1000 {
        script.message(&format!("{topic}-{}", "x".repeat(100)), "e", 1);
    }
    script.effects.clear();
    script.reconnect();
    let sent = script.sent();
    assert!(sent[0].to_string().len() <= 65536);
    assert!(sent[0]["recover"].as_object().unwrap().len() >= 200);
    script.reply_to(&sent[0], json!({"recovered": true}), json!({"event": "subscribed", "pattern": ">"}));
    assert_eq!(script.heard(1), ["resumed", "gap ? ?..?"]);
}

#[test]
fn direct_messages_come_without_asking_and_a_new_id_is_a_gap() {
    let mut script = Script::connected();
    let direct = script.command(Command::Subscribe(SubscriptionId(1), SubscribeRequest::live(Source::Direct)));
    assert!(matches!(script.result(direct), Some(Ok(Answer::Subscribed { .. }))));
    script.says(json!({"event": "message", "topic": FIRST_ID, "message": "psst"}));
    assert_eq!(script.heard(1), [format!("{FIRST_ID} ?")]);
    script.lose();
    script.pass();
    let second = "08080808-0808-4808-8808-080808080808";
    script.welcome_as(second);
    script.says(json!({"event": "message", "topic": second, "message": "psst"}));
    assert_eq!(script.heard(1), ["resumed", "gap ? ?..?", &format!("{second} ?")]);
    assert!(script.sent().is_empty());
}

#[test]
fn a_server_that_is_short_of_something_is_asked_again_after_a_pause() {
    let mut script = Script::connected();
    script.subscribed(1, "a", json!({"epoch": "e", "offset": 5}));
    script.reconnect();
    script.reply(json!({"code": "unavailable", "reason": "wait", "retry": true}), json!({"event": "error"}));
    let pause = script.pass();
    assert!((Duration::from_millis(250)..=Duration::from_millis(500)).contains(&pause), "{pause:?}");
    script.reply(json!({"epoch": "e", "offset": 5, "recovered": true}), json!({"event": "subscribed", "topic": "a"}));
    assert_eq!(script.heard(1), ["recovered, 0 follow"]);
}

#[test]
fn a_resume_without_an_answer_costs_the_connection_in_time() {
    let mut script = Script::connected();
    script.subscribed(1, "a", json!({"epoch": "e", "offset": 5}));
    script.reconnect();
    script.sent();
    script.wait(Duration::from_secs(20));
    script.input(Input::Heard);
    assert_eq!(script.pass(), Duration::from_secs(10));
    assert!(script.took(&Effect::Close(CloseCode::PING_TIMEOUT)));
    script.pass();
    script.welcome();
    assert_eq!(script.sent()[0]["recover"], json!({"epoch": "e", "offset": 5}));
}

#[test]
fn a_subscribe_without_an_answer_fails_in_time_and_leaves_nothing() {
    let mut script = Script::connected();
    let ticket = script.subscribe(1, topic_of("a"), Start::Live);
    let sent = script.sent();
    for _ in 0..2 {
        script.now += Duration::from_secs(15);
        script.input(Input::Heard);
    }
    script.pass();
    assert_eq!(script.result(ticket), Some(Err(Failure::Timeout { key: None })));
    assert_eq!(script.sent()[0]["action"], "unsubscribe");
    script.reply_to(&sent[0], json!({}), json!({"event": "subscribed", "topic": "a"}));
    script.message("a", "e", 1);
    assert!(script.heard(1).is_empty());
}

#[test]
fn a_subscribe_under_way_survives_a_reconnect() {
    let mut script = Script::connected();
    let ticket = script.subscribe(1, topic_of("a"), Start::Last(3));
    script.sent();
    script.reconnect();
    let sent = script.sent();
    assert_eq!(sent[0]["last"], 3);
    script.reply_to(&sent[0], json!({}), json!({"event": "subscribed", "topic": "a"}));
    assert!(matches!(script.result(ticket), Some(Ok(Answer::Subscribed { .. }))));
    assert!(script.heard(1).is_empty());
}
