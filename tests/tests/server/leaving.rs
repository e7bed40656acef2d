//! Connections that close or break, and that nothing of them is left in the server.

use hubcast_tests::{Frame, Handshake, Heard, Plain, Server, Socket, Typed};
use serde_json::json;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

/// Longer than any test.
const NEVER: Duration = Duration::from_secs(600);

/// Runs `meanwhile` while one client publishes to many subscribers: so much that the turns are long, and the worker
/// waits for more input before the next one.
fn while_much_is_published(server: &Server, meanwhile: impl FnOnce()) {
    let is_over = AtomicBool::new(false);
    let subscribe = json!({"action": "subscribe", "topic": "stream", "slow": "latest"});
    let hearers: Vec<_> = (0..HEARERS)
        .map(|_| {
            let mut hearer = server.typed();
            hearer.says(&subscribe);
            hearer
        })
        .collect();
    let mut publisher = server.typed();
    let publish = json!({"id": 1, "action": "publish", "topic": "stream", "message": "x"});
    thread::scope(|scope| {
        for mut hearer in hearers {
            scope.spawn(move || while hearer.next_event()["message"] != "the end" {});
        }
        scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                (0..AT_ONCE).for_each(|_| publisher.says(&publish));
                (0..AT_ONCE).for_each(|_| _ = publisher.next_event());
            }
            publisher.says(json!({"action": "publish", "topic": "stream", "message": "the end"}));
        });
        meanwhile();
        is_over.store(true, Ordering::Relaxed);
    });
}

#[test]
fn who_closes_while_much_is_published_is_let_go() {
    let server = Server::start();
    while_much_is_published(&server, || {
        for _ in 0..20 {
            let mut peer = server.plain();
            peer.socket.sends([&Frame::close(1000, "")]);
            peer.socket.hears_close(1000);
        }
    });
}

#[test]
fn a_client_that_half_closes_after_a_request_gets_the_answer_while_much_is_published() {
    let server = Server::start();
    while_much_is_published(&server, || {
        for _ in 0..20 {
            let mut peer = server.typed();
            peer.says(json!({"id": 1, "action": "ping"}));
            peer.socket.ends_writing();
            peer.hears(json!({"event": "pong", "id": 1}));
        }
    });
}

#[test]
fn a_close_that_comes_with_the_handshake_is_answered() {
    let server = Server::start();
    for _ in 0..20 {
        let mut socket = server.socket();
        socket.writes(&[Handshake::default().bytes(), Frame::close(1000, "").bytes()].concat());
        assert_eq!(socket.answer().status, 101);
        let last = loop {
            match socket.next_frame() {
                Heard::Text(_) => {}
                last => break last,
            }
        };
        assert_eq!(last, Heard::Close(1000, String::new()));
        socket.hears_end();
    }
}

#[test]
fn a_client_that_half_closes_and_reads_nothing_is_not_kept_for_ever() {
    let server = Server::with(|config| {
        config.max_connections = 2;
        (config.timeouts.write, config.timeouts.ping) = (NEVER, NEVER);
    });
    let mut reader = Typed::open(server.narrow_socket());
    reader.subscribes("t");
    let mut publisher = server.typed();
    let publish = json!({"id": 1, "action": "publish", "topic": "t", "message": "x".repeat(60_000)});
    (0..60).for_each(|_| _ = publisher.asks(&publish));
    reader.socket.ends_writing();
    // The server accepts again when the reader's connection is gone.
    while server.socket().asks(&Handshake::default()).status == 503 {}
}

#[test]
fn half_a_pong_that_was_completed_is_no_message_that_does_not_end() {
    let server = Server::with(|config| config.timeouts.message = Duration::from_millis(100));
    let (mut peer, mut other) = (server.plain(), server.plain());
    let pong = Frame::pong("12345678").bytes();
    let (begin, end) = pong.split_at(9);
    peer.socket.writes(begin);
    // Gives the server time to read the first half before the second.
    other.hears_nothing();
    peer.socket.writes(end);
    let mut is_over = deadline(Duration::from_millis(300));
    while !is_over() {
        peer.socket.sends([&Frame::ping("")]);
        peer.socket.hears(&Heard::Pong(Vec::new()));
    }
}

#[test]
fn a_server_that_is_full_lives_and_is_not_ready() {
    let server = Server::with(|config| config.max_connections = 1);
    let _only: Plain = server.plain();
    let status = |request: &str| Socket::connect(server.address()).asks(&Handshake::default().request(request)).status;
    assert_eq!(status("GET /healthz HTTP/1.1"), 200);
    assert_eq!(status("GET /readyz HTTP/1.1"), 503);
}

/// A function that returns whether `after` has passed since this call.
fn deadline(after: Duration) -> impl FnMut() -> bool {
    let begun = std::time::Instant::now();
    move || begun.elapsed() > after
}

/// Subscribers; enough that each turn is a long one.
const HEARERS: usize = 60;

/// Publications that are on their way at the same time.
const AT_ONCE: usize = 16;
