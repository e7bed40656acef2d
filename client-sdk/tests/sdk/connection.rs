//! The connection: opening it, pauses between attempts, a silent server, close codes, and closing by the client.

use crate::script::Script;
use hubcast_client::machine::{
    Answer, Closed, Command, Config, Disconnection, Effect, Failure, Input, Machine, State, Ticket,
};
use hubcast_protocol::CloseCode;
use serde_json::json;
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

/// The longest pause that is allowed after so many failures: 250 ms, 10 % longer for each failure, at most 15 s.
fn longest(failures: i32) -> Duration {
    Duration::from_millis(250).mul_f64(1.1_f64.powi(failures)).min(Duration::from_secs(15))
}

#[test]
fn pauses_are_random_and_bounded_by_a_growth_of_a_tenth_that_ends_at_the_cap() {
    let mut script = Script::connected();
    let mut pauses = Vec::new();
    for failures in 0..60 {
        script.lose();
        assert_eq!(script.state(), Some(State::Waiting));
        let pause = script.pass();
        assert!(pause <= longest(failures) + Duration::from_nanos(1), "pause {failures} is {pause:?}");
        assert!(script.took(&Effect::Connect(None)));
        pauses.push(pause);
    }
    let of_last = pauses[30..].iter().max().unwrap();
    assert!(*of_last > Duration::from_secs(10), "{pauses:?}");
    pauses.sort_unstable();
    pauses.dedup();
    assert_eq!(pauses.len(), 60, "two pauses were the same");
}

