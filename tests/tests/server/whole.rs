//! Limits for all connections together, however many there are and however little each of them uses.

use hubcast_hub::{HistoryPolicy, Retention, TopicPolicy, TopicRule};
use hubcast_server::Config;
use hubcast_tests::{Frame, Heard, Server, Typed};
use serde_json::json;
use std::time::{Duration, Instant};

/// Longer than any test.
const NEVER: Duration = Duration::from_secs(600);

const MIB: usize = 1024 * 1024;

/// A server on which one mebibyte may wait in all; this limit is reached before the outbox of one reader is full.
fn server_of_a_mebibyte() -> Server {
    Server::with(|config| {
        (config.max_waiting, config.outbox) = (MIB, MIB);
        (config.timeouts.write, config.timeouts.publisher_pause) = (NEVER, Duration::ZERO);
    })
}

/// A server with a changed configuration whose topic `past` keeps 100 publications of 60 KB, and their publisher.
fn server_with_a_past(change: impl FnOnce(&mut Config)) -> (Server, Typed) {
    let server = Server::with(|config| {
        change(config);
        let history = Some(HistoryPolicy { size: 100, ttl: NEVER, keep: Retention::Always });
        let policy = TopicPolicy { history, ..TopicPolicy::default() };
        config.rules.list.insert(0, TopicRule { pattern: "past".parse().expect("a pattern"), policy });
    });
    let mut publisher = server.typed();
    let publish = json!({"id": 1, "action": "publish", "topic": "past", "message": "x".repeat(60_000)});
    (0..100).for_each(|_| _ = publisher.asks(&publish));
    (server, publisher)
}

/// A subscriber that reads nothing after its subscribe reply.
fn unread(server: &Server, topic: &str, slow: &str) -> Typed {
    let mut reader = Typed::open(server.narrow_socket());
    reader.asks(json!({"id": 1, "action": "subscribe", "topic": topic, "slow": slow}));
    reader
}

/// Number of publications of 20 KB that a reader gets before the server closes it, at most `most`.
fn handed(publisher: &mut Typed, topic: &str, most: usize) -> usize {
    let publish = json!({"id": 1, "action": "publish", "topic": topic, "message": "x".repeat(20_000)});
    (0..most).take_while(|_| publisher.asks(&publish)["receivers"] == 1).count()
}

#[test]
fn where_too_much_waits_in_all_the_one_is_closed_for_whom_most_waits() {
    let server = server_of_a_mebibyte();
    let (mut publisher, mut most) = (server.typed(), unread(&server, "most", "disconnect"));
    let mut little = unread(&server, "little", "disconnect");
    assert_eq!(handed(&mut publisher, "little", 5), 5);
    assert!(handed(&mut publisher, "most", 10_000) < 10_000, "it is closed");
    assert_eq!(handed(&mut publisher, "little", 5), 5, "the other one is not");
    most.socket.hears_close_at_last(4002);
    little.says(json!({"id": 2, "action": "ping"}));
    while little.next_event()["event"] != "pong" {}
}

#[test]
fn where_too_much_waits_in_all_who_may_miss_something_misses_it_and_gets_a_gap() {
    let server = server_of_a_mebibyte();
    let (mut publisher, mut reader) = (server.typed(), unread(&server, "t", "drop"));
    assert_eq!(handed(&mut publisher, "t", 500), 500, "it is never closed");
    reader.says(json!({"id": 2, "action": "ping"}));
    let events = std::iter::from_fn(|| Some(reader.next_event()["event"].clone())).take_while(|event| event != "pong");
    let gaps = events.filter(|event| event == "gap").count();
    assert!(gaps > 0, "the reader gets gaps");
}

#[test]
fn where_too_much_waits_of_unfinished_messages_the_largest_goes() {
    let server = server_of_a_mebibyte();
    let begun = Frame::text("x".repeat(60_000)).unfinished().bytes();
    let mut senders: Vec<Typed> = (0..40).map(|_| server.typed()).collect();
    // The server may reset a connection that it closes before the test has written everything.
    senders.iter_mut().for_each(|sender| _ = sender.socket.try_writes(&begun));
    let mut bystander = server.typed();
    assert_eq!(bystander.asks(json!({"id": 1, "action": "ping"}))["event"], "pong");
    let closed = senders.iter_mut().filter_map(|sender| {
        // A connection that is still open ends its message, which is not JSON.
        _ = sender.socket.try_writes(&Frame::continuation("x").bytes());
        match sender.socket.next_frame() {
            Heard::Text(error) => assert!(error.contains("invalid_json"), "{error}"),
            Heard::Close(code, _) => return Some(code),
            other => panic!("{other:?}"),
        }
        None
    });
    let closed = closed.inspect(|code| assert_eq!(*code, 1013)).count();
    assert!((10..40).contains(&closed), "{closed} of 40");
}

#[test]
fn a_history_that_nobody_reads_takes_no_memory_of_its_own() {
    let (server, _) = server_with_a_past(|config| (config.max_waiting, config.timeouts.write) = (4 * MIB, NEVER));
    let mut readers: Vec<Typed> = (0..10).map(|_| Typed::open(server.narrow_socket())).collect();
    for reader in &mut readers {
        reader.says(json!({"id": 1, "action": "history", "topic": "past"}));
        reader.says(json!({"id": 2, "action": "ping"}));
    }
    // Each history is six megabytes, and four megabytes may wait in all.
    for mut reader in readers {
        let answer = reader.next_event();
        assert_eq!(answer["messages"].as_array().map(Vec::len), Some(100));
        assert_eq!(reader.next_event()["event"], "pong");
    }
}

#[test]
fn who_asks_for_more_than_a_turn_does_and_ends_is_answered_to_the_end() {
    let server = Server::start();
    let mut readers: Vec<Typed> = (0..50).map(|_| server.typed()).collect();
    readers.iter_mut().for_each(|reader| reader.subscribes("t"));
    let mut asker = server.typed();
    let request = |id: usize| Frame::text(json!({"id": id, "action": "publish", "topic": "t"}).to_string()).bytes();
    asker.socket.writes(&(0..5000).flat_map(request).collect::<Vec<u8>>());
    asker.socket.ends_writing();
    for id in 0..5000 {
        let answer = asker.next_event();
        assert_eq!((&answer["id"], &answer["receivers"]), (&json!(id), &json!(50)));
    }
}

#[test]
fn who_takes_nothing_of_what_it_asked_for_is_cut_also_while_it_is_not_read() {
    let (server, mut publisher) = server_with_a_past(|config| config.timeouts.write = Duration::from_millis(300));
    let mut reader = unread(&server, "t", "latest");
    (1..4).for_each(|id| reader.says(json!({"id": id, "action": "history", "topic": "past"})));
    let begun = Instant::now();
    while publisher.asks(json!({"id": 2, "action": "publish", "topic": "t"}))["receivers"] != 0 {
        assert!(begun.elapsed() < Duration::from_secs(15), "it is still there");
    }
}
