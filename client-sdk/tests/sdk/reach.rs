//! The ways to a server: several addresses, a user in the address, headers for each attempt, proxies, and connections
//! that the program makes.

use crate::server::{Server, program};
use hubcast_client::{Backoff, Client, ClientBuilder, Closed, ConnectError, State};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// Pauses of at most 5 ms between attempts.
const EAGER: Backoff = Backoff { base: Duration::from_millis(1), cap: Duration::from_millis(5) };

/// Accepts the next connection and reads a request head. Returns both.
async fn head(listener: &TcpListener) -> (TcpStream, String) {
    let (mut stream, _) = listener.accept().await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    (stream, String::from_utf8(head).unwrap())
}

async fn listener() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    (listener, address)
}

/// The address of a port on which nothing listens.
async fn dead_url() -> String {
    let (_, address) = listener().await;
    format!("ws://{address}/socket")
}

fn eager(url: &str) -> ClientBuilder {
    Client::builder(url).backoff(EAGER).connect_timeout(Duration::from_secs(5))
}

#[test]
fn a_dead_address_is_passed_over_and_the_one_that_worked_is_tried_first() {
    program(async {
        let (server, dead) = (Server::start().await, dead_url().await);
        let (client, peer) = tokio::join!(eager(&dead).address(&server.url()).connect(), server.accept());
        let client = client.unwrap();
        drop(peer);
        let _peer = server.accept().await;
        let status = client.statuses().wait_for(|status| status.state == State::Connected).await.unwrap();
        // Had the dead address been tried in between, that would be the last loss.
        assert!(!status.last_loss.unwrap().reason.contains("refused"));
    });
}

