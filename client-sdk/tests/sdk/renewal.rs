//! Tokens, as the machine sees them: when it asks for one, where it shows it, and what waits for it.

use crate::script::{FIRST_ID, Script, topic_of};
use hubcast_client::TokenReason;
use hubcast_client::machine::{
    Answer, Closed, Command, Config, Disconnection, Effect, Failure, GivenToken, Input, State, TokenFailure,
};
use hubcast_protocol::AccessToken;
use hubcast_protocol::request::Start;
use serde_json::{Value, json};
use std::time::Duration;

const HOUR: Duration = Duration::from_secs(3600);

/// A machine whose program gives tokens. It was told to connect.
fn begun() -> Script {
    let mut script = Script::new(Config { has_tokens: true, ..Config::default() });
    script.command(Command::Connect);
    script
}

/// A machine that is connected with the token `t1`, which lasts an hour.
fn connected() -> Script {
    let mut script = begun();
    assert_eq!(asked(&mut script), [TokenReason::First]);
    script.give("t1", Some(HOUR));
    script.open("t1");
    script
}

fn token(text: &str) -> AccessToken {
    AccessToken::new(text).unwrap()
}

/// Takes out the questions for tokens.
fn asked(script: &mut Script) -> Vec<TokenReason> {
    let asked = script.effects.extract_if(.., |effect| matches!(effect, Effect::AskToken(_)));
    asked.map(|effect| if let Effect::AskToken(reason) = effect { reason } else { panic!("{effect:?}") }).collect()
}

fn closed(script: &Script) -> Closed {
    match script.state() {
        Some(State::Closed(why)) => why,
        other => panic!("{other:?}"),
    }
}

impl Script {
    /// Gives a token to the machine, as the program.
    fn give(&mut self, text: &str, lifetime: Option<Duration>) {
        self.input(Input::Token(Ok(GivenToken { token: token(text), lifetime, clock: 1_000 })));
    }

    fn fail_to_give(&mut self, failure: TokenFailure) {
        self.input(Input::Token(Err(failure)));
    }

    /// Opens the connection that the machine asked for with this token, and welcomes Ada.
    fn open(&mut self, text: &str) {
        self.open_for(text, json!("ada"));
    }

    fn open_for(&mut self, text: &str, user: Value) {
        assert!(self.took(&Effect::Connect(Some(token(text)))), "{:?}", self.effects);
        self.input(Input::Connected);
        let limits = json!({"message": 300, "topic": 100, "subscriptions": 9});
        let mut welcome = json!({"event": "welcome", "client": FIRST_ID, "server": "h", "ping": 0, "limits": limits});
        if !user.is_null() {
            welcome["user"] = user;
        }
        self.says(welcome);
    }

    /// Refuses the handshake because of its token.
    fn refuse_token(&mut self) {
        self.effects.retain(|effect| !matches!(effect, Effect::Connect(_)));
        self.input(Input::Disconnected(Disconnection::TokenRefused { reason: "401".into() }));
    }

    /// Answers the `authenticate` with this token.
    fn authenticated(&mut self, text: &str) {
        let sent = self.sent();
        assert_eq!((&sent[0]["action"], &sent[0]["token"]), (&json!("authenticate"), &json!(text)), "{sent:?}");
        self.reply_to(&sent[0], json!({"user": "ada", "expires": 9_000}), json!({"event": "authenticated"}));
    }

    fn expired(&mut self) {
        self.says(json!({"event": "error", "code": "token_expired", "reason": "over", "retry": false}));
    }
}

#[test]
fn a_token_is_asked_for_before_the_first_attempt_and_kept_over_reconnects() {
    let mut script = begun();
    assert_eq!(script.state(), Some(State::Connecting));
    assert!(!script.effects.iter().any(|effect| matches!(effect, Effect::Connect(_))));
    assert_eq!(asked(&mut script), [TokenReason::First]);
    script.give("t1", Some(HOUR));
    script.open("t1");
    for _ in 0..10 {
        script.lose();
        script.pass();
        script.open("t1");
    }
    script.lose();
    for _ in 0..20 {
        script.pass();
        assert!(script.took(&Effect::Connect(Some(token("t1")))));
        script.lose();
    }
    assert!(asked(&mut script).is_empty(), "an outage of the server asks nobody for tokens");
}

