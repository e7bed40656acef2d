//! Slow, greedy and silent clients: which limit each exceeds, and how the server closes it.

use hubcast_tests::{Frame, Handshake, Heard, Plain, Server, Typed};
use serde_json::json;
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

const SOON: Duration = Duration::from_millis(100);

/// Longer than any test.
const NEVER: Duration = Duration::from_secs(600);

/// Much longer than any step takes that does not wait for another client.
const PATIENCE: Duration = Duration::from_secs(2);

/// Publishes until the replies say that there are no receivers any more.
#[track_caller]
fn publish_until_nobody_hears(publisher: &mut Typed, topic: &str, message: &str) {
    let publish = json!({"id": 1, "action": "publish", "topic": topic, "message": message});
    while publisher.asks(&publish)["receivers"] != 0 {}
}

#[test]
fn a_head_that_does_not_end_is_cut() {
    let server = Server::with(|config| config.timeouts.head = SOON);
    for begun in ["", "G", "GET /socket HTTP/1.1\r\n", "GET /socket HTTP/1.1\r\nHost: x\r\nConnection: Upgr"] {
        let mut socket = server.socket();
        socket.writes(begun.as_bytes());
        socket.is_cut_without("101");
    }
}

#[test]
fn a_body_that_does_not_come_is_not_waited_for() {
    let server = Server::with(|config| (config.timeouts.head, config.timeouts.upgrade) = (SOON, SOON));
    let mut socket = server.socket();
    socket.writes(b"POST /nowhere HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\nbegun");
    assert_eq!(socket.answer().status, 404);
    socket.is_cut_without("200");
}

#[test]
fn a_head_without_end_is_refused_by_its_size() {
    let server = Server::start();
    let mut socket = server.socket();
    socket.writes(b"GET /socket HTTP/1.1\r\n");
    while socket
        .try_writes(&b"X: yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy\r\n".repeat(100))
        .is_ok()
    {}
    socket.is_cut_without("101");
}

#[test]
fn a_head_of_exactly_the_limit_is_answered_and_one_byte_more_is_431() {
    for limit in [8 * 1024, 9 * 1024, 23 * 1024 + 1, 101 * 1024] {
        let server = Server::with(|config| config.http.head = limit);
        let begin = "GET /healthz HTTP/1.1\r\nHost: x\r\nA: ";
        for (length, part, status) in
            [(limit, limit, 200), (limit, 777, 200), (limit + 1, limit, 431), (limit * 3, 7777, 431)]
        {
            let head = format!("{begin}{}\r\n\r\n", "a".repeat(length - begin.len() - 4));
            let mut socket = server.socket();
            for part in head.as_bytes().chunks(part) {
                // If the server refuses the head, the rest of it may find a closed socket.
                let _ = socket.try_writes(part);
            }
            assert_eq!(socket.answer().status, status, "{length} of {limit} bytes, {part} in a write");
        }
    }
}

#[test]
fn who_is_quiet_is_pinged_and_who_answers_stays() {
    let server = Server::with(|config| (config.timeouts.ping, config.timeouts.pong) = (SOON, SOON * 10));
    let mut peer = server.plain();
    peer.socket.hears(&Heard::Ping(vec![]));
    peer.socket.sends([&Frame::pong("")]);
    peer.socket.hears(&Heard::Ping(vec![]));
    peer.publishes("any complete frame", "is an answer");
    peer.socket.hears(&Heard::Ping(vec![]));
}

#[test]
fn who_does_not_answer_a_ping_is_closed_with_4000() {
    let server = Server::with(|config| (config.timeouts.ping, config.timeouts.pong) = (SOON, SOON));
    let mut peer = server.plain();
    peer.socket.hears(&Heard::Ping(vec![]));
    peer.socket.hears_close_at_last(4000);
}