#[test]
fn another_seed_makes_other_pauses_and_the_same_seed_the_same() {
    let pauses = |seed| {
        let mut machine = Machine::new(Config::default(), seed);
        let (mut now, mut effects) = (Instant::now(), Vec::new());
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

/// The longest of 30 pauses. Before each pause, 20 connections fail, and then one is welcomed and ended by `end`.
fn longest_after(end: impl Fn(&mut Script)) -> Duration {
    let mut script = Script::connected();
    let pauses = (0..30).map(|_| {
        for _ in 0..20 {
            script.lose();
            script.pass();
        }
        script.effects = vec![Effect::Connect(None)];
        script.welcome();
        end(&mut script);
        assert_eq!(script.state(), Some(State::Waiting));
        script.pass()
    });
    pauses.max().unwrap()
}

#[test]
fn a_connection_that_lasted_makes_the_pauses_short_again() {
    let lasted = longest_after(|script| {
        script.wait(Duration::from_millis(250));
        script.lose();
    });
    assert!(lasted <= longest(0), "{lasted:?}");
    let said_goodbye = longest_after(|script| {
        script.wait(Duration::from_millis(250));
        script.says(json!({"event": "closing", "code": 1012, "reason": "restarting"}));
        script.close(1012);
    });
    assert!(said_goodbye <= longest(0), "{said_goodbye:?}");
}

#[test]
fn connections_that_break_at_once_make_the_pauses_longer() {
    let broken = longest_after(Script::lose);
    assert!(broken > Duration::from_secs(5), "{broken:?}");
}

#[test]
fn a_server_that_wants_to_be_tried_again_at_once_is_tried_less_and_less() {
    let closing = longest_after(|script| {
        script.says(json!({"event": "closing", "code": 1012, "reason": "restarting", "reconnect_in_ms": 0}));
        script.close(1012);
    });
    assert!(closing > Duration::from_secs(5), "{closing:?}");
    let retry_after = longest_after(|script| {
        let retry_after = Some(Duration::ZERO);
        script.input(Input::Disconnected(Disconnection::Lost { reason: "503".into(), retry_after }));
    });
    assert!(retry_after > Duration::from_secs(5), "{retry_after:?}");
}

#[test]
fn clients_that_are_refused_together_do_not_come_back_together() {
    let pauses: BTreeSet<_> = (0..5)
        .map(|seed| {
            let mut machine = Machine::new(Config::default(), seed);
            let (now, mut effects) = (Instant::now(), Vec::new());
            machine.handle(now, Input::Command(Ticket(1), Command::Connect), &mut effects);
            let retry_after = Some(Duration::from_secs(3));
            let why = Disconnection::Lost { reason: "503".into(), retry_after };
            machine.handle(now, Input::Disconnected(why), &mut effects);
            machine.poll_timeout().unwrap() - now
        })
        .collect();
    assert!(pauses.len() == 5 && *pauses.first().unwrap() >= Duration::from_secs(3), "{pauses:?}");
}

#[test]
fn a_close_code_that_says_come_back_is_followed() {
    for code in [1001, 1012, 1013, 4000, 4002, 4499] {
        let mut script = Script::connected();
        script.close(code);
        script.pass();
        assert!(script.took(&Effect::Connect(None)), "{code}");
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
        assert!(!script.took(&Effect::Connect(None)));
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
    assert!(script.took(&Effect::Connect(None)));
}

#[test]
fn an_http_answer_with_retry_after_is_obeyed() {
    let mut script = Script::new(Config::default());
    script.command(Command::Connect);
    let retry_after = Some(Duration::from_secs(3));
    script.input(Input::Disconnected(Disconnection::Lost { reason: "503".into(), retry_after }));
    assert!(script.took(&Effect::Connect(None)));
    let pause = script.pass();
    assert!((Duration::from_secs(3)..=Duration::from_secs(3) + longest(0)).contains(&pause), "{pause:?}");
    assert!(script.took(&Effect::Connect(None)));
}

#[test]
fn a_server_that_falls_silent_is_left_and_any_sign_of_life_keeps_it() {
    let mut script = Script::connected();
    script.wait(Duration::from_secs(34));
    script.input(Input::Heard);
    assert_eq!(script.pass(), Duration::from_secs(35));
    assert!(script.took(&Effect::Close(CloseCode::PING_TIMEOUT)));
    assert_eq!(script.state(), Some(State::Waiting));
    // The machine ignores what still comes from the old connection.
    script.message("a", "e", 1);
    script.lose();
    script.pass();
    assert!(script.took(&Effect::Connect(None)));
}

#[test]
fn an_attempt_without_a_welcome_is_given_up() {
    let mut script = Script::connected();
    script.lose();
    script.pass();
    assert!(script.took(&Effect::Connect(None)));
    script.input(Input::Connected);
    assert_eq!(script.pass(), Duration::from_secs(10));
    assert!(script.took(&Effect::Close(CloseCode::PING_TIMEOUT)));
}

#[test]
fn pings_before_the_welcome_do_not_give_an_attempt_more_time() {
    let mut script = Script::connected();
    script.lose();
    script.pass();
    script.input(Input::Connected);
    script.wait(Duration::from_secs(6));
    script.input(Input::Heard);
    assert_eq!(script.pass(), Duration::from_secs(4));
    assert!(script.took(&Effect::Close(CloseCode::PING_TIMEOUT)));
}

#[test]
fn a_server_that_says_again_and_again_that_it_will_close_is_left_in_time() {
    let mut script = Script::connected();
    for _ in 0..3 {
        script.says(json!({"event": "closing", "code": 1012, "reason": "restarting", "reconnect_in_ms": 60_000}));
        assert!(!script.took(&Effect::Close(CloseCode::PING_TIMEOUT)));
        script.wait(Duration::from_secs(3));
    }
    script.says(json!({"event": "closing", "code": 1012, "reason": "restarting", "reconnect_in_ms": 60_000}));
    assert_eq!(script.pass(), Duration::from_secs(1));
    assert!(script.took(&Effect::Close(CloseCode::PING_TIMEOUT)));
    assert_eq!(script.state(), Some(State::Waiting));
    assert_eq!(script.pass(), Duration::from_secs(59));
    assert!(script.took(&Effect::Connect(None)));
}

#[test]
fn the_first_connection_is_tried_until_its_time_is_over() {
    let mut script = Script::new(Config::default());
    let ticket = script.command(Command::Connect);
    let begin = script.now;
    while !script.machine.is_closed() {
        if script.took(&Effect::Connect(None)) {
            script.lose();
        }
        script.pass();
    }
    assert_eq!(script.now - begin, Duration::from_secs(10));
    assert!(matches!(script.state(), Some(State::Closed(Closed::NoConnection { .. }))));
    let Some(Err(Failure::Closed { why: Closed::NoConnection { reason, .. }, .. })) = script.result(ticket) else {
        panic!("{:?}", script.effects)
    };
    assert_eq!(reason, "cut");
}

#[test]
fn a_handshake_that_is_refused_for_good_fails_at_once() {
    let mut script = Script::new(Config::default());
    let ticket = script.command(Command::Connect);
    script.input(Input::Disconnected(Disconnection::Rejected { reason: "404".into(), status: Some(404) }));
    let why = Closed::Rejected { reason: "404".into(), status: Some(404) };
    assert_eq!(script.result(ticket), Some(Err(Failure::Closed { why, key: None })));
}

#[test]
fn a_handshake_that_is_refused_after_a_session_is_tried_again() {
    let mut script = Script::connected();
    script.subscribed(1, "a", json!({"epoch": "e", "offset": 5}));
    script.lose();
    script.pass();
    assert!(script.took(&Effect::Connect(None)));
    script.input(Input::Disconnected(Disconnection::Rejected { reason: "404".into(), status: Some(404) }));
    assert_eq!(script.state(), Some(State::Waiting));
    script.pass();
    script.welcome();
    assert_eq!(script.sent()[0]["topic"], "a");
}

#[test]
fn a_handshake_that_is_refused_again_and_again_closes_the_client_within_two_minutes() {
    let mut script = Script::connected();
    script.subscribed(1, "a", json!({"epoch": "e", "offset": 5}));
    script.lose();
    let (begin, mut attempts) = (script.now, 0);
    while !script.machine.is_closed() {
        script.pass();
        assert!(script.took(&Effect::Connect(None)));
        script.input(Input::Disconnected(Disconnection::Rejected { reason: "401".into(), status: Some(401) }));
        attempts += 1;
        let status = script.status().unwrap();
        let loss = status.last_loss.unwrap();
        assert_eq!((status.attempt, loss.reason.as_str(), loss.is_refusal), (attempts, "401", true));
        let is_waiting = status.state == State::Waiting;
        assert!(is_waiting == status.retry_at.is_some() && is_waiting != script.machine.is_closed());
    }
    let took = script.now - begin;
    assert!(attempts == 8 && (Duration::from_secs(30)..Duration::from_secs(120)).contains(&took), "{took:?}");
    let why = Closed::Rejected { reason: "401".into(), status: Some(401) };
    assert_eq!(script.state(), Some(State::Closed(why)));
    assert_eq!(script.heard(1), ["ended: the server refused the connection: 401"]);
}

#[test]
fn a_session_makes_earlier_refusals_forgotten() {
    let mut script = Script::connected();
    for _ in 0..3 {
        script.lose();
        for _ in 0..7 {
            script.pass();
            assert!(script.took(&Effect::Connect(None)));
            script.input(Input::Disconnected(Disconnection::Rejected { reason: "401".into(), status: Some(401) }));
        }
        script.pass();
        script.welcome();
    }
    assert_eq!(script.state(), Some(State::Connected));
}

#[test]
fn attempts_have_a_limit_for_those_who_want_one() {
    let mut script = Script::connected_with(Config { max_attempts: Some(3), ..Config::default() });
    script.lose();
    for _ in 0..3 {
        script.pass();
        assert!(script.took(&Effect::Connect(None)));
        script.lose();
    }
    let why = Closed::GivenUp { attempts: 3, reason: "cut".into() };
    assert_eq!(script.state(), Some(State::Closed(why)));
}

#[test]
fn the_status_says_what_was_lost_and_when_the_next_attempt_is() {
    let mut script = Script::connected();
    script.close(4002);
    let status = script.status().unwrap();
    assert_eq!((status.state, status.attempt), (State::Waiting, 0));
    assert_eq!(status.last_loss.unwrap().code, Some(CloseCode::SLOW_CONSUMER));
    let retry_at = status.retry_at.unwrap();
    script.pass();
    assert_eq!(script.now, retry_at);
    script.welcome();
    let status = script.status().unwrap();
    assert_eq!((status.state, status.attempt, status.retry_at), (State::Connected, 0, None));
    assert!(status.last_loss.is_some(), "it still says what happened last");
}

#[test]
fn a_client_that_connects_lazily_waits_for_its_server_for_ever() {
    let mut script = Script::new(Config::default());
    let ticket = script.command(Command::ConnectLazily);
    assert_eq!(script.result(ticket), Some(Ok(Answer::Connected)));
    assert!(script.took(&Effect::Connect(None)));
    for _ in 0..100 {
        script.lose();
        script.pass();
        assert!(script.took(&Effect::Connect(None)));
    }
    script.lose();
    script.command(Command::Reconnect);
    script.welcome();
    assert_eq!(script.state(), Some(State::Connected));
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
        if script.took(&Effect::Connect(None)) {
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