#[test]
fn a_token_is_renewed_within_its_lifetime_on_the_connection() {
    let mut script = connected();
    let mut waits = Vec::new();
    for number in 2..40 {
        waits.push(script.pass());
        assert_eq!(asked(&mut script), [TokenReason::Expiring]);
        let text = format!("t{number}");
        script.give(&text, Some(HOUR));
        script.authenticated(&text);
    }
    assert!(waits.iter().all(|wait| (HOUR * 7 / 10..=HOUR * 9 / 10).contains(wait)), "{waits:?}");
    waits.sort_unstable();
    waits.dedup();
    assert_eq!(waits.len(), 38, "the times are random");
    script.lose();
    script.pass();
    script.open("t39");
}

#[test]
fn what_the_server_says_of_the_end_counts_for_a_token_that_says_nothing() {
    let mut script = begun();
    script.give("opaque", None);
    script.open("opaque");
    assert_eq!(script.machine.poll_timeout(), None);
    script.expired();
    script.give("another", None);
    script.authenticated("another");
    let wait = script.pass();
    let lifetime = Duration::from_secs(8_000);
    assert!((lifetime * 7 / 10..=lifetime * 9 / 10).contains(&wait), "{wait:?}");
}

#[test]
fn a_token_that_became_old_without_a_connection_is_replaced_before_the_next_attempt() {
    let mut script = connected();
    script.lose();
    script.wait(HOUR);
    assert_eq!(asked(&mut script), [TokenReason::Expiring]);
    assert!(!script.took(&Effect::Connect(Some(token("t1")))));
    script.give("t2", Some(HOUR));
    script.open("t2");
}

#[test]
fn after_a_close_because_of_the_token_there_is_a_new_one() {
    let mut script = connected();
    script.close(4001);
    script.pass();
    assert_eq!(asked(&mut script), [TokenReason::Expiring]);
    script.give("t2", Some(HOUR));
    script.open("t2");
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
    script.input(Input::Unsubscribe(hubcast_client::machine::SubscriptionId(2)));
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

#[test]
fn a_server_that_looks_at_no_tokens_gets_no_other_one() {
    let mut script = begun();
    script.give("t1", Some(HOUR));
    script.open_for("t1", json!(null));
    assert_eq!(script.machine.poll_timeout(), None, "it would refuse it");
}

#[test]
fn an_answer_that_comes_after_the_end_of_the_connection_is_for_the_next_one() {
    let mut script = connected();
    script.pass();
    assert_eq!(asked(&mut script), [TokenReason::Expiring]);
    script.lose();
    script.pass();
    assert!(asked(&mut script).is_empty(), "the program is asked once");
    script.give("t2", Some(HOUR));
    script.open("t2");
    script.pass();
    script.lose();
    script.give("t3", Some(HOUR));
    script.pass();
    script.open("t3");
}

#[test]
fn a_token_that_was_sent_and_not_answered_is_shown_to_the_next_connection() {
    let mut script = connected();
    script.pass();
    script.give("t2", Some(HOUR));
    script.lose();
    script.pass();
    script.open("t2");
}

#[test]
fn a_token_that_is_too_long_for_a_request_is_shown_in_a_handshake() {
    let mut script = connected();
    script.pass();
    let long = "x".repeat(400);
    script.give(&long, Some(HOUR));
    assert!(script.sent().is_empty());
    script.pass();
    script.open(&long);
}

#[test]
fn the_same_token_again_is_no_new_one() {
    let mut script = connected();
    script.pass();
    asked(&mut script);
    script.give("t1", Some(HOUR));
    assert!(script.sent().is_empty());
    assert!((2..=4).contains(&script.pass().as_secs()));
    assert_eq!(asked(&mut script), [TokenReason::Expiring]);
}

#[test]
fn a_token_that_lasts_no_time_is_not_renewed_without_a_pause() {
    let mut script = begun();
    script.give("t1", Some(Duration::ZERO));
    script.open("t1");
    for text in ["t2", "t3", "t4"] {
        assert!(script.pass() >= Duration::from_secs(1));
        script.give(text, Some(Duration::from_millis(1)));
        script.authenticated(text);
    }
}

#[test]
fn a_machine_does_not_print_its_token() {
    let mut script = begun();
    script.give("secret-token", Some(HOUR));
    assert!(!format!("{:?} {:?}", script.machine, script.effects).contains("secret-token"));
    script.open("secret-token");
    script.pass();
    script.give("secret-two", Some(HOUR));
    assert!(!format!("{:?}", script.machine).contains("secret"), "{:?}", script.machine);
}
