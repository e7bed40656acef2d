//! The server restarts, or another one takes its place: a program goes on, and learns what it missed.

use super::{NEVER, as_usual, begin, eager_client, event, has_ended, is_cut_off, message, program, usual_server};
use hubcast_client::{Backoff, Client, Event, GapReason, Resumed, State};
use hubcast_server::Config;
use hubcast_tests::{Proxy, Server};
use std::collections::BTreeSet;
use std::path::PathBuf;

#[test]
fn who_is_disconnected_comes_back_when_the_server_says() {
    let (old, new) = (usual_server(), usual_server());
    let proxy = Proxy::to(&old);
    program(async {
        // Without the server's `reconnect_in_ms` the client would not reconnect during the test.
        let backoff = Backoff::new(NEVER, NEVER);
        let client = Client::builder(&proxy.url()).backoff(backoff).connect().await.unwrap();
        let mut events = client.subscribe::<u64>("t").await.unwrap().events();
        let before = client.id();
        proxy.leads_to(&new);
        has_ended(old).await;
        assert!(matches!(event(&mut events).await, Event::Resumed(Resumed { recovered: false, replayed: 0, .. })));
        assert_eq!(client.status().state, State::Connected);
        assert_ne!(client.id(), before);
    });
}

#[test]
fn a_restart_with_a_state_folder_leaves_out_nothing() {
    let folder = Folder::new();
    let old = Server::with(|config| folder.keeps(config));
    let proxy = Proxy::to(&old);
    program(async {
        let client = eager_client(&proxy.url()).await;
        let mut topic = client.subscribe::<u64>("t.1").await.unwrap().events();
        let mut pattern = client.subscribe_pattern::<u64>("t.*").await.unwrap().events();
        for number in 1..=3 {
            client.publish("t.1", &number).await.unwrap();
        }
        let mut before = Vec::new();
        for _ in 1..=3 {
            before.push(message(&mut topic).await);
            message(&mut pattern).await;
        }
        proxy.leads_nowhere();
        has_ended(old).await;
        let new = Server::with(|config| folder.keeps(config));
        proxy.leads_to(&new);
        for events in [&mut topic, &mut pattern] {
            assert!(matches!(event(events).await, Event::Resumed(Resumed { recovered: true, replayed: 0, .. })));
        }
        client.publish("t.1", &4).await.unwrap();
        let (last, after) = (before.pop().and_then(|last| last.position).unwrap(), message(&mut topic).await);
        assert_eq!((after.value, message(&mut pattern).await.value), (4, 4));
        assert_eq!(after.position.map(|at| (at.epoch, at.offset)), Some((last.epoch, last.offset + 1)));
        client.close().await.unwrap();
        has_ended(new).await;
    });
}

#[test]
fn a_restart_without_a_state_folder_is_reported_and_the_stream_goes_on() {
    let old = usual_server();
    let proxy = Proxy::to(&old);
    program(async {
        let client = eager_client(&proxy.url()).await;
        let mut events = client.subscribe::<u64>("t").await.unwrap().events();
        client.publish("t", &1).await.unwrap();
        assert_eq!(message(&mut events).await.value, 1);
        proxy.leads_nowhere();
        has_ended(old).await;
        let new = usual_server();
        proxy.leads_to(&new);
        assert!(matches!(event(&mut events).await, Event::Resumed(Resumed { recovered: false, replayed: 0, .. })));
        match event(&mut events).await {
            Event::Gap(gap) => {
                assert_eq!(gap.reason, GapReason::NotRecoverable);
                assert_eq!(gap.topic.as_ref().map(|topic| topic.as_str()), Some("t"));
            }
            other => panic!("a gap was to come: {other:?}"),
        }
        client.publish("t", &2).await.unwrap();
        assert_eq!(message(&mut events).await.value, 2);
        client.close().await.unwrap();
        has_ended(new).await;
    });
}

#[test]
fn a_server_that_limits_requests_gets_a_client_with_many_subscriptions_back() {
    let old = usual_server();
    let new = Server::with(|config| {
        as_usual(config);
        config.limits.requests_per_second = Some(20);
    });
    let proxy = Proxy::to(&old);
    program(async {
        let client = eager_client(&proxy.url()).await;
        let mut streams = Vec::new();
        for number in 0..50 {
            streams.push(client.subscribe::<u64>(format!("t.{number}")).await.unwrap().events());
        }
        proxy.leads_to(&new);
        proxy.cuts_all();
        let mut ids = BTreeSet::new();
        for stream in &mut streams {
            assert!(matches!(event(stream).await, Event::Resumed(_)));
            ids.insert(client.id().unwrap().to_string());
        }
        assert_eq!(ids.len(), 1, "it was sent away");
    });
}

#[test]
fn what_went_by_without_a_connection_is_heard_afterwards() {
    let server = usual_server();
    let proxy = Proxy::to(&server);
    program(async {
        let (client, publisher) = (eager_client(&proxy.url()).await, eager_client(&server.url()).await);
        let mut events = client.subscribe::<u64>("t").await.unwrap().events();
        publisher.publish("t", &1).await.unwrap();
        assert_eq!(message(&mut events).await.value, 1);
        proxy.leads_nowhere();
        proxy.cuts_all();
        for number in 2..=4 {
            publisher.publish("t", &number).await.unwrap();
        }
        proxy.leads_to(&server);
        assert!(matches!(event(&mut events).await, Event::Resumed(Resumed { recovered: true, replayed: 3, .. })));
        for number in 2..=4 {
            assert_eq!(message(&mut events).await.value, number);
        }
    });
}

#[test]
fn what_is_published_without_a_connection_waits_and_takes_effect_once_and_in_order() {
    let server = usual_server();
    let proxy = Proxy::to(&server);
    program(async {
        let (publisher, hearer) = (eager_client(&proxy.url()).await, eager_client(&server.url()).await);
        let mut heard = hearer.subscribe::<u64>("t").await.unwrap();
        proxy.leads_nowhere();
        proxy.cuts_all();
        is_cut_off(&publisher).await;
        let mut waiting = Vec::new();
        for number in 1..=20 {
            waiting.push(begin(publisher.publish("t", &number)).await);
        }
        proxy.leads_to(&server);
        for (number, published) in (1..).zip(waiting) {
            assert_eq!(published.await.unwrap().offset, Some(number));
        }
        publisher.publish("t", &21).await.unwrap();
        for number in 1..=21 {
            assert_eq!(heard.next().await.unwrap().unwrap(), number);
        }
    });
}

/// A state folder that is removed after the test.
struct Folder(PathBuf);

impl Folder {
    /// Chooses the path of a folder; the server creates it.
    fn new() -> Self {
        Self(std::env::temp_dir().join(format!("hubcast-sdk-{}", std::process::id())))
    }

    /// Configures a server to keep its state in this folder.
    fn keeps(&self, config: &mut Config) {
        as_usual(config);
        config.state_dir = Some(self.0.clone());
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // The server may never have created it.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
