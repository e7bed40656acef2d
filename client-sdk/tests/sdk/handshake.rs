//! How a connection comes about: addresses, TLS, and what servers answer.

use crate::server::program;
use hubcast_client::{Client, Closed, ConnectError};
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

/// A server that answers every connection with these bytes; its address.
async fn answering(answer: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
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
        let refused = Client::connect(&format!("ws://{address}/")).await;
        assert!(
            matches!(&refused, Err(ConnectError::Closed(Closed::Rejected { reason })) if reason.contains("404")),
            "{refused:?}"
        );
    });
}

#[test]
fn a_server_that_is_not_there_is_an_error_that_says_why() {
    program(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        drop(listener);
        let client = Client::builder(&format!("ws://{address}/socket")).connect_timeout(Duration::from_millis(50));
        let Err(ConnectError::Timeout { reason, .. }) = client.connect().await else { panic!("nobody listens there") };
        assert!(reason.contains("refused"), "{reason}");
    });
}

#[test]
fn tls_needs_no_provider_that_the_program_installed() {
    program(async {
        let address = answering("this is not TLS").await;
        let client = Client::builder(&format!("wss://{address}/socket")).connect_timeout(Duration::from_millis(200));
        let Err(ConnectError::Timeout { reason, .. }) = client.connect().await else { panic!("that was no TLS") };
        assert!(!reason.is_empty());
    });
}
