//! The Rust client against the server: what a program sees of both.
//!
//! - `daily`: subscribe, publish, and everything else that a client can ask for
//! - `restarts`: the server goes and comes, or another one takes its place
//! - `faults`: a network that breaks all the time

#![allow(clippy::unwrap_used, reason = "a test that cannot go on may panic")]

mod daily;
mod faults;
mod restarts;

use hubcast_client::{Backoff, Client, Event, Events, Message, Publish, State};
use hubcast_hub::TopicRules;
use hubcast_server::Config;
use hubcast_tests::{DEADLINE, Server};
use serde::de::DeserializeOwned;
use std::future::poll_fn;
use std::task::Poll;
use std::time::Duration;

/// Runs a program, with a deadline for all of it. What is made outside of it outlives its connections.
fn program(program: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let ended = runtime.block_on(async { tokio::time::timeout(DEADLINE, program).await });
    ended.expect("the program comes to its end in time");
}

/// A server whose topics keep what they keep without configuration.
fn usual_server() -> Server {
    Server::with(as_usual)
}

fn as_usual(config: &mut Config) {
    config.rules = TopicRules::default();
}

/// Waits in a thread of its own, so that its clients can say goodbye.
async fn has_ended(server: Server) {
    tokio::task::spawn_blocking(|| server.has_ended()).await.unwrap();
}

/// A client that does not wait long before it tries again.
async fn eager_client(url: &str) -> Client {
    let backoff = Backoff { base: Duration::from_millis(10), cap: Duration::from_millis(50) };
    Client::builder(url).backoff(backoff).connect().await.unwrap()
}

/// Waits until the client knows that its connection is gone.
async fn is_cut_off(client: &Client) {
    client.statuses().wait_for(|status| status.state != State::Connected).await.unwrap();
}

/// The next event, which must be one.
async fn event<T: DeserializeOwned>(events: &mut Events<T>) -> Event<T> {
    events.next().await.expect("the stream goes on").expect("an item of the expected type")
}

/// The next event, which must be a message.
async fn message<T: DeserializeOwned>(events: &mut Events<T>) -> Message<T> {
    match event(events).await {
        Event::Message(message) => message,
        Event::Resumed(resumed) => panic!("a message was to come: {resumed:?}"),
        Event::Gap(gap) => panic!("a message was to come: {gap:?}"),
        _ => panic!("a message was to come"),
    }
}

/// Begins a publication and does not wait for its confirmation: that is another future.
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
