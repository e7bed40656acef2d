//! The test server of the client library, used as in the tests of a program.

use hubcast_client::testing::{PresencePolicy, Settings, TestServer, TopicPolicy, TopicRule, TopicRules};
use hubcast_client::{Backoff, Client, ConnectError, Event, Events, PublishError, State, Status};
use std::time::Duration;
use tokio::time::Instant;

/// Two clients of a server: one with a subscription to `numbers`, its events, and one that publishes.
async fn pair(server: &TestServer) -> (Client, Events<u32>, Client) {
    let subscriber = server.client().await.unwrap();
    let heard = subscriber.subscribe::<u32>("numbers").await.unwrap().events();
    (subscriber, heard, server.client().await.unwrap())
}

/// The value of the next event. Panics if the event is not a message.
async fn message(heard: &mut Events<u32>) -> u32 {
    match heard.next().await {
        Some(Ok(Event::Message(message))) => message.value,
        other => panic!("{other:?} is no message"),
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_published_while_connections_break_is_heard_once_and_in_order() {
    let server = TestServer::start();
    let (_subscriber, mut heard, publisher) = pair(&server).await;
    for number in 0..50 {
        if number % 7 == 0 {
            server.cut();
        }
        publisher.publish("numbers", &number).await.unwrap();
    }
    let mut numbers = Vec::new();
    while numbers.len() < 50 {
        match heard.next().await {
            Some(Ok(Event::Message(message))) => numbers.push(message.value),
            Some(Ok(Event::Resumed(resumed))) => assert!(resumed.recovered),
            other => panic!("{other:?} is neither"),
        }
    }
    assert_eq!(numbers, (0..50).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn what_an_error_hands_back_is_published_once() {
    let server = TestServer::start();
    let (_subscriber, mut heard, publisher) = pair(&server).await;
    server.stop();
    let mut keys = Vec::new();
    for publish in [publisher.publish("numbers", &1), publisher.publish("numbers", &1).key("one")] {
        let Err(PublishError::Timeout { key: Some(key) }) = publish.await else { panic!("there is no server") };
        keys.push(key);
    }
    server.restart();
    for key in keys {
        let mut answers = Vec::new();
        for _ in 0..2 {
            answers.push(publisher.publish("numbers", &2).key(key.clone()).await.unwrap());
        }
        assert_eq!(answers[0], answers[1]);
    }
    publisher.publish("numbers", &3).await.unwrap();
    let mut numbers = Vec::new();
    while numbers.last() != Some(&3) {
        if let Some(Ok(Event::Message(message))) = heard.next().await {
            numbers.push(message.value);
        }
    }
    assert_eq!(numbers, [2, 2, 3], "each key took effect once");
}

#[tokio::test(start_paused = true)]
async fn a_crash_is_reported_as_a_gap() {
    let server = TestServer::start();
    let (_subscriber, mut heard, publisher) = pair(&server).await;
    publisher.publish("numbers", &1).await.unwrap();
    assert_eq!(message(&mut heard).await, 1);
    server.crash();
    server.restart();
    let Some(Ok(Event::Resumed(resumed))) = heard.next().await else { panic!("it did not come back") };
    assert!(!resumed.recovered);
    assert!(matches!(heard.next().await, Some(Ok(Event::Gap(_)))));
    publisher.publish("numbers", &2).await.unwrap();
    assert_eq!(message(&mut heard).await, 2);
}

#[tokio::test(start_paused = true)]
async fn timeouts_pass_in_virtual_time() {
    let server = TestServer::start();
    server.stop();
    let began = Instant::now();
    assert!(matches!(server.client().await, Err(ConnectError::Timeout { .. })));
    assert_eq!(began.elapsed(), Duration::from_secs(10));
    server.restart();
    let backoff = Backoff::new(Duration::ZERO, Duration::ZERO);
    let client = server.builder().backoff(backoff).connect().await.unwrap();
    let (before, mut statuses) = (client.id(), client.statuses());
    server.cut();
    let is_back = |status: &Status| status.state == State::Connected && status.client != before;
    statuses.wait_for(is_back).await.unwrap();
    assert_eq!(server.connections(), 1);
}

#[tokio::test(start_paused = true)]
async fn the_hub_does_by_itself_what_is_due() {
    let presence = Some(PresencePolicy { events: true, grace: Duration::from_secs(20) });
    let policy = TopicPolicy { presence, ..TopicPolicy::default() };
    let list = vec![TopicRule { pattern: ">".parse().unwrap(), policy }];
    let server = TestServer::with_settings(Settings { rules: TopicRules { list }, ..Settings::with_seed(1) });
    let (watcher, leaver) = (server.client().await.unwrap(), server.client().await.unwrap());
    let mut heard = watcher.subscribe::<u32>("room").presence().await.unwrap().events();
    let subscription = leaver.subscribe::<u32>("room").await.unwrap();
    assert!(matches!(heard.next().await, Some(Ok(Event::Joined(_)))));
    drop(subscription);
    assert!(matches!(heard.next().await, Some(Ok(Event::Left(_)))));
}
