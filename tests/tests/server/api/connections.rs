//! Connections that stay open: bodies, order, sessions, and the end of the server.

use super::{configure, keep, server};
use hubcast_tests::{ApiClient, Frame, Handshake, Heard, Server, key_of};
use serde_json::json;
use std::time::Duration;

#[test]
fn a_body_that_is_too_long_is_refused_before_it_is_read() {
    let server = server();
    let mut api = ApiClient::open(&server, "manage");
    let key = key_of("manage");
    let head = |more: &str| {
        format!(
            "POST /api/publish HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n\
             Authorization: Bearer {key}\r\n{more}\r\n\r\n"
        )
    };
    api.socket.writes(head("Content-Length: 5000000").as_bytes());
    let reply = api.hears("POST");
    assert_eq!((reply.status(), reply.code()), (413, "message_too_large"));
    assert_eq!(reply.head.header("Connection"), Some("close"));

    let mut api = ApiClient::open(&server, "manage");
    api.socket.writes(head("Transfer-Encoding: chunked").as_bytes());
    let chunk = format!("10000\r\n{}\r\n", "x".repeat(0x10000));
    while api.socket.try_writes(chunk.as_bytes()).is_ok() {}
    assert_eq!(api.hears("POST").status(), 413);
}

#[test]
fn a_body_that_does_not_come_in_time_is_not_waited_for() {
    let server = Server::with(|config| {
        configure(config);
        config.timeouts.head = Duration::from_millis(200);
    });
    let mut api = ApiClient::open(&server, "manage");
    let request = format!(
        "POST /api/publish HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nAuthorization: Bearer {}\r\n\
         Content-Length: 13\r\n\r\n{{\"topic\"",
        key_of("manage")
    );
    api.socket.writes(request.as_bytes());
    let reply = api.hears("POST");
    assert_eq!((reply.status(), reply.code()), (408, "timeout"));
    assert_eq!(reply.head.header("Connection"), Some("close"));
}

#[test]
fn a_server_that_shuts_down_says_when_to_try_again() {
    let mut server = Server::with(|config| {
        configure(config);
        config.timeouts.close = Duration::from_secs(600);
    });
    let mut last = server.plain();
    let mut api = ApiClient::open(&server, "manage");
    assert_eq!(api.gets("/api/stats").status(), 200);
    server.stops();
    assert!(matches!(last.socket.next_frame(), Heard::Close(1012, _)));
    let reply = api.gets("/api/stats");
    assert_eq!((reply.status(), reply.code(), reply.head.header("Retry-After")), (503, "unavailable", Some("5")));
    last.socket.sends([&Frame::close(1012, "")]);
    last.socket.hears_end();
    server.has_ended();
}