#[test]
fn half_a_frame_is_no_sign_of_life() {
    let server = Server::with(|config| {
        (config.timeouts.ping, config.timeouts.pong, config.timeouts.close) = (SOON, SOON, SOON);
    });
    let mut peer = server.plain();
    peer.socket.hears(&Heard::Ping(vec![]));
    peer.socket.writes(&Frame::pong("12345678").bytes()[..9]);
    assert!(matches!(peer.socket.next_frame(), Heard::Close(4000, _)));
    peer.socket.is_cut();
}

#[test]
fn who_never_reads_a_word_is_closed_by_the_ping_all_the_same() {
    let server = Server::with(|config| (config.timeouts.ping, config.timeouts.pong) = (SOON, SOON));
    let mut peer = server.typed();
    let mut silent = server.narrow_socket();
    silent.writes(&Handshake::default().bytes());
    peer.socket.hears(&Heard::Ping(vec![]));
    assert_eq!(silent.answer().status, 101);
    silent.hears_close_at_last(4000);
}

#[test]
fn a_message_that_does_not_end_is_closed_with_1008() {
    let server = Server::with(|config| config.timeouts.message = SOON);
    for begun in [
        Frame::text("{").unfinished().bytes(),
        Frame::text("").unfinished().bytes(),
        Frame::text("{").announcing(100).bytes(),
        vec![0x81],
    ] {
        let mut peer = server.plain();
        peer.socket.writes(&begun);
        peer.socket.hears_close(1008);
    }
}

#[test]
fn a_message_is_not_kept_open_by_ever_more_fragments_and_pings() {
    let server = Server::with(|config| config.timeouts.message = SOON);
    let mut peer = server.plain();
    peer.socket.sends([&Frame::text("{").unfinished()]);
    let heard = loop {
        let fragment = [Frame::continuation("").unfinished(), Frame::ping("")];
        let sent = peer.socket.try_writes(&fragment.iter().flat_map(Frame::bytes).collect::<Vec<u8>>());
        match peer.socket.next_frame() {
            Heard::Pong(_) if sent.is_ok() => {}
            other => break other,
        }
    };
    assert_eq!(heard, Heard::Close(1008, "a message took too long".to_owned()));
}

#[test]
fn who_is_always_in_the_middle_of_some_message_is_not_slow() {
    let server = Server::with(|config| config.timeouts.message = SOON);
    let mut peer = server.plain();
    let frames =
        [Frame::text("{").unfinished(), Frame::continuation("}")].iter().flat_map(Frame::bytes).collect::<Vec<u8>>();
    let (begin, end) = frames.split_at(9);
    peer.socket.writes(begin);
    let started = Instant::now();
    while started.elapsed() < SOON * 3 {
        peer.socket.writes(&[end, begin].concat());
        peer.hears("Server: Action unrecognized");
    }
}

#[test]
fn a_reader_who_falls_behind_is_closed_with_4002_and_nobody_else_notices() {
    let server = Server::with(|config| {
        config.outbox = 256 * 1024;
        config.timeouts.write = NEVER;
        config.timeouts.close = NEVER;
    });
    let mut slow = Plain::open(server.narrow_socket());
    let (mut quick, mut publisher) = (server.plain(), server.typed());
    for peer in [&mut slow, &mut quick] {
        peer.subscribes("t");
        peer.hears_nothing();
    }
    let (padding, mut longest) = ("x".repeat(60_000), Duration::ZERO);
    for number in 0.. {
        let message = format!("{number} {padding}");
        let asked = Instant::now();
        let reply = publisher.asks(json!({"id": 1, "action": "publish", "topic": "t", "message": message}));
        quick.hears(&message);
        longest = longest.max(asked.elapsed());
        if reply["receivers"] == 1 {
            break;
        }
    }
    quick.hears_nothing();
    assert!(longest < PATIENCE, "a publication took {longest:?} to one who reads at once");
    slow.socket.hears_close_at_last(4002);
}

