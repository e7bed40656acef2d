//! Tokens that end, are refused, or do not come, as the machine sees them: what waits, and what ends.

use crate::renewal::{HOUR, asked, begun, connected};
use crate::script::{Script, topic_of};
use hubcast_client::TokenReason;
use hubcast_client::machine::{Answer, Closed, Failure, Input, State, SubscriptionId, TokenFailure};
use hubcast_protocol::request::Start;
use serde_json::json;
use std::time::Duration;

fn closed(script: &Script) -> Closed {
    match script.state() {
        Some(State::Closed(why)) => why,
        other => panic!("{other:?}"),
    }
}

#[test]
fn requests_that_the_end_of_a_token_refuses_wait_for_the_next_one_in_their_order() {
    let mut script = connected();
    let [first, second] = ["one", "two"].map(|text| script.publish("a", text, true));
    let refused = script.sent();
    script.expired();
    assert_eq!(asked(&mut script), [TokenReason::Expiring]);
    for request in &refused {
        script.reply_to(request, json!({"code": "token_expired", "reason": "over"}), json!({"event": "error"}));
    }
    let third = script.publish("a", "three", true);
    assert!(script.sent().is_empty(), "nothing is sent in vain");
    script.give("t2", Some(HOUR));
    script.authenticated("t2");
    let again = script.sent();
    let texts: Vec<_> = again.iter().map(|request| request["message"].as_str().unwrap()).collect();
    assert_eq!(texts, ["one", "two", "three"]);
    assert_eq!(again[..2], refused[..], "with their numbers, and so with effect once");
    for (request, ticket) in again.iter().zip([first, second, third]) {
        script.reply_to(request, json!({"topic": "a", "receivers": 1}), json!({"event": "published"}));
        assert!(matches!(script.result(ticket), Some(Ok(Answer::Published(_)))));
    }
}

#[test]
fn requests_that_wait_for_a_token_go_to_the_next_connection_if_none_comes() {
    let mut script = connected();
    let ticket = script.publish("a", "one", true);
    let sent = script.sent();
    script.reply_to(&sent[0], json!({"code": "token_expired", "reason": "over"}), json!({"event": "error"}));
    script.fail_to_give(TokenFailure::Failed("the backend is away".into()));
    script.close(4001);
    script.pass();
    script.give("t2", Some(HOUR));
    script.open("t2");
    assert_eq!(script.sent(), sent);
    assert_eq!(script.result(ticket), None);
}

#[test]
fn resumes_and_changes_wait_for_the_token_too() {
    let mut script = connected();
    for (id, topic) in [(1, "a"), (2, "b")] {
        script.subscribe(id, topic_of(topic), Start::Live);
        script.reply(json!({"epoch": "e", "offset": 4}), json!({"event": "subscribed", "topic": topic}));
    }
    script.lose();
    script.pass();
    script.open("t1");
    let resumes = script.sent();
    script.reply_to(
        &resumes[1],
        json!({"epoch": "e", "offset": 4, "recovered": true}),
        json!({"event": "subscribed", "topic": "b"}),
    );
    script.input(Input::Unsubscribe(SubscriptionId(2)));
    let unsubscribe = script.sent();
    for request in [&resumes[0], &unsubscribe[0]] {
        script.reply_to(request, json!({"code": "token_expired", "reason": "over"}), json!({"event": "error"}));
    }
    assert!(script.sent().is_empty());
    script.give("t2", Some(HOUR));
    script.authenticated("t2");
    let again = script.sent();
    let actions: Vec<_> = again.iter().map(|request| (&request["action"], &request["topic"])).collect();
    assert_eq!(actions, [(&json!("subscribe"), &json!("a")), (&json!("unsubscribe"), &json!("b"))]);
}