#[test]
fn a_request_that_is_being_served_is_answered_before_the_server_ends() {
    let mut server = Server::with(configure);
    let mut api = ApiClient::open(&server, "manage");
    let request = format!(
        "POST /api/publish HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nAuthorization: Bearer {}\r\n\
         Expect: 100-continue\r\nContent-Length: 13\r\n\r\n",
        key_of("manage")
    );
    api.socket.writes(request.as_bytes());
    assert_eq!(api.socket.answer().status, 100);
    server.stops();
    api.socket.writes(br#"{"topic":"t"}"#);
    assert_eq!(api.hears("POST").status(), 200);
    server.has_ended();
}

#[test]
fn a_key_is_checked_before_the_client_is_told_to_send_its_body() {
    let server = server();
    let head = |key: &str| {
        format!(
            "POST /api/publish HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nExpect: 100-continue\r\n\
             Content-Length: 13\r\nX-API-Key: {key}\r\n\r\n"
        )
    };
    let mut api = ApiClient::open(&server, "manage");
    api.socket.writes(head("hc_wrong").as_bytes());
    assert_eq!(api.hears("POST").status(), 401);

    let mut api = ApiClient::open(&server, "manage");
    api.socket.writes(head(&key_of("manage")).as_bytes());
    assert_eq!(api.socket.answer().status, 100);
    api.socket.writes(br#"{"topic":"t"}"#);
    assert_eq!(api.hears("POST").status(), 200);
}

#[test]
fn callers_that_go_away_leave_nothing() {
    let server = server();
    let sessions = |api: &mut ApiClient| api.gets("/api/stats").body["sessions"].as_u64().unwrap();
    let mut api = ApiClient::open(&server, "manage");
    assert_eq!(sessions(&mut api), 0, "nothing needed one yet");
    let request = format!(
        "POST /api/publish HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nAuthorization: Bearer {}\r\n\
         Content-Length: 13\r\n\r\n{{\"topic\":\"t\"}}",
        key_of("manage")
    );
    for number in 0..50 {
        let mut gone = server.socket();
        gone.writes(request.as_bytes());
        if number % 2 == 0 {
            gone.resets();
        }
    }
    // Those that were not reset have published; the others may have.
    while api.gets("/api/stats").body["publications"].as_u64() < Some(25) || sessions(&mut api) > 0 {}
    let mut other = ApiClient::open(&server, "news");
    assert_eq!(other.posts("/api/publish", &json!({"topic": "news.a"})).status(), 200);
    assert_eq!(sessions(&mut api), 1);
    drop(other);
    while sessions(&mut api) > 0 {}
}

#[test]
fn one_connection_may_carry_the_requests_of_several_keys() {
    let server = server();
    let mut api = ApiClient::without_key(&server);
    let keys = ["manage", "news", "manage", "news"].map(|id| format!("X-API-Key: {}", key_of(id)));
    for (number, key) in keys.iter().enumerate() {
        let headers = ["Content-Type: application/json", key];
        let reply = api.asks("POST", "/api/publish", &headers, Some(r#"{"topic":"other"}"#));
        assert_eq!(reply.status(), if number % 2 == 0 { 200 } else { 403 });
    }
}

#[test]
fn requests_that_come_together_are_answered_in_order() {
    let server = server();
    let mut reader = server.typed();
    reader.subscribes("t");
    let mut api = ApiClient::open(&server, "manage");
    let requests: String = (0..100)
        .map(|number| {
            let body = json!({"topic": "t", "message": number}).to_string();
            let (key, length) = (key_of("manage"), body.len());
            format!(
                "POST /api/publish HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n\
                 Authorization: Bearer {key}\r\nContent-Length: {length}\r\n\r\n{body}"
            )
        })
        .collect();
    api.socket.writes(requests.as_bytes());
    (0..100).for_each(|_| assert_eq!(api.hears("POST").body["receivers"], 1));
    (0..100).for_each(|number| assert_eq!(reader.next_event()["message"], number));
}

/// A server that keeps six megabytes of the topic "t", with this timeout of a write.
fn with_a_long_history(write: Duration) -> Server {
    let server = Server::with(|config| {
        keep(config);
        config.timeouts.write = write;
    });
    let mut api = ApiClient::open(&server, "manage");
    for _ in 0..2 {
        let messages: Vec<_> = (0..50).map(|_| json!({"topic": "t", "message": "x".repeat(60_000)})).collect();
        assert_eq!(api.posts("/api/publish", &json!({"messages": messages})).status(), 200);
    }
    server
}

/// The request for that history.
fn history() -> String {
    let key = key_of("manage");
    format!("GET /api/history?topic=t HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\n\r\n")
}

#[test]
fn who_reads_nothing_of_an_answer_is_cut() {
    let server = with_a_long_history(Duration::from_millis(200));
    let mut reader = server.narrow_socket();
    reader.writes(history().as_bytes());
    let begun = std::time::Instant::now();
    // A request on the same connection is not taken any more once that has been cut.
    while reader.try_writes(b"x").is_ok() {
        assert!(begun.elapsed() < hubcast_tests::DEADLINE, "it is still open");
        std::thread::yield_now();
    }
}

#[test]
fn who_reads_an_answer_slowly_gets_all_of_it() {
    let write = Duration::from_millis(300);
    let server = with_a_long_history(write);
    let clock = Server::with(|config| config.timeouts.ping = Duration::from_millis(20));
    let mut reader = server.narrow_socket();
    reader.writes(history().as_bytes());
    assert_eq!(reader.answer().status, 200);
    let (begun, mut taken) = (std::time::Instant::now(), 0);
    while begun.elapsed() < write * 4 {
        taken += reader.reads(20_000).len();
        // The second server is the clock: it pings a new client after a while.
        clock.plain().socket.hears(&Heard::Ping(vec![]));
    }
    assert!(taken < 5_000_000, "it was over too soon");
    while taken < 6_000_000 {
        taken += reader.reads(20_000).len();
    }
}

#[test]
fn connections_that_wait_for_their_next_request_make_room_for_others() {
    let server = Server::with(|config| {
        configure(config);
        config.max_connections = 2;
    });
    let mut idle: Vec<_> = (0..30).map(|_| ApiClient::open(&server, "manage")).collect();
    for api in &mut idle {
        assert_eq!(api.posts("/api/publish", &json!({"topic": "t"})).status(), 200);
    }
    for _ in 0..30 {
        let mut probe = server.socket();
        assert_eq!(probe.asks(&Handshake::default().request("GET /healthz HTTP/1.1")).status, 200);
    }
    let _websockets = [server.plain(), server.plain()];
    let mut last = ApiClient::open(&server, "manage");
    // The sessions of those that made room are gone.
    while last.gets("/api/stats").body["sessions"].as_u64() > Some(34) {}
}
