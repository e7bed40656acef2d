//! Tokens, as the machine sees them: when it asks for one, where it shows it, and what waits for it.

use crate::script::{FIRST_ID, Script};
use hubcast_client::TokenReason;
use hubcast_client::machine::{Command, Config, Disconnection, Effect, GivenToken, Input, State, TokenFailure};
use hubcast_protocol::AccessToken;
use serde_json::{Value, json};
use std::time::Duration;

pub(crate) const HOUR: Duration = Duration::from_secs(3600);

/// A machine whose program gives tokens. It was told to connect.
pub(crate) fn begun() -> Script {
    let mut script = Script::new(Config { has_tokens: true, ..Config::default() });
    script.command(Command::Connect);
    script
}

/// A machine that is connected with the token `t1`, which lasts an hour.
pub(crate) fn connected() -> Script {
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
pub(crate) fn asked(script: &mut Script) -> Vec<TokenReason> {
    let asked = script.effects.extract_if(.., |effect| matches!(effect, Effect::AskToken(_)));
    asked.map(|effect| if let Effect::AskToken(reason) = effect { reason } else { panic!("{effect:?}") }).collect()
}

impl Script {
    /// Gives a token to the machine, as the program.
    pub(crate) fn give(&mut self, text: &str, lifetime: Option<Duration>) {
        self.input(Input::Token(Ok(GivenToken { token: token(text), lifetime, clock: 1_000 })));
    }

    pub(crate) fn fail_to_give(&mut self, failure: TokenFailure) {
        self.input(Input::Token(Err(failure)));
    }

    /// Opens the connection that the machine asked for with this token, and welcomes Ada.
    pub(crate) fn open(&mut self, text: &str) {
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
    pub(crate) fn refuse_token(&mut self) {
        self.effects.retain(|effect| !matches!(effect, Effect::Connect(_)));
        self.input(Input::Disconnected(Disconnection::TokenRefused { reason: "401".into() }));
    }

    /// Answers the `authenticate` with this token.
    pub(crate) fn authenticated(&mut self, text: &str) {
        let sent = self.sent();
        assert_eq!((&sent[0]["action"], &sent[0]["token"]), (&json!("authenticate"), &json!(text)), "{sent:?}");
        self.reply_to(&sent[0], json!({"user": "ada", "expires": 9_000}), json!({"event": "authenticated"}));
    }

    pub(crate) fn expired(&mut self) {
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
