//! Connecting, backing off, silence, being sent away, closing.

use crate::script::Script;
use hubcast_client::machine::{Answer, Closed, Command, Config, Disconnection, Effect, Failure, Input, State, Ticket};
use hubcast_protocol::CloseCode;
use serde_json::json;
use std::time::Duration;

#[test]
fn pauses_are_random_and_bounded_by_a_doubling_that_ends_at_the_cap() {
    let mut script = Script::connected();
    let mut pauses = Vec::new();
    for attempt in 0..12 {
        script.lose();
        assert_eq!(script.state(), Some(State::Waiting));
        let pause = script.pass();
        let bound = Duration::from_millis(250 << attempt).min(Duration::from_secs(15));
        assert!(pause <= bound, "pause {attempt} is {pause:?}");
        assert!(script.took(&Effect::Connect));
        pauses.push(pause);
    }
    assert!(pauses.iter().any(|pause| *pause > Duration::from_secs(1)), "{pauses:?}");
    pauses.dedup();
    assert_eq!(pauses.len(), 12, "two pauses were the same");
}

#[test]
fn another_seed_makes_other_pauses_and_the_same_seed_the_same() {
    let pauses = |seed| {
        let mut machine = hubcast_client::machine::Machine::new(Config::default(), seed);
        let (mut now, mut effects) = (std::time::Instant::now(), Vec::new());
        machine.handle(now, Input::Command(Ticket(1), Command::Connect), &mut effects);
        let pause = |_| {
            let why = Disconnection::Lost { reason: String::new(), retry_after: None };
            machine.handle(now, Input::Disconnected(why), &mut effects);
            let at = machine.poll_timeout().unwrap();
            let pause = at - now;
            now = at;
            machine.handle_timeout(now, &mut effects);
            pause
        };
        (0..4).map(pause).collect::<Vec<_>>()
    };
    assert_eq!(pauses(1), pauses(1));
    assert_ne!(pauses(1), pauses(2));
}

#[test]
fn a_connection_that_held_makes_the_pauses_short_again() {
    let mut script = Script::connected();
    for _ in 0..8 {
        script.lose();
        script.pass();
    }
    script.welcome_after_many();
    script.wait(Duration::from_millis(250));
    script.lose();
    assert!(script.pass() <= Duration::from_millis(250));
}

#[test]
fn connections_that_break_at_once_make_the_pauses_longer() {
    let mut script = Script::connected();
    let mut longest = Duration::ZERO;
    for _ in 0..12 {
        script.lose();
        longest = longest.max(script.pass());
        script.welcome();
    }
    assert!(longest > Duration::from_secs(1), "{longest:?}");
}

#[test]
fn a_close_code_that_says_come_back_is_followed() {
    for code in [1001, 1012, 1013, 4000, 4002, 4499] {
        let mut script = Script::connected();
        script.close(code);
        script.pass();
        assert!(script.took(&Effect::Connect), "{code}");
    }
}

#[test]
fn a_close_code_that_says_stay_away_ends_everything() {
    for code in [1002, 1009, 4500, 4502, 4999] {
        let mut script = Script::connected();
        script.subscribed(1, "a", json!({}));
        let publish = script.publish("a", "x", true);
        script.effects.clear();
        script.close(code);
        let closed = Closed::ByServer { code: CloseCode(code), reason: "because".into() };
        assert!(matches!(script.result(publish), Some(Err(Failure::Closed { why, .. })) if why == closed));
        assert_eq!(script.heard(1), [format!("ended: {closed}")]);
        assert_eq!(script.state(), Some(State::Closed(closed)));
        assert!(script.machine.is_closed() && script.machine.poll_timeout().is_none());
        assert!(!script.took(&Effect::Connect));
    }
}

#[test]
fn the_client_comes_back_exactly_when_the_server_said() {
    let mut script = Script::connected();
    script.says(json!({"event": "closing", "code": 1012, "reason": "restarting", "reconnect_in_ms": 1834}));
    let said = script.now;
    script.now += Duration::from_millis(34);
    script.close(1012);
    script.pass();
    assert_eq!(script.now - said, Duration::from_millis(1834));
    assert!(script.took(&Effect::Connect));
}

