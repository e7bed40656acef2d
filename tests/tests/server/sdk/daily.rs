//! Everything that a client can ask for.

use super::{NEVER, as_usual, begin, event, message, program, usual_server};
use hubcast_client::{
    Client, ClientId, ErrorCode, Event, Gap, GapReason, History, ItemError, RequestError, Slow, SubscribeError, Topic,
    TopicName,
};
use hubcast_hub::{PresencePolicy, TopicPolicy, TopicRule};
use hubcast_tests::{Server, Typed};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::time::Duration;

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Price {
    symbol: String,
    cents: u64,
}

#[test]
fn a_value_that_is_published_is_the_value_that_is_heard() {
    let server = usual_server();
    program(async {
        let (hearer, publisher) = (client(&server).await, client(&server).await);
        let prices = Topic::<Price>::new("prices");
        let mut events = hearer.subscribe(&prices).await.unwrap().events();
        let price = Price { symbol: "TEA".into(), cents: 250 };
        let published = publisher.publish(&prices, &price).await.unwrap();
        assert_eq!((published.offset, published.receivers), (Some(1), 1));
        let heard = message(&mut events).await;
        assert_eq!((heard.topic.as_str(), heard.position.map(|at| at.offset), heard.value), ("prices", Some(1), price));
    });
}

#[test]
fn whoever_speaks_the_plain_dialect_is_heard_and_hears() {
    let server = usual_server();
    let mut plain = server.plain();
    plain.subscribes("t");
    plain.hears_nothing();
    program(async {
        let client = client(&server).await;
        let mut values = client.subscribe::<String>("t").await.unwrap();
        plain.publishes("t", "from below");
        assert_eq!(values.next().await.unwrap().unwrap(), "from below");
        client.publish("t", "from above").await.unwrap();
    });
    plain.hears("from below");
    plain.hears("from above");
}

#[test]
fn a_message_of_another_type_is_an_error_and_the_stream_goes_on() {
    let server = usual_server();
    program(async {
        let client = client(&server).await;
        let mut numbers = client.subscribe::<u64>("numbers").await.unwrap();
        client.publish::<str>("numbers", "three").await.unwrap();
        client.publish("numbers", &4).await.unwrap();
        assert!(
            matches!(numbers.next().await, Some(Err(ItemError::Decode(error))) if error.topic.as_str() == "numbers")
        );
        assert_eq!(numbers.next().await.unwrap().unwrap(), 4);
    });
}

#[test]
fn two_subscriptions_to_one_topic_hear_everything_once_each() {
    let server = usual_server();
    program(async {
        let client = client(&server).await;
        let mut one = client.subscribe::<u64>("t").await.unwrap();
        let mut other = client.subscribe::<u64>("t").await.unwrap();
        for number in 1..=3 {
            assert_eq!(client.publish("t", &number).await.unwrap().receivers, 1);
        }
        for number in 1..=3 {
            assert_eq!(one.next().await.unwrap().unwrap(), number);
            assert_eq!(other.next().await.unwrap().unwrap(), number);
        }
        drop(one);
        assert_eq!(client.publish("t", &4).await.unwrap().receivers, 1);
        assert_eq!(other.next().await.unwrap().unwrap(), 4);
        drop(other);
        assert_eq!(client.publish("t", &5).await.unwrap().receivers, 0);
    });
}

#[test]
fn a_pattern_says_which_topic_it_was_and_a_topic_beside_it_hears_it_too() {
    let server = usual_server();
    program(async {
        let client = client(&server).await;
        let mut all = client.subscribe_pattern::<u64>("orders.*.paid").await.unwrap();
        let mut of_7 = client.subscribe::<u64>("orders.7.paid").await.unwrap();
        for (topic, number) in [("orders.6.paid", 60), ("orders.7.sent", 0), ("orders.7.paid", 70)] {
            client.publish(topic, &number).await.unwrap();
        }
        for expected in [("orders.6.paid", 60), ("orders.7.paid", 70)] {
            let heard = all.next().await.unwrap().unwrap();
            assert_eq!((heard.topic.as_str(), heard.value), expected);
        }
        assert_eq!(of_7.next().await.unwrap().unwrap(), 70);
    });
}

