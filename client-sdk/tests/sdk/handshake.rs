//! The handshake: addresses, headers, TLS, and what the server answers.

use crate::server::{Peer, Server, program};
use hubcast_client::{Backoff, Client, Closed, ConnectError, State, Tls};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use rustls::{ServerConfig, crypto::ring};
use serde_json::json;
use std::future::pending;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

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
    let backoff = Backoff { base: Duration::from_millis(1), cap: Duration::from_millis(5) };
    let (client, peer) = tokio::join!(server.client().backoff(backoff).connect(), server.accept());
    (client.unwrap(), server, peer)
}

/// Connects a client to a server that gives one of these answers to each attempt, in order, and then accepts. The
/// client waits at most 5 ms between attempts.
async fn connected(answers: &[&str]) -> Result<Client, ConnectError> {
    let server = Server::start().await;
    let backoff = Backoff { base: Duration::from_millis(1), cap: Duration::from_millis(5) };
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
        let Err(ConnectError::Closed(Closed::Rejected { reason })) = refused else { panic!("{refused:?}") };
        assert!(reason.contains("hubcast.v1"), "{reason}");
    });
}

/// A server with a self-signed certificate: the server, its TLS acceptor, and the settings of a client that trusts the
/// certificate.
async fn tls_server() -> (Server, TlsAcceptor, Tls) {
    let certificate = CertificateDer::from_pem_slice(LOCALHOST).unwrap();
    let key = PrivateKeyDer::from_pem_slice(LOCALHOST).unwrap();
    let provider = Arc::new(ring::default_provider());
    let theirs = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let theirs = theirs.with_no_client_auth().with_single_cert(vec![certificate], key).unwrap();
    let trusting = Tls::without_roots().root_certificates(LOCALHOST);
    (Server::start().await, TlsAcceptor::from(Arc::new(theirs)), trusting)
}

#[test]
fn a_server_with_a_certificate_that_the_program_trusts_is_spoken_to() {
    program(async {
        let (server, acceptor, trusting) = tls_server().await;
        let client = Client::builder(&server.tls_url()).tls(trusting);
        let (client, peer) = tokio::join!(client.connect(), server.accept_tls(&acceptor));
        let (client, mut peer) = (client.unwrap(), peer.unwrap());
        let (ping, _) = tokio::join!(client.ping(), peer.answers(json!({"event": "pong"})));
        assert!(ping.is_ok());
    });
}

#[test]
fn a_server_with_a_certificate_that_nobody_vouches_for_is_refused_at_once() {
    program(async {
        let (server, acceptor, _) = tls_server().await;
        let url = server.tls_url();
        let (refused, peer) = tokio::join!(Client::connect(&url), server.accept_tls(&acceptor));
        let Err(ConnectError::Closed(Closed::Rejected { reason })) = refused else { panic!("{refused:?}") };
        assert!(reason.contains("certificate") && peer.is_none(), "{reason}");
    });
}

/// Starts a server that answers every connection with these bytes. Returns its address.
async fn answering(answer: &'static str) -> String {
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
        let Err(ConnectError::Closed(Closed::Rejected { reason })) = refused else { panic!("{refused:?}") };
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

#[test]
fn a_port_without_tls_and_one_with_it_say_which_address_to_write() {
    program(async {
        let address = answering("this is not TLS").await;
        let refused = Client::connect(&format!("wss://{address}/socket")).await;
        let Err(ConnectError::Closed(Closed::Rejected { reason })) = refused else { panic!("{refused:?}") };
        assert!(reason.contains("does not speak TLS"), "{reason}");
        // The alert of a TLS server that gets plain text: RFC 8446 section 6.
        let address = answering("\u{15}\u{3}\u{1}\u{0}\u{2}\u{2}\u{16}").await;
        let refused = Client::connect(&format!("ws://{address}/socket")).await;
        let Err(ConnectError::Closed(Closed::Rejected { reason })) = refused else { panic!("{refused:?}") };
        assert!(reason.contains("wss://"), "{reason}");
    });
}

#[test]
fn tls_settings_that_cannot_work_are_refused_at_once() {
    program(async {
        let no_roots = Tls::without_roots();
        let no_certificate = Tls::web_roots().root_certificates("no PEM");
        let no_key = Tls::web_roots().client_certificate(LOCALHOST, "no PEM");
        for (tls, hint) in [(no_roots, "no root"), (no_certificate, "no certificate in PEM"), (no_key, "client key")] {
            let refused = Client::builder("wss://127.0.0.1:1/socket").tls(tls).connect().await.unwrap_err();
            assert!(refused.to_string().contains(hint), "{refused}");
        }
    });
}

/// PEM text: a certificate of `localhost`, valid until 2120, and its key. Made by `openssl req -x509` with an elliptic
/// curve; no authority has signed it.
const LOCALHOST: &[u8] = include_bytes!("localhost.pem");