#[test]
fn an_http_answer_with_retry_after_is_obeyed() {
    let mut script = Script::new(Config::default());
    script.command(Command::Connect);
    let retry_after = Some(Duration::from_secs(3));
    script.input(Input::Disconnected(Disconnection::Lost { reason: "503".into(), retry_after }));
    assert_eq!(script.pass(), Duration::from_secs(3));
    assert!(script.took(&Effect::Connect) || script.machine.poll_timeout().is_some());
}

#[test]
fn a_server_that_falls_silent_is_left_and_any_sign_of_life_keeps_it() {
    let mut script = Script::connected();
    script.wait(Duration::from_secs(34));
    script.input(Input::Heard);
    assert_eq!(script.pass(), Duration::from_secs(35));
    assert!(script.took(&Effect::Close(CloseCode::PING_TIMEOUT)));
    assert_eq!(script.state(), Some(State::Waiting));
    // What the old connection still has to say is not believed.
    script.message("a", "e", 1);
    script.lose();
    script.pass();
    assert!(script.took(&Effect::Connect));
}

#[test]
fn an_attempt_without_a_welcome_is_given_up() {
    let mut script = Script::connected();
    script.lose();
    script.pass();
    assert!(script.took(&Effect::Connect));
    script.input(Input::Connected);
    assert_eq!(script.pass(), Duration::from_secs(10));
    assert!(script.took(&Effect::Close(CloseCode::PING_TIMEOUT)));
}

#[test]
fn the_first_connection_is_tried_until_its_time_is_over() {
    let mut script = Script::new(Config::default());
    let ticket = script.command(Command::Connect);
    let begin = script.now;
    while !script.machine.is_closed() {
        if script.took(&Effect::Connect) {
            script.lose();
        }
        script.pass();
    }
    assert_eq!(script.now - begin, Duration::from_secs(10));
    let Some(Err(Failure::Closed { why: Closed::NoConnection { reason, .. }, .. })) = script.result(ticket) else {
        panic!("{:?}", script.effects)
    };
    assert_eq!(reason, "cut");
}

#[test]
fn a_handshake_that_is_refused_for_good_fails_at_once() {
    let mut script = Script::new(Config::default());
    let ticket = script.command(Command::Connect);
    script.input(Input::Disconnected(Disconnection::Rejected { reason: "404".into() }));
    let why = Closed::Rejected { reason: "404".into() };
    assert_eq!(script.result(ticket), Some(Err(Failure::Closed { why, key: None })));
}

#[test]
fn close_waits_for_what_is_unanswered_and_takes_nothing_new() {
    let mut script = Script::connected();
    let first = script.publish("a", "x", true);
    let close = script.command(Command::Close);
    let late = script.publish("a", "y", true);
    assert!(matches!(script.result(late), Some(Err(Failure::Closed { .. }))));
    assert_eq!(script.result(close), None);
    script.reply(json!({"topic": "a", "receivers": 0}), json!({"event": "published"}));
    assert!(matches!(script.result(first), Some(Ok(Answer::Published(_)))));
    assert!(script.took(&Effect::Close(CloseCode::NORMAL)));
    assert_eq!(script.result(close), Some(Ok(Answer::Closed)));
    assert_eq!(script.command(Command::Close), Ticket(5));
    assert_eq!(script.result(Ticket(5)), Some(Ok(Answer::Closed)));
}

#[test]
fn close_reconnects_to_deliver_but_not_for_ever() {
    let mut script = Script::connected();
    script.lose();
    let publish = script.publish("a", "x", true);
    let closes = [script.command(Command::Close), script.command(Command::Close)];
    let begin = script.now;
    while !script.machine.is_closed() {
        if script.took(&Effect::Connect) {
            script.lose();
        }
        script.pass();
    }
    assert_eq!(script.now - begin, Duration::from_secs(5));
    assert!(matches!(script.result(publish), Some(Err(Failure::Closed { key: Some(_), .. }))));
    for close in closes {
        assert_eq!(script.result(close), Some(Err(Failure::Unfinished(1))));
    }
}

#[test]
fn numbers_from_the_server_may_be_as_large_as_they_like() {
    let mut script = Script::connected();
    script.says(json!({"event": "closing", "code": 1012, "reason": "", "reconnect_in_ms": u64::MAX}));
    script.close(1012);
    assert!(script.pass() >= Duration::from_secs(24 * 60 * 60));
}

impl Script {
    /// A welcome after failed attempts, of which each wanted a connection.
    fn welcome_after_many(&mut self) {
        self.effects.clear();
        self.effects.push(Effect::Connect);
        self.welcome();
    }
}
