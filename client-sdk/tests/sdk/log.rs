//! The events for `tracing`: which there are, and that they hold no secret.

use crate::server::Server;
use hubcast_client::testing::TestServer;
use hubcast_client::{Backoff, Client, State, TokenError};
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::runtime::Builder;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

/// Writes each event of the client as one line: its level and its fields.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<String>>>);

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0 += &format!(" {field}={value:?}");
    }
}

impl Subscriber for Lines {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == "hubcast_client"
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut line = Line(event.metadata().level().to_string());
        event.record(&mut line);
        self.0.lock().unwrap().push(line.0);
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

#[test]
fn each_change_of_the_connection_is_an_event_and_no_secret_is_in_one() {
    let lines = Lines::default();
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let program = async { tokio::time::timeout(PATIENCE, changes()).await };
    let ended = tracing::subscriber::with_default(lines.clone(), || runtime.block_on(program));
    ended.expect("the program comes to its end in time");
    let lines = lines.0.lock().unwrap();
    let expected = [
        "DEBUG message=connecting attempt=1",
        "INFO message=connected",
        "WARN message=no connection",
        "DEBUG message=connecting attempt=1",
        "INFO message=connected",
        "INFO message=closed",
    ];
    assert_eq!(lines.len(), expected.len(), "{lines:#?}");
    for (line, expected) in lines.iter().zip(expected) {
        assert!(line.starts_with(expected) && !line.contains("hunter2"), "{line}");
    }
    assert!(lines[2].contains("restarting (1012)") && lines[2].contains("retry_in="), "{}", lines[2]);
}

#[test]
fn what_happens_to_tokens_is_an_event_and_no_token_is_in_one() {
    let lines = Lines::default();
    let runtime = Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    tracing::subscriber::with_default(lines.clone(), || runtime.block_on(tokens()));
    let lines = lines.0.lock().unwrap();
    let expected = [
        "DEBUG message=asking for a token reason=First",
        "DEBUG message=connecting attempt=1",
        "WARN message=the server refused the token; asking for another one",
        "INFO message=connected",
        "DEBUG message=asking for a token reason=Expiring",
        "WARN message=no token reason=\"no token: the backend is away\"",
        "DEBUG message=asking for a token reason=Expiring",
        "WARN message=closed for good reason=not allowed: gone",
    ];
    assert_eq!(lines.len(), expected.len(), "{lines:#?}");
    for (line, expected) in lines.iter().zip(expected) {
        assert!(line.starts_with(expected) && !line.contains("hunter2") && !line.contains("test."), "{line}");
    }
}

/// Shows a token that is refused, then a right one, and has no other in the end.
async fn tokens() {
    let server = TestServer::start();
    server.require_tokens();
    let (login, asked) = (server.clone(), AtomicUsize::new(0));
    let builder = server.builder().token_from(move |_| {
        let answer = match asked.fetch_add(1, Ordering::Relaxed) {
            0 => Ok("hunter2".to_owned()),
            1 => Ok(login.make_token("ada", &[], Duration::from_secs(60))),
            2 => Err(TokenError::failed("the backend is away")),
            _ => Err(TokenError::NotAllowed("gone".to_owned())),
        };
        async { answer }
    });
    let client = builder.connect().await.unwrap();
    client.statuses().wait_for(|status| matches!(status.state, State::Closed(_))).await;
}

/// Connects with secrets, is closed by the server, connects again, and closes.
async fn changes() {
    let server = Server::start().await;
    let url = server.url().replace("ws://", "ws://ada:hunter2@");
    let builder = Client::builder(&url).header("X-Token", "hunter2").backoff(Backoff::new(PAUSE, PAUSE));
    let (client, peer) = tokio::join!(builder.connect(), server.accept());
    let client = client.unwrap();
    peer.closes_as(1012, "restarting").await;
    let _peer = server.accept().await;
    client.statuses().wait_for(|status| status.state == State::Connected && status.last_loss.is_some()).await.unwrap();
    client.close().await.unwrap();
}

const PAUSE: Duration = Duration::from_millis(1);
const PATIENCE: Duration = Duration::from_secs(30);
