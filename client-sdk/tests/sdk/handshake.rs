//! The handshake: addresses, headers, and what the server answers.

use crate::server::{Peer, Server, program};
use hubcast_client::{Backoff, Client, Closed, ConnectError, State, TokenReason};
use serde_json::json;
use std::future::pending;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

#[test]
fn an_address_that_is_none_is_refused_at_once() {
    program(async {
        for url in ["127.0.0.1:8080", "http://127.0.0.1/", "ws://", ""] {
            let refused = Client::connect(url).await;
            assert!(matches!(refused, Err(ConnectError::InvalidUrl { .. })), "{url}: {refused:?}");
        }
    });
}

#[test]
fn a_header_that_is_none_is_refused_at_once() {
    program(async {
        let client = Client::builder("ws://127.0.0.1:1/socket").header("Origin", "a\nb");
        let refused = client.connect().await;
        assert!(matches!(&refused, Err(ConnectError::InvalidHeader { name, .. }) if name == "Origin"), "{refused:?}");
    });
}

#[test]
fn headers_of_the_program_are_in_every_handshake() {
    program(async {
        let subscription = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("ws://{}/socket", subscription.local_addr().unwrap());
        let client = Client::builder(&url).header("Origin", "https://example.org").header("Cookie", "a=b");
        let connecting = tokio::spawn(client.connect());
        for _ in 0..2 {
            let (mut stream, _) = subscription.accept().await.unwrap();
            let mut head = vec![0; 4096];
            let length = stream.read(&mut head).await.unwrap();
            let head = String::from_utf8_lossy(&head[..length]).to_lowercase();
            assert!(
                head.contains("\r\norigin: https://example.org\r\n") && head.contains("\r\ncookie: a=b\r\n"),
                "{head}"
            );
        }
        connecting.abort();
    });
}

/// Accepts the next connection, reads its request once, writes these bytes and closes the connection.
async fn answer(subscription: &TcpListener, answer: &str) {
    let (mut stream, _) = subscription.accept().await.unwrap();
    let _ = stream.read(&mut [0; 4096]).await;
    stream.write_all(answer.as_bytes()).await.unwrap();
}

/// A connected client that waits at most 5 ms before it connects again, its server, and the server's end of the
/// connection.
async fn eager() -> (Client, Server, Peer) {
    let server = Server::start().await;
    let backoff = Backoff::new(Duration::from_millis(1), Duration::from_millis(5));
    let (client, peer) = tokio::join!(server.client().backoff(backoff).connect(), server.accept());
    (client.unwrap(), server, peer)
}

/// Connects a client to a server that gives one of these answers to each attempt, in order, and then accepts. The
/// client waits at most 5 ms between attempts.
async fn connected(answers: &[&str]) -> Result<Client, ConnectError> {
    let server = Server::start().await;
    let backoff = Backoff::new(Duration::from_millis(1), Duration::from_millis(5));
    let answering = async {
        for with in answers {
            answer(server.listener(), with).await;
        }
        let _peer = server.accept().await;
        pending::<()>().await;
    };
    tokio::select! {
        client = server.client().backoff(backoff).connect() => client,
        () = answering => unreachable!("it answers for ever"),
    }
}

