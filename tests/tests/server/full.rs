//! A server with as many WebSockets as it may have: it refuses new ones with 503, and still answers health checks.

use hubcast_tests::{Handshake, Server, Typed};
use std::time::{Duration, Instant};

/// An orchestrator restarts a server that does not answer within this time.
const PROBE: Duration = Duration::from_secs(1);

/// A server with this limit of connections.
fn with_room_for(max_connections: usize) -> Server {
    Server::with(|config| config.max_connections = max_connections)
}

/// The status of the answer to a request; the answer must come within [`PROBE`].
#[track_caller]
fn probe(server: &Server, request: &str) -> u16 {
    let asked = Instant::now();
    let status = server.status_of(request);
    assert!(asked.elapsed() < PROBE, "{request} took {:?}", asked.elapsed());
    status
}

/// Checks that the server refuses new WebSockets and answers other requests.
#[track_caller]
fn is_full_and_lives(server: &Server) {
    for (request, status) in [
        ("GET /healthz HTTP/1.1", 200),
        ("GET /readyz HTTP/1.1", 503),
        ("GET /socket HTTP/1.1", 503),
        ("GET /nowhere HTTP/1.1", 404),
    ] {
        assert_eq!(probe(server, request), status, "{request}");
    }
}

/// Checks that each client still gets answers.
#[track_caller]
fn all_live(peers: &mut [Typed]) {
    for peer in peers {
        assert_eq!(peer.asks(r#"{"id":1,"action":"ping"}"#)["event"], "pong");
    }
}

#[test]
fn one_connection_too_many_is_asked_to_come_back() {
    let server = with_room_for(2);
    let (kept, gone) = (server.plain(), server.plain());
    for request in ["GET /socket HTTP/1.1", "GET /readyz HTTP/1.1"] {
        let answer = server.socket().asks(&Handshake::default().request(request));
        assert_eq!((answer.status, answer.header("Retry-After").is_some()), (503, true));
    }
    drop(gone);
    // The server accepts again when it has noticed the end of the connection.
    while server.socket().asks(&Handshake::default()).status == 503 {}
    drop(kept);
}

#[test]
fn who_only_connects_takes_nobodys_place() {
    let server = with_room_for(1);
    let silent = server.socket();
    let mut peers = [server.typed()];
    assert_eq!(server.status_of("GET /socket HTTP/1.1"), 503);
    all_live(&mut peers);
    drop(silent);
}

#[test]
fn those_who_say_nothing_keep_nobody_from_being_answered() {
    let server = with_room_for(5);
    let mut peers: Vec<_> = (0..5).map(|_| server.typed()).collect();
    let silent: Vec<_> = (0..100).map(|_| server.socket()).collect();
    for _ in 0..5 {
        is_full_and_lives(&server);
    }
    all_live(&mut peers);
    drop(peers.pop());
    // The server accepts again when it has noticed the end of the connection.
    while server.status_of("GET /socket HTTP/1.1") == 503 {}
    drop(silent);
}

#[test]
fn a_request_that_does_not_end_is_no_better_than_silence() {
    let server = with_room_for(1);
    let mut peers = [server.typed()];
    let begun: Vec<_> = (0..100)
        .map(|_| {
            let mut socket = server.socket();
            // The write fails if the server has already closed the connection.
            let _ = socket.try_writes(b"GET /socket HTTP/1.1\r\nHost: x\r\n");
            socket
        })
        .collect();
    is_full_and_lives(&server);
    all_live(&mut peers);
    drop(begun);
}

#[test]
fn those_who_keep_coming_and_say_nothing_keep_nobody_from_being_answered() {
    for workers in [1, 3] {
        let server = Server::with(|config| (config.max_connections, config.workers) = (5, Some(workers)));
        let mut peers: Vec<_> = (0..5).map(|_| server.typed()).collect();
        let mut silent = Vec::new();
        for _ in 0..20 {
            let mut probe = server.socket();
            // These come after the probe's connection and before its request, and the earlier ones are still open.
            silent.extend((0..20).map(|_| server.socket()));
            let asked = Instant::now();
            assert_eq!(probe.asks(&Handshake::default().request("GET /healthz HTTP/1.1")).status, 200);
            assert!(asked.elapsed() < PROBE, "it took {:?}", asked.elapsed());
        }
        is_full_and_lives(&server);
        all_live(&mut peers);
    }
}
