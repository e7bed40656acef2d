//! When a quiet connection is pinged, and which waits count as its own delay.

use crate::stage::Stage;
use hubcast_hub::{HistoryPolicy, Retention, TopicPolicy, TopicRule, TopicRules};
use hubcast_protocol::CloseCode;
use hubcast_server::{Config, Disconnect, Timeouts};
use hubcast_tests::{Frame, Heard};
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

/// Precision of the deadlines, with a small margin.
const TICK: Duration = Duration::from_millis(60);

/// A server with one worker and these timeouts.
fn with(timeouts: Timeouts) -> Stage {
    Stage::new(1, Config { workers: Some(1), timeouts, ..Config::default() })
}

/// Checks that a client gets its nth ping after `after`, and not before.
#[track_caller]
fn check_ping(stage: &mut Stage, client: usize, nth: usize, after: Duration) {
    let pings = |stage: &mut Stage| stage.heard(client).iter().filter(|heard| matches!(heard, Heard::Ping(_))).count();
    stage.pass(after - TICK);
    assert_eq!(pings(stage), nth - 1, "pings before their time");
    stage.pass(2 * TICK);
    assert_eq!(pings(stage), nth, "pings in their time");
    assert_eq!(stage.closed_with(client), None);
}

#[test]
fn the_next_ping_comes_as_long_after_the_last_sign_of_life_as_the_first_one() {
    for pong in [5, 20, 60, 600] {
        let mut stage = with(Timeouts { ping: SECOND * 20, pong: SECOND * pong, ..Timeouts::default() });
        let client = stage.connect(0, usize::MAX);
        check_ping(&mut stage, client, 1, SECOND * 20);
        stage.pass(SECOND * 3);
        stage.send(client, &Frame::pong(""));
        check_ping(&mut stage, client, 2, SECOND * 20);
        stage.send(client, &Frame::pong(""));
        stage.pass(SECOND * 19);
        // Any complete frame counts as a sign of life.
        stage.say(client, r#"{"action":"ping"}"#);
        check_ping(&mut stage, client, 3, SECOND * 20);
        stage.pass(SECOND * pong - 3 * TICK);
        assert_eq!(stage.closed_with(client), None, "it may still answer");
        stage.pass(4 * TICK);
        assert_eq!(stage.closed_with(client), Some(4000));
    }
}

/// Longer than any test.
const NEVER: Duration = Duration::from_secs(100_000);

/// A client that has asked for more than it reads, so the server has stopped reading from it. After its requests it has
/// sent the first fragment of a message.
fn not_read_within_a_message(timeouts: Timeouts) -> (Stage, usize) {
    let history = HistoryPolicy { size: 100, ttl: NEVER, keep: Retention::Always };
    let policy = TopicPolicy { history: Some(history), ..TopicPolicy::default() };
    let rules = TopicRules { list: vec![TopicRule { pattern: ">".parse().expect("a pattern"), policy }] };
    let config = Config { workers: Some(1), outbox: 128 * 1024, rules, timeouts, ..Config::default() };
    let mut stage = Stage::new(1, config);
    let (publisher, client) = (stage.connect(0, usize::MAX), stage.connect(0, usize::MAX));
    (0..5).for_each(|_| stage.publish(publisher, "t", 60_000));
    stage.end(publisher).end();
    stage.settle();
    stage.end(client).fill();
    (1..=2).for_each(|id| stage.say(client, &format!(r#"{{"id":{id},"action":"history","topic":"t"}}"#)));
    stage.send(client, &Frame::text(r#"{"id":3,"#).unfinished());
    stage.settle();
    assert_eq!(stage.server.load(0).reading_stopped, 1);
    (stage, client)
}

/// Checks that a client is closed with this code after `after`, and not before.
#[track_caller]
fn check_close(stage: &mut Stage, client: usize, code: u16, after: Duration) {
    stage.pass(after - TICK);
    assert_eq!(stage.closed_with(client), None, "before its time");
    stage.pass(2 * TICK);
    assert_eq!(stage.closed_with(client), Some(code));
}

#[test]
fn the_time_in_which_a_client_is_not_read_counts_for_no_message_and_for_no_pong() {
    let quiet = Timeouts { ping: NEVER, write: NEVER, ..Timeouts::default() };
    let (mut stage, client) = not_read_within_a_message(Timeouts { message: SECOND * 10, ..quiet });
    stage.pass(SECOND * 100);
    stage.end(client).give_room(usize::MAX);
    check_close(&mut stage, client, 1008, SECOND * 10);

    let (mut stage, client) = not_read_within_a_message(Timeouts { ping: SECOND * 5, pong: SECOND * 10, ..quiet });
    stage.pass(SECOND * 50);
    stage.end(client).give_room(usize::MAX);
    check_close(&mut stage, client, 4000, SECOND * 10);
}

#[test]
fn what_a_client_sends_while_it_is_not_read_is_in_time() {
    let timeouts =
        Timeouts { ping: SECOND * 5, pong: SECOND * 10, message: SECOND * 10, write: NEVER, ..Timeouts::default() };
    let (mut stage, client) = not_read_within_a_message(timeouts);
    stage.pass(SECOND * 6);
    stage.send(client, &Frame::pong(""));
    stage.send(client, &Frame::continuation(r#""action":"ping"}"#));
    stage.pass(SECOND * 100);
    stage.end(client).give_room(usize::MAX);
    stage.pass(SECOND);
    let answer = stage.heard(client).iter().find(|heard| **heard == Heard::Text(r#"{"event":"pong","id":3}"#.into()));
    assert!(answer.is_some());
}

#[test]
fn the_time_in_which_a_publisher_is_paused_counts_for_no_message_and_for_no_pong() {
    let pause = Duration::from_millis(500);
    let short = pause / 5;
    let timeouts = Timeouts { ping: short, pong: short, message: short, publisher_pause: pause, ..Timeouts::default() };
    let mut stage = with(Timeouts { write: NEVER, ..timeouts });
    let (reader, publisher) = (stage.listen(0, "t"), stage.connect(0, usize::MAX));
    stage.end(reader).fill();
    (0..14).for_each(|_| stage.publish(publisher, "t", 60_000));
    stage.send(publisher, &Frame::text(r#"{"id":1,"#).unfinished());
    stage.settle();
    stage.send(publisher, &Frame::pong(""));
    stage.send(publisher, &Frame::continuation(r#""action":"ping"}"#));
    stage.settle();
    assert!(stage.end(publisher).unread() > 0, "it is paused");
    stage.pass(pause - Duration::from_millis(1));
    assert!(stage.end(publisher).unread() > 0, "it is still paused");
    stage.pass(Duration::from_millis(50));
    assert_eq!((stage.end(publisher).unread(), stage.closed_with(publisher)), (0, None));
    assert!(stage.heard(publisher).contains(&Heard::Text(r#"{"event":"pong","id":1}"#.into())));
}

/// A client for which 720 KB wait, and behind them the close frame. It is cut after three seconds in which it
/// takes no bytes, and after thirty seconds in all.
fn closing_behind_much() -> (Stage, usize) {
    let mut stage = with(Timeouts { close: SECOND * 3, ping: NEVER, ..Timeouts::default() });
    let (reader, publisher) = (stage.listen(0, "t"), stage.connect(0, usize::MAX));
    stage.end(reader).fill();
    (0..12).for_each(|_| stage.publish(publisher, "t", 60_000));
    stage.settle();
    let why = Disconnect { code: CloseCode::MOVED, reason: "moved".into(), reconnect_in_ms: None };
    stage.server.disconnect(0, stage.end(reader).slot(), why);
    stage.settle();
    (stage, reader)
}

/// Gives a client `room` bytes of room every two seconds, and returns after how many seconds its connection is cut.
fn seconds_to_cut(stage: &mut Stage, client: usize, room: usize) -> u64 {
    let mut seconds = 0;
    while !stage.end(client).is_shut() {
        if seconds % 2 == 0 {
            stage.end(client).give_room(room);
        }
        stage.pass(SECOND);
        seconds += 1;
    }
    seconds
}

#[test]
fn who_goes_on_taking_what_waits_for_it_gets_all_of_it_before_the_close() {
    let (mut stage, reader) = closing_behind_much();
    let seconds = seconds_to_cut(&mut stage, reader, 100_000);
    assert_eq!((stage.messages(reader), stage.closed_with(reader)), (12, Some(4004)));
    assert!((17..=18).contains(&seconds), "{seconds} seconds: it has time for its answer after the last part");
}

#[test]
fn who_takes_nothing_or_too_little_of_what_waits_before_the_close_is_cut() {
    for (room, longest) in [(0, 4), (1, 31)] {
        let (mut stage, reader) = closing_behind_much();
        assert_eq!(seconds_to_cut(&mut stage, reader, room), longest, "{room} bytes every two seconds");
        stage.settle();
        assert_eq!((stage.server.waiting(), stage.closed_with(reader)), (0, None));
    }
}

#[test]
fn who_is_closing_with_most_waiting_for_it_is_cut_when_it_is_too_much() {
    let mut stage = Stage::new(1, Config { max_waiting: 1_125_000, ..Config::default() });
    let publisher = stage.connect(0, usize::MAX);
    let [closing, other] = [12, 3].map(|count| {
        let topic = format!("t.{count}");
        let reader = stage.listen(0, &topic);
        stage.end(reader).fill();
        (0..count).for_each(|_| stage.publish(publisher, &topic, 60_000));
        stage.pass(SECOND);
        reader
    });
    stage.send(closing, &Frame::close(1000, ""));
    stage.settle();
    assert!(!stage.end(closing).is_shut() && stage.server.waiting() > 850_000);
    (0..4).for_each(|_| stage.publish(publisher, "t.3", 60_000));
    stage.pass(SECOND);
    assert!(stage.end(closing).is_shut() && stage.server.waiting() < 600_000, "{}", stage.server.waiting());
    stage.end(other).give_room(usize::MAX);
    stage.settle();
    assert_eq!((stage.messages(other), stage.closed_with(other)), (7, None));
}