#[test]
fn a_direct_message_reaches_only_the_one_that_it_is_sent_to() {
    let server = usual_server();
    program(async {
        let (ada, ben, carl) = (client(&server).await, client(&server).await, client(&server).await);
        let (mut to_ada, mut to_ben) = (ada.direct::<String>(), ben.direct::<String>());
        for to in [&ben, &ada] {
            let published = carl.publish(id(to).to_string(), &format!("for {}", id(to))).await.unwrap();
            assert_eq!(published.receivers, 1);
        }
        assert_eq!(to_ada.next().await.unwrap().unwrap(), format!("for {}", id(&ada)));
        assert_eq!(to_ben.next().await.unwrap().unwrap(), format!("for {}", id(&ben)));
    });
}

#[test]
fn a_publication_that_nobody_hears_is_confirmed() {
    let server = usual_server();
    program(async {
        assert_eq!(client(&server).await.publish("t", "hello?").await.unwrap().receivers, 0);
    });
}

#[test]
fn a_history_is_read_by_count_and_from_a_position() {
    let server = usual_server();
    program(async {
        let client = client(&server).await;
        let _in_use = client.subscribe::<u64>("t").await.unwrap();
        for number in 1..=5 {
            client.publish("t", &number).await.unwrap();
        }
        let values = |history: &History<u64>| -> Vec<u64> {
            history.messages.iter().map(|message| message.as_ref().unwrap().value).collect()
        };
        let last = client.history::<u64>("t", None, Some(2)).await.unwrap();
        assert_eq!((last.offset, values(&last)), (5, vec![4, 5]));
        let since = last.messages[0].as_ref().unwrap().position;
        let after = client.history::<u64>("t", since, None).await.unwrap();
        assert_eq!((after.epoch, values(&after)), (last.epoch, vec![5]));
    });
}

#[test]
fn what_a_topic_does_not_keep_is_refused_by_name() {
    let server = Server::start();
    program(async {
        let client = client(&server).await;
        let history = client.history::<u64>("t", None, None).await.unwrap_err();
        assert!(matches!(history, RequestError::Refused(refused) if refused.code == ErrorCode::NoHistory));
        let presence = client.presence("t").await.unwrap_err();
        assert!(matches!(presence, RequestError::Refused(refused) if refused.code == ErrorCode::NoPresence));
    });
}

#[test]
fn last_begins_with_the_current_value() {
    let server = usual_server();
    program(async {
        let (first, second) = (client(&server).await, client(&server).await);
        let mut early = first.subscribe::<u64>("t").await.unwrap();
        for number in 1..=3 {
            first.publish("t", &number).await.unwrap();
        }
        let mut late = second.subscribe::<u64>("t").last(1).await.unwrap();
        first.publish("t", &4).await.unwrap();
        for number in 1..=4 {
            assert_eq!(early.next().await.unwrap().unwrap(), number);
        }
        for number in 3..=4 {
            assert_eq!(late.next().await.unwrap().unwrap(), number);
        }
    });
}

