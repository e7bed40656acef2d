//! The ways to a server: several addresses, a user in the address, headers for each attempt, proxies, and connections
//! that the program makes.

use crate::handshake::answering;
use crate::server::{Server, Typed, program};
use hubcast_client::{Backoff, Client, ClientBuilder, Closed, ConnectError, State, Status};
use std::future::pending;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// Pauses of at most 5 ms between attempts.
const EAGER: Backoff = Backoff::new(Duration::from_millis(1), Duration::from_millis(5));

/// The variable by which a test knows that it runs in a process of its own.
const CHILD: &str = "HUBCAST_TEST_CHILD";

/// Accepts the next connection and reads a request head. Returns both.
pub(crate) async fn head(listener: &TcpListener) -> (TcpStream, String) {
    let (mut stream, _) = listener.accept().await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    (stream, String::from_utf8(head).unwrap())
}

/// Answers a `CONNECT` as a proxy does, and passes bytes on in the background.
pub(crate) async fn pass(mut stream: TcpStream, to: SocketAddr) {
    stream.write_all(b"HTTP/1.1 200 Connection established\r\nVia: a\r\n\r\n").await.unwrap();
    let mut onward = TcpStream::connect(to).await.unwrap();
    tokio::spawn(async move { tokio::io::copy_bidirectional(&mut stream, &mut onward).await });
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
fn a_server_that_accepts_and_says_nothing_is_passed_over() {
    program(async {
        let (mute, server) = (listener().await, Server::start().await);
        let client = eager(&format!("ws://{}/socket", mute.1)).address(&server.url());
        let accepting = async {
            // It accepts every time: a client that came back to it would stay.
            let mut silent = Vec::new();
            loop {
                let (stream, _) = mute.0.accept().await.unwrap();
                silent.push(tokio_tungstenite::accept_hdr_async(stream, Typed).await.unwrap());
            }
        };
        let connecting =
            async { tokio::join!(client.attempt_timeout(Duration::from_millis(200)).connect(), server.accept()) };
        tokio::select! {
            (client, _peer) = connecting => assert!(client.is_ok(), "{client:?}"),
            () = accepting => {}
        }
    });
}

#[test]
fn a_pause_that_one_server_asks_for_does_not_hold_for_the_others() {
    let busy = "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 50\r\nContent-Length: 0\r\n\r\n";
    program(async {
        let (busy, server) = (answering(busy).await, Server::start().await);
        let connecting = eager(&format!("ws://{busy}/socket")).address(&server.url()).connect();
        let (client, _peer) = tokio::join!(connecting, server.accept());
        assert!(client.is_ok(), "{client:?}");
    });
    program(async {
        let (first, second) = (answering(busy).await, answering(busy).await);
        let client = eager(&format!("ws://{first}/socket")).address(&format!("ws://{second}/socket"));
        let client = client.connect_lazily().unwrap();
        let is_long = |status: &Status| {
            status.retry_at.is_some_and(|at| at.saturating_duration_since(Instant::now()) > Duration::from_secs(40))
        };
        let status = client.statuses().wait_for(is_long).await.unwrap();
        assert_eq!(status.attempt, 2);
    });
}

#[test]
fn a_silent_address_leaves_the_others_their_share_of_the_connect_timeout() {
    program(async {
        // It accepts connections and answers nothing.
        let ((_silent, first), server) = (listener().await, Server::start().await);
        let client = eager(&format!("ws://{first}/socket")).address(&server.url());
        let client = client.connect_timeout(Duration::from_secs(1));
        let (client, _peer) = tokio::join!(client.connect(), server.accept());
        assert_eq!(client.unwrap().status().last_loss.unwrap().reason, "the server did not answer in time");
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
        let Err(ConnectError::Closed(Closed::Rejected { reason, .. })) = refused else { panic!("{refused:?}") };
        assert!(reason.contains(&second) && reason.contains("401"), "{reason}");
    });
}

#[test]
fn an_address_that_is_silent_has_not_refused() {
    program(async {
        let refusing = answering("HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n").await;
        let (_silent, second) = listener().await;
        let client = eager(&format!("ws://{refusing}/socket")).address(&format!("ws://{second}/socket"));
        let client = client.attempt_timeout(Duration::from_millis(20)).connect_timeout(Duration::from_millis(500));
        let failed = client.connect().await;
        assert!(matches!(failed, Err(ConnectError::Timeout { .. })), "{failed:?}");
    });
}

#[test]
fn a_redirect_is_told_without_what_may_be_secret() {
    program(async {
        let location = "https://ada:hunter2@example.org/socket?token=hunter2";
        let answer = format!("HTTP/1.1 301 Moved Permanently\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n");
        let address = answering(answer.leak()).await;
        let refused = eager(&format!("ws://{address}/socket?token=hunter2")).connect().await.unwrap_err();
        let refused = format!("{refused} {refused:?}");
        assert!(refused.contains("example.org/socket") && !refused.contains("hunter2"), "{refused}");
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
        let told =
            |status: &Status| status.last_loss.as_ref().is_some_and(|loss| loss.reason.contains("no token today"));
        let (told, (_stream, sent)) = tokio::join!(statuses.wait_for(told), head(&listener));
        assert!(told.is_some() && sent.contains("authorization: Bearer 2\r\n"), "{sent}");
    });
}

#[test]
fn headers_that_never_come_end_the_attempt_and_the_next_one_asks_again() {
    program(async {
        let server = Server::start().await;
        let attempts = Arc::new(AtomicUsize::new(0));
        let asked = attempts.clone();
        let client = eager(&server.url()).attempt_timeout(Duration::from_millis(200)).headers(move || {
            let attempt = asked.fetch_add(1, Ordering::Relaxed);
            async move {
                match attempt {
                    0 => pending().await,
                    _ => Ok(Vec::new()),
                }
            }
        });
        let (client, _peer) = tokio::join!(client.connect(), server.accept());
        assert!(client.is_ok() && attempts.load(Ordering::Relaxed) == 2, "{client:?}");
    });
}

#[test]
fn a_made_header_that_cannot_be_sent_is_named_without_its_value() {
    program(async {
        let made = || async { Ok(vec![("Authorization".to_owned(), "Bearer hunter2\n".to_owned())]) };
        let refused = eager(&dead_url().await).headers(made).connect().await;
        let Err(ConnectError::Closed(Closed::Rejected { reason, .. })) = refused else { panic!("{refused:?}") };
        assert!(reason.contains("Authorization") && !reason.contains("hunter2"), "{reason}");
    });
}

#[test]
fn a_proxy_that_does_not_answer_ends_the_attempt_and_not_the_client() {
    program(async {
        let (server, (proxy, address)) = (Server::start().await, listener().await);
        let client = eager(&server.url()).proxy(&address).attempt_timeout(Duration::from_millis(200));
        let passing = async {
            let (silent, _) = head(&proxy).await;
            let (stream, _) = head(&proxy).await;
            pass(stream, server.listener().local_addr().unwrap()).await;
            silent
        };
        let (client, _silent, _peer) = tokio::join!(client.connect(), passing, server.accept());
        assert!(client.is_ok(), "{client:?}");
    });
}

/// Starts this test again in a process with these variables, where it connects to `ws://hub.test/socket` once.
/// Returns its output.
async fn with_environment(test: &str, variables: Vec<(&'static str, String)>) -> String {
    let mut command = std::process::Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", test, "--nocapture"]).env(CHILD, "1").envs(variables);
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn the_environment_decides_about_the_proxy_unless_the_program_does() {
    program(async {
        if std::env::var_os(CHILD).is_some() {
            for client in [eager("ws://hub.test/socket"), eager("ws://hub.test/socket").no_proxy()] {
                println!("{:?}", client.max_attempts(1).connect().await);
            }
            return;
        }
        let (proxy, address) = listener().await;
        let test = "reach::the_environment_decides_about_the_proxy_unless_the_program_does";
        let refusing = async {
            let (mut stream, sent) = head(&proxy).await;
            stream.write_all(b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n").await.unwrap();
            sent
        };
        let child = with_environment(test, vec![("http_proxy", format!("http://ada:hunter2@{address}"))]);
        let (output, sent) = tokio::join!(child, refusing);
        assert!(sent.starts_with("CONNECT hub.test:80 HTTP/1.1\r\n"), "{sent}");
        assert!(output.contains("Rejected") && output.contains("GivenUp"), "{output}");
        assert!(output.contains("407") && !output.contains("hunter2"), "{output}");
    });
}

#[test]
fn a_proxy_connects_and_its_refusal_is_one() {
    program(async {
        let (server, (proxy, address)) = (Server::start().await, listener().await);
        let client = eager(&server.url()).proxy(&format!("http://ada:pw@{address}"));
        let passing = async {
            let (stream, sent) = head(&proxy).await;
            pass(stream, server.listener().local_addr().unwrap()).await;
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
        let Err(ConnectError::Closed(Closed::Rejected { reason, .. })) = refused else { panic!("{refused:?}") };
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
