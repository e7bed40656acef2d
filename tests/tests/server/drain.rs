//! How the server stops: it closes all connections, says when to reconnect, and ends in time.

use hubcast_tests::{Frame, Handshake, Heard, Plain, Server, Typed};
use serde_json::json;
use std::thread;
use std::time::Duration;

#[test]
fn typed_clients_learn_when_to_come_back_and_closed_with_1012() {
    let mut server = Server::start();
    let mut peers: Vec<Typed> = (0..5).map(|_| server.typed()).collect();
    server.stops();
    for peer in &mut peers {
        let event = peer.next_event();
        assert_eq!((&event["event"], &event["code"]), (&json!("closing"), &json!(1012)), "{event}");
        assert!(event["reason"].is_string() && event["reconnect_in_ms"].is_u64(), "{event}");
        peer.socket.hears_close_at_last(1012);
    }
    drop(peers);
    server.has_ended();
}

#[test]
fn plain_clients_are_closed_with_1012_and_get_nothing_else() {
    let mut server = Server::start();
    let mut peers: Vec<Plain> = (0..5).map(|_| server.plain()).collect();
    server.stops();
    for peer in &mut peers {
        assert!(matches!(peer.socket.next_frame(), Heard::Close(1012, reason) if !reason.is_empty()));
        peer.socket.sends([&Frame::close(1012, "")]);
        peer.socket.hears_end();
    }
    drop(peers);
    server.has_ended();
}

#[test]
fn a_server_without_connections_ends_at_once() {
    let long = Duration::from_secs(600);
    Server::with(|config| (config.drain.spread, config.drain.deadline) = (long, long)).has_ended();
}

#[test]
fn later_ones_are_asked_to_come_back_later() {
    let mut server = Server::with(|config| config.drain.spread = Duration::from_millis(200));
    let mut peers: Vec<Typed> = (0..4).map(|_| server.typed()).collect();
    server.stops();
    let waits: Vec<u64> = peers.iter_mut().filter_map(|peer| peer.next_event()["reconnect_in_ms"].as_u64()).collect();
    assert_eq!(waits.len(), 4);
    assert!(waits.is_sorted() && waits[0] < waits[3] && waits[3] <= 400, "{waits:?}");
}

#[test]
fn who_is_not_disconnected_yet_is_served_as_ever() {
    let mut server = Server::with(|config| {
        config.drain.spread = Duration::from_secs(600);
        config.drain.deadline = Duration::from_secs(600);
    });
    let (mut first, mut second) = (server.typed(), server.typed());
    second.subscribes("t");
    server.stops();
    assert_eq!(first.next_event()["event"], "closing");
    second.publishes("t", "still here");
    second.hears_message("t", "still here");
}

#[test]
fn while_it_drains_the_server_is_alive_but_not_ready_and_takes_nobody() {
    let mut server = Server::with(|config| config.timeouts.close = Duration::from_secs(600));
    let mut last = server.plain();
    server.stops();
    assert!(matches!(last.socket.next_frame(), Heard::Close(1012, _)));
    assert_eq!(server.status_of("GET /healthz HTTP/1.1"), 200);
    for request in ["GET /readyz HTTP/1.1", "GET /socket HTTP/1.1"] {
        let answer = server.socket().asks(&Handshake::default().request(request));
        assert_eq!((answer.status, answer.header("Retry-After").is_some()), (503, true), "{request}");
    }
    last.socket.sends([&Frame::close(1012, "")]);
    last.socket.hears_end();
    drop(last);
    server.has_ended();
}

#[test]
fn a_worker_without_connections_answers_until_those_of_the_others_are_gone() {
    // The server gives the first connection to the second worker and the next one to the first.
    for others in 0..2 {
        let mut server = Server::with(|config| {
            config.workers = Some(2);
            config.timeouts.close = Duration::from_secs(600);
        });
        (0..others).for_each(|_| assert_eq!(server.status_of("GET /readyz HTTP/1.1"), 200));
        let mut last = server.plain();
        server.stops();
        assert!(matches!(last.socket.next_frame(), Heard::Close(1012, _)));
        // Often enough to show that a worker without connections stays until the other worker has none.
        for _ in 0..50 {
            assert_eq!(server.status_of("GET /readyz HTTP/1.1"), 503);
        }
        last.socket.sends([&Frame::close(1012, "")]);
        last.socket.hears_end();
        drop(last);
        server.has_ended();
    }
}

#[test]
fn what_was_published_before_is_heard_before_the_end() {
    let mut server = Server::start();
    let (mut hearer, mut publisher) = (server.typed(), server.typed());
    hearer.subscribes("t");
    publisher.socket.writes(&Frame::text(r#"{"action":"publish","topic":"t","message":"x"}"#).bytes().repeat(500));
    publisher.hears_nothing();
    server.stops();
    for _ in 0..500 {
        hearer.hears_message("t", "x");
    }
    assert_eq!(hearer.next_event()["event"], "closing");
    hearer.socket.hears_close_at_last(1012);
}

#[test]
fn who_takes_bytes_all_the_time_gets_all_of_them_however_slowly() {
    let mut server = Server::with(|config| {
        (config.timeouts.close, config.outbox) = (Duration::from_millis(700), 4 << 20);
        config.drain.spread = Duration::ZERO;
    });
    let (mut reader, mut publisher) = (Typed::open(server.narrow_socket()), server.typed());
    reader.subscribes("t");
    let publish = format!(r#"{{"action":"publish","topic":"t","message":"{}"}}"#, "x".repeat(40_000));
    publisher.socket.writes(&Frame::text(&publish).bytes().repeat(20));
    publisher.hears_nothing();
    server.stops();
    // The operating system reports that the socket takes more after each 256 KiB. Here that takes twice as long as a
    // closing connection may make no progress.
    for _ in 0..20 {
        assert_eq!(reader.next_event()["event"], "message");
        thread::sleep(Duration::from_millis(200));
    }
    assert_eq!(reader.next_event()["event"], "closing");
    reader.socket.hears_close_at_last(1012);
    server.has_ended();
}

#[test]
fn who_does_not_go_is_cut() {
    let mut server = Server::with(|config| {
        config.timeouts.close = Duration::from_secs(600);
        config.drain.deadline = Duration::from_millis(200);
    });
    let (mut deaf, mut silent) = (server.plain(), server.socket());
    server.stops();
    assert!(matches!(deaf.socket.next_frame(), Heard::Close(1012, _)));
    deaf.socket.is_cut();
    silent.is_cut_without("HTTP");
    server.has_ended();
}