#[test]
fn a_server_that_cannot_take_the_connection_now_is_tried_again() {
    program(async {
        let answers = ["503 Service Unavailable", "429 Too Many Requests", "408 Request Timeout", "502 Bad Gateway"];
        let answers = answers.map(|status| format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n"));
        assert!(connected(&answers.each_ref().map(String::as_str)).await.is_ok());
    });
}

#[test]
fn the_time_that_a_server_names_is_waited_for() {
    program(async {
        let began = std::time::Instant::now();
        let busy = "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n";
        assert!(connected(&[busy]).await.is_ok());
        assert!(began.elapsed() >= Duration::from_secs(1));
    });
}

#[test]
fn a_proxy_that_knows_no_server_for_a_while_does_not_end_a_client() {
    program(async {
        let (client, server, peer) = eager().await;
        drop(peer);
        for _ in 0..3 {
            answer(server.listener(), "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n").await;
        }
        let mut peer = server.accept().await;
        let (ping, _) = tokio::join!(client.ping(), peer.answers(json!({"event": "pong"})));
        assert!(ping.is_ok());
        assert_eq!(client.status().state, State::Connected);
    });
}

#[test]
fn a_server_that_speaks_something_else_is_refused() {
    program(async {
        let server = Server::start().await;
        let plain = async {
            let (stream, _) = server.listener().accept().await.unwrap();
            tokio_tungstenite::accept_async(stream).await.unwrap()
        };
        let (refused, _) = tokio::join!(server.client().connect(), plain);
        let Err(ConnectError::Closed(Closed::Rejected { reason, .. })) = refused else { panic!("{refused:?}") };
        assert!(reason.contains("hubcast.v1"), "{reason}");
    });
}

/// Starts a server that answers every connection with these bytes. Returns its address.
pub(crate) async fn answering(answer: &'static str) -> String {
    let subscription = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = subscription.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = subscription.accept().await.unwrap();
            let mut head = [0; 1024];
            let _ = stream.read(&mut head).await;
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    address
}

#[test]
fn a_server_that_does_not_want_us_is_not_asked_twice() {
    program(async {
        let address = answering("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n").await;
        let refused = Client::connect(&format!("ws://{address}")).await;
        let Err(ConnectError::Closed(Closed::Rejected { reason, status })) = refused else { panic!("{refused:?}") };
        assert_eq!(status, Some(404));
        assert!(reason.contains("404 Not Found for the path \"/\"; hubcast's is \"/socket\""), "{reason}");
    });
}

#[test]
fn a_server_that_is_not_there_is_an_error_that_says_why() {
    program(async {
        let subscription = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = subscription.local_addr().unwrap();
        drop(subscription);
        let client = Client::builder(&format!("ws://{address}/socket")).connect_timeout(Duration::from_millis(50));
        let Err(ConnectError::Timeout { reason, .. }) = client.connect().await else { panic!("nobody listens there") };
        assert!(reason.contains("refused"), "{reason}");
    });
}

/// The head of the next request at a server, which is then answered with a refusal.
async fn refused_head(server: &Server, answer: &str) -> String {
    let (mut stream, _) = server.listener().accept().await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        assert_ne!(stream.read_buf(&mut head).await.unwrap(), 0);
    }
    stream.write_all(answer.as_bytes()).await.unwrap();
    String::from_utf8(head).unwrap()
}

#[test]
fn a_token_is_shown_in_the_handshake_and_its_refusal_is_told_in_the_words_of_the_server() {
    program(async {
        let server = Server::start().await;
        let body = r#"{"error":{"code":"token_expired","reason":"the token has expired; get a new one"}}"#;
        let answer = format!("HTTP/1.1 401 Unauthorized\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        let client = server.client().header("Authorization", "Basic eA==").token_from(|reason| async move {
            match reason {
                TokenReason::First => Ok("old.token".to_owned()),
                _ => Ok("new.token".to_owned()),
            }
        });
        let heads = async {
            let mut heads = Vec::new();
            for _ in 0..3 {
                heads.push(refused_head(&server, &answer).await);
            }
            heads
        };
        let (refused, heads) = tokio::join!(client.connect(), heads);
        let Err(ConnectError::Closed(Closed::TokenRefused { reason })) = refused else { panic!("{refused:?}") };
        assert_eq!(reason, "it answered 401 Unauthorized: the token has expired; get a new one");
        for (head, token) in heads.iter().zip(["old.token", "new.token", "new.token"]) {
            let lines: Vec<_> = head.lines().filter(|line| line.to_lowercase().starts_with("authorization")).collect();
            assert_eq!(lines.len(), 1, "the token replaces another header: {head}");
            assert!(lines[0].ends_with(&format!("Bearer {token}")), "{head}");
        }
    });
}

#[test]
fn a_token_that_no_header_can_hold_is_not_sent_and_not_told() {
    program(async {
        let server = Server::start().await;
        let client = server.client().connect_timeout(Duration::from_millis(50));
        let refused = client.token_from(|_| async { Ok("two\r\nlines".to_owned()) }).connect().await;
        let Err(ConnectError::Timeout { reason, .. }) = refused else { panic!("{refused:?}") };
        assert!(reason.contains("cannot be sent") && !reason.contains("lines"), "{reason}");
    });
}