#[test]
fn of_several_addresses_each_must_refuse() {
    program(async {
        let (refusing, first) = listener().await;
        let (also_refusing, second) = listener().await;
        let connecting = eager(&format!("ws://{first}/socket")).address(&format!("ws://{second}/socket")).connect();
        let refuse = async |listener: &TcpListener| {
            let (mut stream, _) = head(listener).await;
            stream.write_all(b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n").await.unwrap();
        };
        let servers = async { (refuse(&refusing).await, refuse(&also_refusing).await) };
        let (refused, _) = tokio::join!(connecting, servers);
        let Err(ConnectError::Closed(Closed::Rejected { reason })) = refused else { panic!("{refused:?}") };
        assert!(reason.contains(&second) && reason.contains("401"), "{reason}");
    });
}

#[test]
fn a_user_in_the_address_is_sent_and_a_header_of_the_program_wins() {
    program(async {
        let (listener, address) = listener().await;
        let url = format!("WS://ada:p%40ss@{address}/socket");
        let of_the_address = tokio::spawn(eager(&url).connect());
        let (_, sent) = head(&listener).await;
        assert!(sent.contains("authorization: Basic YWRhOnBAc3M=\r\n") && !sent.contains("ada"), "{sent}");
        of_the_address.abort();
        let of_the_program = tokio::spawn(eager(&url).header("Authorization", "Bearer x").connect());
        let (_, sent) = head(&listener).await;
        assert!(sent.contains("authorization: Bearer x\r\n") && !sent.contains("Basic"), "{sent}");
        of_the_program.abort();
    });
}

#[test]
fn a_password_is_nowhere_to_be_read() {
    program(async {
        let dead = dead_url().await.replace("ws://", "ws://ada:hunter2@");
        let builder = eager(&dead).proxy("http://eve:hunter2@127.0.0.1:1").connect_timeout(Duration::from_millis(20));
        let printed = format!("{builder:?}");
        let failed = builder.connect().await.unwrap_err();
        assert!(
            !printed.contains("hunter2") && !format!("{failed} {failed:?}").contains("hunter2"),
            "{printed} {failed}"
        );
        let client = eager(&dead).connect_lazily().unwrap();
        let status = client.statuses().wait_for(|status| status.last_loss.is_some()).await.unwrap();
        assert!(!format!("{status:?} {client:?}").contains("hunter2"));
    });
}

#[test]
fn headers_are_made_anew_for_each_attempt_and_a_failure_is_told() {
    program(async {
        let (listener, address) = listener().await;
        let attempts = Arc::new(AtomicUsize::new(0));
        let client = eager(&format!("ws://{address}/socket")).headers(move || {
            let attempt = attempts.fetch_add(1, Ordering::Relaxed);
            async move {
                match attempt {
                    1 => Err("no token today".into()),
                    _ => Ok(vec![("Authorization".to_owned(), format!("Bearer {attempt}"))]),
                }
            }
        });
        let client = client.connect_lazily().unwrap();
        let (stream, sent) = head(&listener).await;
        assert!(sent.contains("authorization: Bearer 0\r\n"), "{sent}");
        let mut statuses = client.statuses();
        drop(stream);
        let told = |status: &hubcast_client::Status| {
            status.last_loss.as_ref().is_some_and(|loss| loss.reason.contains("no token today"))
        };
        let (told, (_stream, sent)) = tokio::join!(statuses.wait_for(told), head(&listener));
        assert!(told.is_some() && sent.contains("authorization: Bearer 2\r\n"), "{sent}");
    });
}

#[test]
fn a_proxy_connects_and_its_refusal_is_one() {
    program(async {
        let (server, (proxy, address)) = (Server::start().await, listener().await);
        let client = eager(&server.url()).proxy(&format!("http://ada:pw@{address}"));
        let passing = async {
            let (mut stream, sent) = head(&proxy).await;
            stream.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await.unwrap();
            let mut onward = TcpStream::connect(server.listener().local_addr().unwrap()).await.unwrap();
            tokio::spawn(async move { tokio::io::copy_bidirectional(&mut stream, &mut onward).await });
            sent
        };
        let (client, sent, _peer) = tokio::join!(client.connect(), passing, server.accept());
        assert!(client.is_ok() && sent.starts_with("CONNECT 127.0.0.1:"), "{sent}");
        assert!(sent.contains("Proxy-Authorization: Basic YWRhOnB3\r\n"), "{sent}");

        let refusing = async {
            let (mut stream, _) = head(&proxy).await;
            stream.write_all(b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n").await.unwrap();
        };
        let (refused, ()) = tokio::join!(eager(&server.url()).proxy(&address).connect(), refusing);
        let Err(ConnectError::Closed(Closed::Rejected { reason })) = refused else { panic!("{refused:?}") };
        assert!(reason.contains("407") && reason.contains(&address), "{reason}");
    });
}

#[test]
fn an_endless_answer_of_a_proxy_ends_the_attempt() {
    program(async {
        let (proxy, address) = listener().await;
        let client = eager(&dead_url().await).proxy(&address).max_attempts(1);
        let endless = async {
            let (mut stream, _) = head(&proxy).await;
            let _ = stream.write_all(&[b'x'; 100_000]).await;
        };
        let (failed, ()) = tokio::join!(client.connect(), endless);
        let Err(ConnectError::Closed(Closed::GivenUp { reason, .. })) = failed else { panic!("{failed:?}") };
        assert!(reason.contains("too long"), "{reason}");
    });
}

#[test]
fn a_program_makes_its_own_connections() {
    program(async {
        let server = Server::start().await;
        let target = server.listener().local_addr().unwrap();
        let client = Client::builder("ws://hub.internal/socket").connector(move |host, port| async move {
            assert_eq!((host.as_str(), port), ("hub.internal", 80));
            TcpStream::connect(target).await
        });
        let (client, _peer) = tokio::join!(client.connect(), server.accept());
        assert!(client.is_ok());
        let failing = eager("ws://hub.internal/socket")
            .connector(|_, _| async { Err::<TcpStream, _>(io::Error::other("no tunnel")) })
            .max_attempts(2);
        let Err(ConnectError::Closed(Closed::GivenUp { attempts: 2, reason })) = failing.connect().await else {
            panic!("there was no tunnel")
        };
        assert!(reason.contains("no tunnel"), "{reason}");
    });
}
