//! A network that breaks all the time, in the middle of frames. Programs lose nothing.

use super::{as_usual, eager_client, event, program};
use hubcast_client::{Client, Event, Events, Resumed};
use hubcast_hub::{HistoryPolicy, PresencePolicy, TopicPolicy, TopicRule};
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

#[test]
fn a_member_that_is_cut_again_and_again_neither_leaves_nor_comes_back() {
    let server = Server::with(|config| {
        as_usual(config);
        let presence = Some(PresencePolicy { events: true, grace: Duration::from_secs(30) });
        let policy = TopicPolicy { presence, ..TopicPolicy::default() };
        config.rules.list = vec![TopicRule { pattern: "room".parse().unwrap(), policy }];
    });
    let proxy = Proxy::to(&server);
    program(async {
        let host = eager_client(&server.url()).await;
        let mut events = host.subscribe::<u64>("room").presence().await.unwrap().events();
        let guest = eager_client(&proxy.url()).await;
        let mut stay = guest.subscribe::<u64>("room").await.unwrap().events();
        let Event::Joined(joined) = event(&mut events).await else { panic!("nobody joined") };
        assert_eq!(joined.anonymous, Some(guest.anonymous_id()));
        for _ in 0..3 {
            proxy.cuts_all();
            assert!(matches!(event(&mut stay).await, Event::Resumed(_)));
        }
        let present = host.presence("room").await.unwrap();
        let mut people: Vec<_> = present.clients.iter().map(|present| present.anonymous).collect();
        people.sort();
        let mut both = [host.anonymous_id(), guest.anonymous_id()].map(Some);
        both.sort();
        assert_eq!((present.count, people.as_slice()), (2, both.as_slice()));
        // Had there been a join or a leave, it would come before this.
        host.publish("room", &1).await.unwrap();
        assert!(matches!(event(&mut events).await, Event::Message(_)));
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