#[test]
fn a_reader_who_asks_and_never_reads_is_closed_with_4002() {
    let server = Server::with(|config| {
        config.outbox = 64 * 1024;
        config.timeouts.write = NEVER;
        config.timeouts.close = NEVER;
    });
    let mut other = server.typed();
    for asked in [Frame::ping([b'x'; 125]), Frame::text("broken")] {
        let mut peer = Typed::open(server.narrow_socket());
        // The operating system buffers some megabytes; what exceeds them must overflow the outbox.
        let asked = asked.bytes().repeat(1000);
        for _ in 0..100 {
            peer.socket.writes(&asked);
        }
        publish_until_nobody_hears(&mut other, &peer.id, "");
        peer.socket.hears_close_at_last(4002);
    }
}

#[test]
fn what_was_missed_is_replayed_however_much_it_is_and_more_only_when_it_was_read() {
    let server = Server::with(|config| {
        config.rules.list.clear();
        config.outbox = 64 * 1024;
        (config.timeouts.write, config.timeouts.ping) = (NEVER, NEVER);
    });
    let (mut keeper, mut publisher) = (server.typed(), server.typed());
    keeper.says(json!({"action": "subscribe", "topic": "t", "slow": "latest"}));
    keeper.next_event();
    let publish = json!({"id": 1, "action": "publish", "topic": "t", "message": "x".repeat(60_000)});
    (0..100).for_each(|_| _ = publisher.asks(&publish));
    let history = json!({"id": 2, "action": "history", "topic": "t"});
    assert_eq!(publisher.asks(&history)["messages"].as_array().map(Vec::len), Some(100));

    let mut reader = Typed::open(server.narrow_socket());
    let again = [
        Frame::text(r#"{"action":"subscribe","topic":"t","last":100}"#),
        Frame::text(r#"{"action":"unsubscribe","topic":"t"}"#),
    ];
    reader.socket.sends(again.iter().cycle().take(200));
    for _ in 0..2 {
        assert_eq!(reader.next_event()["replayed"], 100);
        (0..100).for_each(|_| assert_eq!(reader.next_event()["event"], "message"));
        assert_eq!(reader.next_event()["event"], "unsubscribed");
    }
}

#[test]
fn topics_that_cannot_be_resumed_get_their_gaps_behind_a_replay_that_is_still_being_read() {
    let server = Server::with(|config| {
        config.rules.list.clear();
        config.outbox = 64 * 1024;
    });
    let (mut keeper, mut publisher) = (server.typed(), server.typed());
    keeper.says(json!({"action": "subscribe", "topic": "big", "slow": "latest"}));
    keeper.next_event();
    let publish = json!({"id": 1, "action": "publish", "topic": "big", "message": "x".repeat(60_000)});
    (0..100).for_each(|_| _ = publisher.asks(&publish));
    let mut reader = Typed::open(server.narrow_socket());
    let lost = (0..1200).map(|topic| (format!("a.{topic}"), json!({"epoch": "gone", "offset": 1})));
    let lost = serde_json::Value::Object(lost.collect());
    let again = [
        json!({"action": "subscribe", "topic": "big", "last": 100}),
        json!({"action": "subscribe", "pattern": "a.*", "recover": lost}),
    ];
    reader.socket.sends(&again.map(|request| Frame::text(request.to_string())));
    assert_eq!(reader.next_event()["replayed"], 100);
    (0..100).for_each(|_| assert_eq!(reader.next_event()["event"], "message"));
    assert_eq!(reader.next_event()["event"], "subscribed");
    (0..1200).for_each(|_| assert_eq!(reader.next_event()["reason"], "not_recoverable"));
}

#[test]
fn a_lossy_reader_that_keeps_up_misses_nothing_of_a_burst() {
    for slow in ["drop", "latest"] {
        let server = Server::with(|config| config.outbox = 64 * 1024);
        let (mut reader, mut publisher) = (server.typed(), server.typed());
        reader.says(json!({"action": "subscribe", "pattern": "t.*", "slow": slow}));
        reader.next_event();
        // Other topics one after another, so that no two publications are joined; three times as much as the outbox takes.
        let publications = (0..130).map(|number| {
            let message = json!([number, "x".repeat(1500)]);
            Frame::text(
                json!({"action": "publish", "topic": format!("t.{}", number % 7), "message": message}).to_string(),
            )
        });
        publisher.socket.sends(&publications.collect::<Vec<_>>());
        for number in 0..130 {
            assert_eq!(reader.next_event()["message"][0], number, "{slow}");
        }
    }
}

#[test]
fn a_write_that_nobody_reads_is_waited_for_only_so_long() {
    let server = Server::with(|config| {
        config.outbox = 64 * 1024 * 1024;
        config.timeouts.write = SOON;
    });
    let mut stalled = Plain::open(server.narrow_socket());
    stalled.subscribes("t");
    stalled.hears_nothing();
    let mut publisher = server.typed();
    for _ in 0..120 {
        publisher.publishes("t", "x".repeat(60_000));
    }
    publish_until_nobody_hears(&mut publisher, "t", "");
    stalled.socket.is_cut_without("4002");
}

#[test]
fn who_does_not_answer_a_close_is_cut() {
    let server = Server::with(|config| {
        (config.timeouts.ping, config.timeouts.pong, config.timeouts.close) = (SOON, SOON, SOON);
    });
    let mut peer = server.plain();
    peer.socket.hears(&Heard::Ping(vec![]));
    assert!(matches!(peer.socket.next_frame(), Heard::Close(4000, _)));
    peer.socket.is_cut();
}

#[test]
fn who_goes_on_sending_after_a_violation_is_not_read_for_ever() {
    let server = Server::with(|config| (config.timeouts.linger, config.linger_bytes) = (NEVER, 64 * 1024));
    let mut peer = server.plain();
    peer.socket.sends([&Frame::text("").unmasked()]);
    peer.socket.hears_close(1002);
    let (more, began) = (vec![0; 64 * 1024], Instant::now());
    while peer.socket.try_writes(&more).is_ok() {
        assert!(began.elapsed() < SOON * 50, "the server still reads what it does not want");
    }
}

#[test]
fn who_asks_too_often_is_refused_and_then_closed_with_4003() {
    let server = Server::with(|config| config.limits.requests_per_second = Some(10));
    let mut peer = server.typed();
    let ping = |id: usize| Frame::text(json!({"id": id, "action": "ping"}).to_string());
    peer.socket.sends(&(0..30).map(ping).collect::<Vec<_>>());
    for id in 0..10 {
        peer.hears(json!({"event": "pong", "id": id}));
    }
    let refused = peer.next_event();
    assert_eq!(
        (&refused["id"], &refused["code"], &refused["retry"]),
        (&json!(10), &json!("rate_limited"), &json!(true))
    );
    peer.socket.hears_close_at_last(4003);
}

#[test]
fn a_flood_of_one_does_not_keep_another_waiting() {
    let server = Server::start();
    let (mut flooder, mut hearer, mut publisher) = (server.plain(), server.plain(), server.plain());
    hearer.subscribes("t");
    hearer.hears_nothing();
    let mut flooded = server.typed();
    let subscribe = json!({"id": 1, "action": "subscribe", "topic": "flood", "slow": "drop"});
    assert_eq!(flooded.asks(subscribe)["event"], "subscribed");
    let flood = Frame::text(r#"{"action":"publish","topic":"flood","message":"x"}"#).bytes().repeat(1000);
    let (begun, is_over) = (Barrier::new(2), AtomicBool::new(false));
    let mut longest = Duration::ZERO;
    thread::scope(|scope| {
        scope.spawn(|| {
            flooded.hears_message("flood", "x");
            begun.wait();
            while flooded.next_event()["message"] != "over" {}
        });
        scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                flooder.socket.writes(&flood);
            }
            flooder.publishes("flood", "over");
        });
        begun.wait();
        for number in 0..10 {
            let asked = Instant::now();
            publisher.publishes("t", &number.to_string());
            hearer.hears(&number.to_string());
            longest = longest.max(asked.elapsed());
        }
        is_over.store(true, Ordering::Relaxed);
    });
    flooder.hears_nothing();
    assert!(longest < PATIENCE, "a publication took {longest:?} through a flood of others");
}
