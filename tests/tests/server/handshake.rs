//! The opening handshake: which requests become a WebSocket, which are refused and why, and the other routes.

use hubcast_tests::{Frame, Handshake, Server};

/// Sends each head to one server, each on a connection of its own, and checks the status of the answer.
#[track_caller]
fn each_gets(status: u16, handshakes: impl IntoIterator<Item = Handshake>) {
    let server = Server::start();
    for handshake in handshakes {
        let answer = server.socket().asks(&handshake);
        assert_eq!(answer.status, status, "to\n{}", String::from_utf8_lossy(&handshake.bytes()));
    }
}

/// A handshake that the server accepts.
fn good() -> Handshake {
    Handshake::default()
}

#[test]
fn the_answer_is_that_of_the_rfcs_example() {
    let server = Server::start();
    let answer = server.socket().asks(&good());
    assert_eq!(answer.status, 101);
    assert_eq!(answer.header("Sec-WebSocket-Accept"), Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
    assert!(answer.header("Upgrade").is_some_and(|value| value.eq_ignore_ascii_case("websocket")));
    assert!(answer.header("Connection").is_some_and(|value| value.eq_ignore_ascii_case("upgrade")));
    assert_eq!(answer.header("Sec-WebSocket-Extensions"), None);
}

#[test]
fn what_a_client_may_say_differently_is_taken() {
    each_gets(
        101,
        [
            good(),
            good().instead("Connection: keep-alive, Upgrade"),
            good().instead("Connection: UPGRADE"),
            good().instead("Connection: keep-alive").with("Connection: upgrade"),
            good().instead("Upgrade: WebSocket"),
            good().with("Origin: https://anywhere.example"),
            good().with("Origin: null"),
            good().with("Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits"),
            good().with("Content-Length: 0"),
            good().request("GET /socket?x=y HTTP/1.1"),
            good().request("GET /socket? HTTP/1.1"),
            good().request("GET http://127.0.0.1/socket HTTP/1.1"),
            good().instead("host:  127.0.0.1:8080  "),
        ],
    );
}

#[test]
fn what_is_no_upgrade_or_of_another_version_learns_which_one_is_needed() {
    let wrong = [
        good().without("Upgrade"),
        good().without("Connection"),
        good().instead("Upgrade: h2c"),
        good().instead("Connection: close"),
        good().without("Sec-WebSocket-Version"),
        good().instead("Sec-WebSocket-Version: 8"),
        good().instead("Sec-WebSocket-Version: 13, 8"),
        good().with("Sec-WebSocket-Version: 13"),
    ];
    each_gets(426, wrong.clone());
    let server = Server::start();
    for handshake in wrong {
        let answer = server.socket().asks(&handshake);
        assert_eq!(answer.header("Sec-WebSocket-Version"), Some("13"));
        assert_eq!(answer.header("Upgrade"), Some("websocket"));
    }
}

#[test]
fn a_plain_get_is_answered_in_words_that_this_is_a_websocket_endpoint() {
    let server = Server::start();
    let mut socket = server.socket();
    socket.writes(b"GET /socket HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_eq!(socket.answer().status, 426);
    assert!(socket.rest().contains("WebSocket endpoint"));
}

#[test]
fn only_get_opens_a_websocket() {
    let methods = ["POST", "PUT", "HEAD", "OPTIONS", "DELETE", "BREW"];
    let server = Server::start();
    for method in methods {
        let answer = server.socket().asks(&good().request(&format!("{method} /socket HTTP/1.1")));
        assert_eq!((answer.status, answer.header("Allow")), (405, Some("GET")), "{method}");
    }
}

#[test]
fn a_key_is_the_base64_text_of_sixteen_bytes_and_stands_once() {
    let wrong = [
        "",
        "x",
        "c2hvcnQ=",
        "dGhlIHNhbXBsZSBub25jZQ",
        "dGhlIHNhbXBsZSBub25jZQ=",
        "dGhlIHNhbXBsZSBub25jZQ===",
        "dGhlIHNhbXBsZSBub25jZQAA",
        "dGhlIHNhbXBsZSBub25jZQAAAA==",
        "dGhlIHNhbXBsZSBub25j-_==",
        "dGhlIHNhbXBs ZSBub25jZ==",
    ];
    let keys = wrong.map(|key| good().instead(&format!("Sec-WebSocket-Key: {key}")));
    each_gets(400, keys);
    let twice = good().with("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==");
    each_gets(400, [good().without("Sec-WebSocket-Key"), twice]);
}

#[test]
fn there_is_exactly_one_host() {
    each_gets(400, [good().without("Host"), good().with("Host: other")]);
}

#[test]
fn a_handshake_has_no_body_and_none_is_read_as_a_request() {
    let server = Server::start();
    for headers in [
        &["Content-Length: 5"][..],
        &["Transfer-Encoding: chunked"],
        &["Transfer-Encoding: gzip, chunked"],
        &["Content-Length: 5", "Transfer-Encoding: chunked"],
        &["Content-Length: 5", "Content-Length: 6"],
        &["Content-Length: -1"],
        &["Content-Length: 5x"],
    ] {
        let handshake = headers.iter().fold(good(), |handshake, line| handshake.with(line));
        let mut socket = server.socket();
        let smuggled = b"0\r\n\r\nGET /healthz HTTP/1.1\r\nHost: x\r\n\r\n";
        socket.writes(&[handshake.bytes().as_slice(), smuggled].concat());
        assert_eq!(socket.answer().status, 400, "{headers:?}");
        // The connection may end with a reset, because the server never reads what follows the head.
        socket.is_cut_without("alive");
    }
}

#[test]
fn only_http_1_1_is_spoken() {
    let server = Server::start();
    assert_eq!(server.status_of("GET /socket HTTP/1.0"), 400);
    for garbage in
        ["GET /socket HTTP/2.0\r\n\r\n", "GET /socket\r\n\r\n", "\x16\x03\x01\x02 hello\r\n\r\n", "socket!\r\n\r\n"]
    {
        let mut socket = server.socket();
        socket.writes(garbage.as_bytes());
        socket.is_cut_without("101");
    }
}

#[test]
fn an_answer_says_whether_the_connection_stays_open() {
    let server = Server::start();
    let keep = "Connection: Keep-Alive, x\r\nKeep-Alive: timeout=5\r\n";
    for (path, status, stays) in [("/healthz", 200, true), ("/elsewhere", 404, true), ("/socket", 426, false)] {
        for (version, wanted, may_stay) in [
            ("HTTP/1.0", "", false),
            ("HTTP/1.0", "Connection: keep-alive\r\n", true),
            ("HTTP/1.0", keep, true),
            ("HTTP/1.1", "", true),
            ("HTTP/1.1", keep, true),
            ("HTTP/1.1", "Connection: close\r\n", false),
        ] {
            let mut socket = server.socket();
            let request = format!("GET {path} {version}\r\nHost: x\r\n{wanted}\r\n");
            socket.writes(request.as_bytes());
            let answer = socket.answer();
            let is_closed = answer.header("Connection") == Some("close") || version == "HTTP/1.0" && !may_stay;
            assert_eq!(answer.status, status);
            assert_eq!(is_closed, !(stays && may_stay), "{path} {version} {wanted:?}: {answer:?}");
            if is_closed {
                socket.rest();
            } else {
                let said = answer.header("Connection");
                assert_eq!(said, (version == "HTTP/1.0").then_some("keep-alive"), "{path} {version} {wanted:?}");
                socket.reads(answer.header("Content-Length").and_then(|length| length.parse().ok()).unwrap());
                socket.writes(request.as_bytes());
                assert_eq!(socket.answer().status, status);
            }
        }
    }
}

#[test]
fn a_head_that_is_not_well_formed_is_refused() {
    each_gets(400, [good().with("X y: 1"), good().with("X: a\0b"), good().with("no colon"), good().with(": empty")]);
}

#[test]
fn a_head_has_a_most_in_bytes_and_in_lines() {
    let server = Server::with(|config| {
        config.http.head = 8192;
        config.http.headers = 10;
    });
    let lines = |count| (good().len()..count).fold(good(), |handshake, n| handshake.with(&format!("X-{n}: y")));
    assert_eq!(server.socket().asks(&lines(10)).status, 101);
    assert_eq!(server.socket().asks(&lines(11)).status, 431);
    let long = |bytes: usize| good().with(&format!("X: {}", "y".repeat(bytes)));
    assert_eq!(server.socket().asks(&long(7000)).status, 101);
    assert_eq!(server.socket().asks(&long(9000)).status, 431);
}

#[test]
fn every_other_path_is_not_found() {
    let server = Server::start();
    for path in [
        "/",
        "/console/console.css",
        "/sockets",
        "/socket/",
        "/Socket",
        "/%73ocket",
        "//socket",
        "/../socket",
        "/ws",
        "*",
    ] {
        assert_eq!(server.status_of(&format!("GET {path} HTTP/1.1")), 404, "{path}");
    }
}

#[test]
fn liveness_and_readiness_are_answered_to_get_and_head() {
    let server = Server::start();
    for path in ["/healthz", "/readyz", "/healthz?x=y"] {
        assert_eq!(server.status_of(&format!("GET {path} HTTP/1.1")), 200, "{path}");
        assert_eq!(server.status_of(&format!("HEAD {path} HTTP/1.1")), 200, "{path}");
        assert_eq!(server.status_of(&format!("POST {path} HTTP/1.1")), 405, "{path}");
    }
}

#[test]
fn listed_origins_are_let_in_and_no_others() {
    let server = Server::with(|config| config.origins = vec!["https://a.example".to_owned()]);
    for (origin, status) in [
        ("https://a.example", 101),
        ("https://A.example", 403),
        ("https://a.example.evil", 403),
        ("http://a.example", 403),
        ("null", 403),
    ] {
        assert_eq!(server.socket().asks(&good().with(&format!("Origin: {origin}"))).status, status, "{origin}");
    }
    assert_eq!(server.socket().asks(&good()).status, 403);
    let two = good().with("Origin: https://a.example").with("Origin: https://a.example");
    assert_eq!(server.socket().asks(&two).status, 403);
}

#[test]
fn only_listed_hosts_are_answered_but_for_the_health_checks() {
    let server = Server::with(|config| config.auth.hosts = vec!["hub.example".to_owned()]);
    for (request, status) in
        [("GET /socket HTTP/1.1", 101), ("GET /hubcast.js HTTP/1.1", 200), ("GET /api/stats HTTP/1.1", 403)]
    {
        for (host, status) in [("Host: hub.example", status), ("Host: hub.example:8080", status), ("Host: evil", 421)] {
            let handshake = good().request(request).instead(host);
            assert_eq!(server.socket().asks(&handshake).status, status, "{request} {host}");
        }
    }
    // An orchestrator asks by address.
    for request in ["GET /healthz HTTP/1.1", "GET /readyz HTTP/1.1"] {
        let handshake = good().request(request).instead("Host: 10.0.0.7:8080");
        assert_eq!(server.socket().asks(&handshake).status, 200, "{request}");
    }
}

#[test]
fn the_dialect_is_chosen_by_the_list_of_subprotocols() {
    let server = Server::start();
    for (offers, chosen) in [
        (&[][..], None),
        (&["chat"], None),
        (&["chat, superchat"], None),
        (&["hubcast.v2"], None),
        (&["HUBCAST.V1"], None),
        (&["hubcast.v1"], Some("hubcast.v1")),
        (&["chat,hubcast.v1"], Some("hubcast.v1")),
        (&[" hubcast.v1 , chat"], Some("hubcast.v1")),
        (&["chat", "hubcast.v1"], Some("hubcast.v1")),
    ] {
        let handshake =
            offers.iter().fold(good(), |handshake, offer| handshake.with(&format!("Sec-WebSocket-Protocol: {offer}")));
        let mut socket = server.socket();
        let answer = socket.asks(&handshake);
        assert_eq!((answer.status, answer.header("Sec-WebSocket-Protocol")), (101, chosen), "{offers:?}");
        let welcome = socket.hears_text();
        assert_eq!(welcome.starts_with('{'), chosen.is_some(), "{offers:?}: {welcome}");
    }
}

#[test]
fn frames_that_come_with_the_head_are_not_lost() {
    let server = Server::start();
    let mut socket = server.socket();
    let publish = Frame::text(r#"{"action":"publish","topic":"t","message":"early"}"#).bytes();
    let mut bytes = good().bytes();
    bytes.extend(Frame::text(r#"{"action":"subscribe","topic":"t"}"#).bytes());
    bytes.extend(publish.repeat(300));
    socket.writes(&bytes);
    assert_eq!(socket.answer().status, 101);
    assert!(socket.hears_text().starts_with("Server: Welcome!"));
    for _ in 0..300 {
        assert_eq!(socket.hears_text(), "early");
    }
}

#[test]
fn a_head_may_come_byte_by_byte() {
    let server = Server::start();
    let mut socket = server.socket();
    for byte in good().bytes() {
        socket.writes(&[byte]);
    }
    assert_eq!(socket.answer().status, 101);
}

#[test]
fn requests_of_one_connection_are_answered_in_their_order() {
    let server = Server::start();
    let mut socket = server.socket();
    let request = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n");
    let paths = ["/healthz", "/nowhere", "/readyz", "/socket", "/healthz"];
    socket.writes(paths.map(request).concat().as_bytes());
    for (status, words) in [(200, "alive"), (404, "nothing here"), (200, "ready"), (426, "WebSocket endpoint")] {
        let answer = socket.answer();
        assert_eq!(answer.status, status);
        let body = socket.reads(answer.header("Content-Length").and_then(|length| length.parse().ok()).unwrap());
        assert!(body.contains(words), "{body}");
    }
    assert_eq!(socket.rest(), "", "the last answer said that the connection closes");
}

#[test]
fn who_ends_its_sending_direction_after_its_requests_gets_the_answers() {
    let server = Server::start();
    let mut socket = server.socket();
    socket.writes(&b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n".repeat(3));
    socket.ends_writing();
    assert_eq!(socket.rest().matches("alive").count(), 3);
}

#[test]
fn a_connection_that_was_used_may_become_a_websocket() {
    let server = Server::start();
    let mut socket = server.socket();
    let probe = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n";
    socket
        .writes(&[&probe[..], &good().bytes(), &Frame::text(r#"{"action":"subscribe","topic":"t"}"#).bytes()].concat());
    let length = socket.answer().header("Content-Length").and_then(|length| length.parse().ok()).unwrap();
    assert_eq!(socket.reads(length), "alive\n");
    assert_eq!(socket.answer().status, 101);
    assert!(socket.hears_text().starts_with("Server: Welcome!"));
    socket.sends([&Frame::text(r#"{"action":"publish","topic":"t","message":"late"}"#)]);
    assert_eq!(socket.hears_text(), "late");
}

#[test]
fn a_connection_without_a_request_is_closed_after_the_time_for_a_head() {
    let server = Server::with(|config| config.timeouts.head = std::time::Duration::from_millis(200));
    let mut socket = server.socket();
    for _ in 0..2 {
        socket.writes(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n");
        assert_eq!(socket.answer().status, 200);
        assert_eq!(socket.reads(6), "alive\n");
    }
    socket.is_cut_without("HTTP");
}

#[test]
fn what_nobody_reads_is_no_next_request_and_the_answer_still_comes() {
    let server = Server::start();
    let smuggled = "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n".repeat(1000);
    for framing in [format!("Content-Length: {}", smuggled.len()), "Transfer-Encoding: chunked".to_owned()] {
        let mut socket = server.socket();
        socket.writes(format!("POST /nowhere HTTP/1.1\r\nHost: x\r\n{framing}\r\n\r\n").as_bytes());
        let _ = socket.try_writes(smuggled.as_bytes());
        let answer = socket.answer();
        assert_eq!((answer.status, answer.header("Connection")), (404, Some("close")), "{framing}");
        assert!(!socket.rest().contains("alive"), "{framing}");
    }
}
