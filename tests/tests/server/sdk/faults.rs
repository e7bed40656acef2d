//! A network that breaks all the time, in the middle of frames. Programs lose nothing.

use super::{as_usual, eager_client, event, program};
use hubcast_client::{Client, Event, Events, Resumed};
use hubcast_hub::{HistoryPolicy, TopicPolicy, TopicRule};
use hubcast_tests::{Proxy, Server};
use std::time::Duration;

#[test]
fn a_hundred_cuts_cost_nobody_a_message() {
    const CUTS: usize = 100;
    let server = Server::with(|config| {
        as_usual(config);
        // Chance may keep a client away for longer than the usual hundred publications.
        let history = HistoryPolicy { size: 1000, ..TopicPolicy::default().history.unwrap() };
        let policy = TopicPolicy { history: Some(history), ..TopicPolicy::default() };
        config.rules.list = vec![TopicRule { pattern: "numbers".parse().unwrap(), policy }];
    });
    let proxy = Proxy::to(&server);
    program(async {
        proxy.cuts_by_chance(CUTS, 6_000);
        let mut hearers = Vec::new();
        for _ in 0..20 {
            let events = eager_client(&proxy.url()).await.subscribe::<u64>("numbers").await.unwrap().events();
            hearers.push(tokio::spawn(hears_all(events)));
        }
        publishes_all(&eager_client(&proxy.url()).await).await;
        let mut resumed = 0;
        for hearer in hearers {
            resumed += hearer.await.unwrap();
        }
        let cuts = proxy.cuts_made();
        assert!(cuts > CUTS / 2 && resumed > CUTS / 2, "{cuts} cuts, {resumed} times resumed");
    });
}

/// Publishes the numbers one every 20 ms, each after the confirmation of the one before.
async fn publishes_all(client: &Client) {
    let mut pace = tokio::time::interval(Duration::from_millis(20));
    for number in 1..=NUMBERS {
        pace.tick().await;
        assert_eq!(client.publish("numbers", &number).await.unwrap().offset, Some(number));
    }
}

/// Receives the numbers in order, and nothing else but `Resumed` events. Returns how many of these came.
async fn hears_all(mut events: Events<u64>) -> usize {
    let (mut next, mut resumed) = (1, 0);
    while next <= NUMBERS {
        match event(&mut events).await {
            Event::Message(message) if message.value == next => next += 1,
            Event::Resumed(Resumed { recovered: true, .. }) => resumed += 1,
            other => panic!("{next} was to come: {other:?}"),
        }
    }
    resumed
}

const NUMBERS: u64 = 250;
