//! The Rust client against the server: what a program sees of both.
//!
//! - `daily`: subscribe, publish, and everything else that a client can ask for
//! - `restarts`: the server restarts, or another one takes its place
//! - `tokens`: shown, renewed, refused, and what they grant
//! - `faults`: a network that breaks all the time

#![allow(clippy::unwrap_used, reason = "a test that cannot go on may panic")]

mod daily;
mod faults;
mod restarts;
mod tokens;

use hubcast_client::{Backoff, Client, Event, Events, Message, Publish, State};
use hubcast_hub::TopicRules;
use hubcast_server::Config;
use hubcast_tests::{DEADLINE, Server};
use serde::de::DeserializeOwned;
use std::future::poll_fn;
use std::task::Poll;
use std::time::Duration;

/// Runs the future of a test, at most [`DEADLINE`]. A server or proxy that the caller makes before it outlives the
/// clients' connections.
fn program(program: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let ended = runtime.block_on(async { tokio::time::timeout(DEADLINE, program).await });
    ended.expect("the program comes to its end in time");
}

/// A server with the default rules for topics.
fn usual_server() -> Server {
    Server::with(as_usual)
}

/// Sets the default rules for topics.
fn as_usual(config: &mut Config) {
    config.rules = TopicRules::default();
}

/// Waits for the server's end in a thread of its own, so that its clients can still answer close frames.
async fn has_ended(server: Server) {
    tokio::task::spawn_blocking(|| server.has_ended()).await.unwrap();
}

/// A client that reconnects after 10 to 50 ms.
async fn eager_client(url: &str) -> Client {
    let backoff = Backoff::new(Duration::from_millis(10), Duration::from_millis(50));
    Client::builder(url).backoff(backoff).connect().await.unwrap()
}

/// Waits until the client knows that its connection is gone.
async fn is_cut_off(client: &Client) {
    client.statuses().wait_for(|status| status.state != State::Connected).await.unwrap();
}

/// Reads the next event; panics if the stream ends or the item is an error.
async fn event<T: DeserializeOwned>(events: &mut Events<T>) -> Event<T> {
    events.next().await.expect("the stream goes on").expect("an item of the expected type")
}

/// Reads the next event, which must be a message.
async fn message<T: DeserializeOwned>(events: &mut Events<T>) -> Message<T> {
    match event(events).await {
        Event::Message(message) => message,
        Event::Resumed(resumed) => panic!("a message was to come: {resumed:?}"),
        Event::Gap(gap) => panic!("a message was to come: {gap:?}"),
        _ => panic!("a message was to come"),
    }
}

/// Starts a publication and returns the future of its confirmation, polled once.
async fn begin(publish: Publish) -> <Publish as IntoFuture>::IntoFuture {
    let mut publish = publish.into_future();
    poll_fn(|context| {
        assert!(publish.as_mut().poll(context).is_pending());
        Poll::Ready(())
    })
    .await;
    publish
}

/// Longer than any test.
const NEVER: Duration = Duration::from_secs(600);