#[test]
fn without_a_token_of_its_own_a_client_is_told_that_the_token_has_ended() {
    let mut script = Script::connected();
    let ticket = script.publish("a", "x", true);
    script.expired();
    script.reply(json!({"code": "token_expired", "reason": "over"}), json!({"event": "error"}));
    assert!(matches!(script.result(ticket), Some(Err(Failure::Refused(_)))));
    script.publish("a", "y", true);
    assert_eq!(script.sent().len(), 1);
}

#[test]
fn three_tokens_that_are_refused_on_the_connection_end_the_client() {
    let mut script = connected();
    script.expired();
    assert_eq!(asked(&mut script), [TokenReason::Expiring]);
    for number in 2..5 {
        let text = format!("t{number}");
        script.give(&text, Some(HOUR));
        script.reply(json!({"code": "token_invalid", "reason": "forged"}), json!({"event": "error"}));
        if number < 4 {
            let wait = script.pass();
            assert!((1..=2).contains(&wait.as_secs()), "{wait:?}");
            assert_eq!(asked(&mut script), [TokenReason::Refused]);
        }
    }
    assert_eq!(closed(&script), Closed::TokenRefused { reason: "forged".into() });
}

#[test]
fn a_server_that_cannot_look_at_a_token_now_refuses_none() {
    let mut script = connected();
    script.expired();
    for _ in 0..5 {
        script.give("t2", Some(HOUR));
        script.reply(json!({"code": "rate_limited", "reason": "slow", "retry": true}), json!({"event": "error"}));
        asked(&mut script);
        script.pass();
        assert_eq!(asked(&mut script), [TokenReason::Expiring]);
    }
    script.give("t2", Some(HOUR));
    script.authenticated("t2");
}

#[test]
fn a_handshake_with_a_refused_token_is_repeated_at_once_and_later_with_pauses() {
    let mut script = begun();
    asked(&mut script);
    script.give("kept", Some(HOUR));
    script.refuse_token();
    assert_eq!(asked(&mut script), [TokenReason::Refused], "one that was kept may be old");
    script.give("t2", Some(HOUR));
    script.refuse_token();
    assert_eq!(script.state(), Some(State::Waiting));
    assert!(script.pass() >= Duration::from_millis(500));
    assert_eq!(asked(&mut script), [TokenReason::Refused]);
    script.give("t3", Some(HOUR));
    script.refuse_token();
    assert_eq!(closed(&script), Closed::TokenRefused { reason: "401".into() });
}

#[test]
fn a_welcome_forgets_the_refusals_before_it() {
    let mut script = connected();
    for _ in 0..4 {
        script.lose();
        script.pass();
        for _ in 0..2 {
            script.refuse_token();
            if script.state() == Some(State::Waiting) {
                script.pass();
            }
            assert_eq!(asked(&mut script), [TokenReason::Refused]);
            script.give("new", Some(HOUR));
        }
        script.open("new");
    }
}

#[test]
fn a_program_without_a_token_is_asked_again_after_the_usual_pauses() {
    let mut script = begun();
    for _ in 0..9 {
        asked(&mut script);
        script.fail_to_give(TokenFailure::Failed("the backend is away".into()));
        let status = script.status().unwrap();
        assert_eq!((status.state, status.last_loss.unwrap().reason.as_str()), (State::Waiting, "the backend is away"));
        assert!(script.pass() <= Duration::from_secs(1));
        assert_eq!(asked(&mut script), [TokenReason::First]);
    }
    script.give("t1", Some(HOUR));
    script.open("t1");
}

#[test]
fn a_user_that_is_not_allowed_closes_the_client_in_every_phase() {
    let not_allowed = || TokenFailure::NotAllowed("the account is closed".into());
    let mut before = begun();
    let mut later = connected();
    later.pass();
    let mut away = connected();
    away.lose();
    away.wait(HOUR);
    for script in [&mut before, &mut later, &mut away] {
        script.fail_to_give(not_allowed());
        assert_eq!(closed(script), Closed::NotAllowed { reason: "the account is closed".into() });
        script.give("late", None);
        assert!(script.sent().is_empty());
    }
}