#[test]
fn who_comes_and_goes_is_announced_and_who_is_there_can_be_asked() {
    let server = Server::with(|config| {
        let presence = Some(PresencePolicy { events: true, grace: Duration::ZERO });
        let policy = TopicPolicy { presence, ..TopicPolicy::default() };
        config.rules.list = vec![TopicRule { pattern: "room.*".parse().unwrap(), policy }];
    });
    program(async {
        let (host, guest) = (client(&server).await, client(&server).await);
        let mut events = host.subscribe::<String>("room.7").presence().await.unwrap().events();
        let stay = guest.subscribe::<String>("room.7").await.unwrap();
        assert!(matches!(event(&mut events).await, Event::Joined(member) if Some(member.client) == guest.id()));
        let presence = host.presence("room.7").await.unwrap();
        let mut there: Vec<_> = presence.clients.iter().map(|present| present.client).collect();
        there.sort();
        let mut both = [host.id(), guest.id()].map(Option::unwrap);
        both.sort();
        assert_eq!((presence.count, there.as_slice()), (2, both.as_slice()));
        drop(stay);
        assert!(matches!(event(&mut events).await, Event::Left(member) if Some(member.client) == guest.id()));
        assert_eq!(host.presence("room.7").await.unwrap().count, 1);
    });
}

#[test]
fn a_slow_connection_that_drops_the_oldest_says_what_it_lost() {
    loses_and_says_so(Slow::Drop);
}

#[test]
fn a_slow_connection_that_wants_the_latest_says_what_it_lost() {
    loses_and_says_so(Slow::Latest);
}

/// The id of a client that is connected.
fn id(client: &Client) -> ClientId {
    client.id().expect("a client that was connected has an id")
}

/// Publishes more than sockets and outbox hold while the client does not read. Checks that the messages and the gaps
/// that the client receives afterwards are together everything, in order.
fn loses_and_says_so(slow: Slow) {
    const NUMBERS: u64 = 300;
    let server = Server::with(|config| {
        as_usual(config);
        config.outbox = 256 * 1024;
        config.timeouts.write = NEVER;
    });
    let mut publisher = server.typed();
    program(async {
        let client = client(&server).await;
        let mut events = client.subscribe::<String>("t").slow(slow).await.unwrap().events();
        // This blocks the thread, and so the client.
        publish_large(&mut publisher, NUMBERS);
        let (mut next, mut lost) = (1, 0);
        while next <= NUMBERS {
            let (from, to) = match event(&mut events).await {
                Event::Message(message) => message.position.map(|at| (at.offset, at.offset)).unwrap(),
                Event::Gap(Gap { from: Some(from), to: Some(to), reason: GapReason::SlowConnection, .. }) => {
                    lost += to - from + 1;
                    (from, to)
                }
                other => panic!("a message or a gap was to come: {other:?}"),
            };
            assert_eq!(from, next);
            next = to + 1;
        }
        assert!((1..NUMBERS).contains(&lost), "{lost} were lost");
    });
}

/// Publishes 60 KB `times` times, and waits until the server has handled the last of them.
fn publish_large(publisher: &mut Typed, times: u64) {
    let large = "x".repeat(60_000);
    for _ in 0..times {
        publisher.publishes("t", large.as_str());
    }
    publisher.asks(json!({"id": 1, "action": "ping"}));
}

#[test]
fn the_topic_of_another_connection_is_refused_and_the_client_goes_on() {
    let server = usual_server();
    program(async {
        let (client, other) = (client(&server).await, client(&server).await);
        let refused = client.subscribe::<String>(TopicName::from(other.id().unwrap().to_string())).await.unwrap_err();
        assert!(
            matches!(refused, SubscribeError::Refused(refused) if refused.code == ErrorCode::Forbidden && !refused.retry)
        );
        client.ping().await.unwrap();
    });
}

#[test]
fn closing_waits_until_everything_that_was_begun_is_published() {
    let server = usual_server();
    program(async {
        let (hearer, publisher) = (client(&server).await, client(&server).await);
        let mut heard = hearer.subscribe::<u64>("t").await.unwrap();
        let mut begun = Vec::new();
        for number in 0..100 {
            begun.push(begin(publisher.publish("t", &number)).await);
        }
        publisher.close().await.unwrap();
        for (number, published) in (0..).zip(begun) {
            published.await.unwrap();
            assert_eq!(heard.next().await.unwrap().unwrap(), number);
        }
    });
}

/// Connects a client.
async fn client(server: &Server) -> Client {
    Client::connect(&server.url()).await.unwrap()
}
