//! Slow readers that the server must not close: those that read slowly what they asked for, and those that allow the
//! server to leave out publications.

use hubcast_hub::{HistoryPolicy, PresencePolicy, Retention, TopicPolicy};
use hubcast_server::Config;
use hubcast_tests::{Frame, Heard, Server, Typed};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

const SOON: Duration = Duration::from_millis(100);

/// Longer than any test.
const NEVER: Duration = Duration::from_secs(600);

/// Configures the server to keep histories even without subscribers.
fn keep_history(config: &mut Config) {
    let history = HistoryPolicy { size: 100, ttl: NEVER, keep: Retention::Always };
    config.rules.list[0].policy = TopicPolicy { history: Some(history), ..TopicPolicy::default() };
}

/// Publishes `count` messages of 60 kB to the topic "t", and returns when all have taken effect.
#[track_caller]
fn fill_history(server: &Server, count: usize) {
    let publish = Frame::text(json!({"action": "publish", "topic": "t", "message": "x".repeat(60_000)}).to_string());
    let publications = publish.bytes().repeat(count);
    let mut publisher = server.typed();
    publisher.socket.writes(&publications);
    publisher.says(json!({"id": 1, "action": "ping"}));
    assert_eq!(event_between_pings(&mut publisher)["event"], "pong");
}

/// Reads the next event, and answers the pings before it.
#[track_caller]
fn event_between_pings(peer: &mut Typed) -> Value {
    match peer.socket.next_frame_but_pings() {
        Heard::Text(text) => serde_json::from_str(&text).expect("an event is JSON"),
        _ => peer.socket.fail("an event was to come"),
    }
}

#[test]
fn a_ping_behind_a_replay_is_due_when_the_replay_has_been_taken() {
    let (ping, pong) = (SOON, SOON * 10);
    let server = Server::with(|config| {
        keep_history(config);
        (config.timeouts.ping, config.timeouts.pong) = (ping, pong);
    });
    fill_history(&server, 100);
    let clock = Server::with(|config| (config.timeouts.ping, config.timeouts.pong) = (SOON, NEVER));
    let mut reader = Typed::open(server.narrow_socket());
    let asked = Instant::now();
    reader.says(json!({"id": 1, "action": "subscribe", "topic": "t", "last": 100}));
    assert_eq!(reader.next_event()["replayed"], 100);
    let mut replayed = 0;
    // The second server is the clock: each time it pings a client, the reader reads a few messages. This goes on until
    // the answer to the first ping of the replay would have been due long ago.
    while asked.elapsed() < ping + pong * 6 / 5 {
        clock.plain().socket.hears(&Heard::Ping(vec![]));
        (0..6).for_each(|_| assert_eq!(reader.next_event()["event"], "message"));
        replayed += 6;
    }
    assert!(replayed < 90, "the replay was over before the ping was due: {replayed}");
    (replayed..100).for_each(|_| assert_eq!(reader.next_event()["event"], "message"));
    reader.socket.hears(&Heard::Ping(vec![]));
    reader.socket.sends([&Frame::pong("")]);
    reader.says(json!({"id": 2, "action": "ping"}));
    assert_eq!(event_between_pings(&mut reader), json!({"event": "pong", "id": 2}));
}

#[test]
fn a_lossy_reader_who_takes_nothing_for_long_is_spared_while_it_answers_pings() {
    let (ping, pong, write) = (SOON, SOON * 10, SOON * 2);
    let server = Server::with(|config| {
        config.outbox = 256 * 1024;
        (config.timeouts.ping, config.timeouts.pong, config.timeouts.write) = (ping, pong, write);
    });
    let mut readers = ["drop", "latest"].map(|slow| {
        let mut reader = Typed::open(server.narrow_socket());
        reader.says(json!({"id": 1, "action": "subscribe", "topic": "t", "slow": slow}));
        assert_eq!(event_between_pings(&mut reader)["event"], "subscribed");
        reader
    });
    let mut publisher = server.typed();
    let publish = json!({"id": 1, "action": "publish", "topic": "t", "message": "x".repeat(60_000)});
    let began = Instant::now();
    // Longer than the timeouts of a write and of a pong.
    while began.elapsed() < ping + pong * 3 / 2 {
        publisher.says(&publish);
        assert_eq!(event_between_pings(&mut publisher)["receivers"], 2, "after {:?}", began.elapsed());
        // The readers read nothing, so they do not see the pings, but they answer them.
        readers.iter_mut().for_each(|reader| reader.socket.sends([&Frame::pong("")]));
    }
    for reader in &mut readers {
        reader.says(json!({"id": 2, "action": "ping"}));
        let mut gaps = 0;
        loop {
            let event = event_between_pings(reader);
            match event["event"].as_str() {
                Some("message") => {}
                Some("gap") => gaps += 1,
                _ => break assert_eq!(event, json!({"event": "pong", "id": 2})),
            }
        }
        assert!(gaps > 0, "something was left out");
    }
}

/// Sends a question so often that the answers are much larger than an outbox, and reads nothing while another client
/// publishes to the reader. Then reads everything and checks it.
#[track_caller]
fn ask_often_and_read_late(server: &Server, question: &str, times: usize) {
    let (mut reader, mut other) = (Typed::open(server.narrow_socket()), server.typed());
    let questions = (0..times).map(|id| Frame::text(json!({"id": id, "action": question, "topic": "t"}).to_string()));
    reader.socket.sends(&questions.collect::<Vec<_>>());
    let direct = json!({"id": 1, "action": "publish", "topic": reader.id, "message": ""});
    let directs = 200;
    for _ in 0..directs {
        assert_eq!(other.asks(&direct)["receivers"], 1, "the reader of {question} is still there");
    }
    let (mut answers, mut messages) = (0, 0);
    while answers < times || messages < directs {
        let event = reader.next_event();
        match event["event"].as_str() {
            Some("message") => messages += 1,
            _ => {
                assert_eq!((&event["event"], &event["id"]), (&json!(question), &json!(answers)));
                answers += 1;
            }
        }
    }
}

#[test]
fn who_reads_slowly_what_it_asked_for_is_not_closed_for_it() {
    let server = Server::with(|config| {
        keep_history(config);
        config.rules.list[0].policy.presence = Some(PresencePolicy { events: false, grace: Duration::ZERO });
        config.outbox = 64 * 1024;
        (config.timeouts.write, config.timeouts.ping) = (NEVER, NEVER);
    });
    fill_history(&server, 10);
    let members: Vec<Typed> = (0..100)
        .map(|_| {
            let mut member = server.typed();
            assert_eq!(member.asks(json!({"id": 1, "action": "subscribe", "topic": "t"}))["event"], "subscribed");
            member
        })
        .collect();
    ask_often_and_read_late(&server, "presence", 600);
    ask_often_and_read_late(&server, "history", 8);
    drop(members);
}
