//! One loss is told once, through the default streams: for each way to lose something, and each kind of subscription.

use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use hubcast_client::testing::{HistoryPolicy, Settings, TestServer, TopicPolicy, TopicRule, TopicRules};
use hubcast_client::{Backoff, Client, ItemError, Position, TopicName};
use std::collections::BTreeMap;
use std::time::Duration;

/// A server whose topics keep three publications.
fn server() -> TestServer {
    let history = TopicPolicy::default().history.map(|history| HistoryPolicy { size: 3, ..history });
    let policy = TopicPolicy { history, ..TopicPolicy::default() };
    let list = vec![TopicRule { pattern: ">".parse().unwrap(), policy }];
    TestServer::with_settings(Settings { rules: TopicRules { list }, ..Settings::with_seed(1) })
}

/// A client that waits for so long before it connects again, about.
async fn client(server: &TestServer, pause: Duration) -> Client {
    server.builder().backoff(Backoff::new(pause, pause)).connect().await.unwrap()
}

/// The items of a default stream: a value as itself, and a gap as 0.
type Items = BoxStream<'static, u64>;

fn item<T>(item: Result<T, ItemError>, value: impl Fn(T) -> u64) -> u64 {
    match item {
        Ok(message) => value(message),
        Err(ItemError::Gap(_)) => 0,
        Err(error) => panic!("{error}"),
    }
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    Topic,
    Last,
    Pattern,
}

const KINDS: [Kind; 3] = [Kind::Topic, Kind::Last, Kind::Pattern];

async fn listen(client: &Client, kind: Kind) -> Items {
    match kind {
        Kind::Topic => client.subscribe::<u64>("a.b").await.unwrap().map(|i| item(i, |value| value)).boxed(),
        Kind::Last => client.subscribe::<u64>("a.b").last(2).await.unwrap().map(|i| item(i, |value| value)).boxed(),
        Kind::Pattern => {
            let stream = client.subscribe_pattern::<u64>("a.*").await.unwrap();
            stream.map(|i| item(i, |message| message.value)).boxed()
        }
    }
}

async fn publish(client: &Client, values: impl IntoIterator<Item = u64>) {
    for value in values {
        client.publish("a.b", &value).await.unwrap();
    }
}

/// Reads until this value.
async fn until(items: &mut Items, last: u64) -> Vec<u64> {
    let mut read = Vec::new();
    while read.last() != Some(&last) {
        read.push(items.next().await.unwrap());
    }
    read
}

#[tokio::test(start_paused = true)]
async fn a_crash_is_one_gap() {
    for kind in KINDS {
        let server = server();
        let (ada, bob) = (client(&server, Duration::ZERO).await, client(&server, Duration::ZERO).await);
        let (mut one, mut other) = (listen(&ada, kind).await, listen(&ada, kind).await);
        publish(&bob, 1..=2).await;
        assert_eq!((until(&mut one, 2).await, until(&mut other, 2).await), (vec![1, 2], vec![1, 2]), "{kind:?}");
        for round in [3, 6] {
            server.crash();
            server.restart();
            ada.ping().await.unwrap();
            publish(&bob, round..=round + 1).await;
            let told = vec![0, round, round + 1];
            assert_eq!(
                (until(&mut one, round + 1).await, until(&mut other, round + 1).await),
                (told.clone(), told),
                "{kind:?}"
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_the_server_forgot_while_the_client_was_away_is_one_gap() {
    for kind in KINDS {
        let server = server();
        let (ada, bob) = (client(&server, Duration::from_secs(60)).await, client(&server, Duration::ZERO).await);
        let mut items = listen(&ada, kind).await;
        publish(&bob, 1..=2).await;
        assert_eq!(until(&mut items, 2).await, [1, 2]);
        server.cut();
        publish(&bob, 3..=9).await;
        ada.ping().await.unwrap();
        publish(&bob, [10]).await;
        let told = match kind {
            Kind::Last => vec![0, 8, 9, 10],
            Kind::Topic | Kind::Pattern => vec![0, 10],
        };
        assert_eq!(until(&mut items, 10).await, told, "{kind:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_slow_reader_misses_is_one_gap() {
    let server = server();
    let (ada, bob) = (client(&server, Duration::ZERO).await, client(&server, Duration::ZERO).await);
    let mut items = ada.subscribe::<u64>("a.b").queue(10).await.unwrap();
    publish(&bob, 1..=50).await;
    ada.ping().await.unwrap();
    let mut read = Vec::new();
    while read.last() != Some(&50) {
        read.push(item(items.next().await.unwrap(), |value| value));
    }
    assert_eq!(read, [vec![0], (41..=50).collect()].concat());
}

#[tokio::test(start_paused = true)]
async fn an_own_publication_without_echo_is_no_second_gap() {
    for kind in KINDS {
        let server = server();
        let (ada, bob) = (client(&server, Duration::ZERO).await, client(&server, Duration::ZERO).await);
        let mut items = listen(&ada, kind).await;
        publish(&bob, 1..=2).await;
        assert_eq!(until(&mut items, 2).await, [1, 2]);
        server.crash();
        server.restart();
        ada.ping().await.unwrap();
        ada.publish("a.b", &3).echo(false).await.unwrap();
        publish(&bob, [4]).await;
        assert_eq!(until(&mut items, 4).await, [0, 4], "{kind:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn positions_of_a_history_that_is_gone_are_one_gap_for_each_subscription() {
    let server = server();
    let (ada, bob) = (client(&server, Duration::ZERO).await, client(&server, Duration::ZERO).await);
    let mut live = listen(&ada, Kind::Pattern).await;
    publish(&bob, 1..=2).await;
    assert_eq!(until(&mut live, 2).await, [1, 2]);
    let read = bob.history::<u64>("a.b", None, None).await.unwrap();
    let dead = Position { epoch: read.epoch, offset: read.offset };
    server.crash();
    server.restart();
    ada.ping().await.unwrap();
    let positions: BTreeMap<TopicName, _> = [("a.b".into(), dead)].into();
    let mut stored = Vec::new();
    for _ in 0..2 {
        let stream = ada.subscribe_pattern::<u64>("a.*").recover(positions.clone()).await.unwrap();
        stored.push(stream.map(|i| item(i, |message| message.value)).boxed());
    }
    publish(&bob, [3]).await;
    for items in stored.iter_mut().chain([&mut live]) {
        assert_eq!(until(items, 3).await, [0, 3]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_program_that_starts_again_at_its_position_misses_nothing() {
    let server = server();
    let (ada, bob) = (client(&server, Duration::ZERO).await, client(&server, Duration::ZERO).await);
    let mut position = ada.subscribe::<u64>("a.b").await.unwrap().position();
    let mut next = 1;
    // In between it has heard nothing, something, or less than there was.
    for published in [2, 0, 3, 1, 0, 2] {
        publish(&bob, next..next + published).await;
        let mut stream = ada.subscribe::<u64>("a.b").recover(position.unwrap()).await.unwrap();
        for value in next..next + published {
            assert_eq!(item(stream.next().await.unwrap(), |value| value), value);
        }
        position = stream.position();
        next += published;
    }
    // Too much for the history: a gap, and from there on.
    publish(&bob, next..next + 5).await;
    let mut stream = ada.subscribe::<u64>("a.b").recover(position.unwrap()).last(2).await.unwrap();
    let read = [stream.next().await.unwrap(), stream.next().await.unwrap(), stream.next().await.unwrap()];
    assert_eq!(read.map(|i| item(i, |value| value)), [0, next + 3, next + 4]);
}

#[tokio::test(start_paused = true)]
async fn a_second_subscription_gets_its_own_past_and_the_first_nothing_twice() {
    let server = server();
    let (ada, bob) = (client(&server, Duration::ZERO).await, client(&server, Duration::ZERO).await);
    let mut first = ada.subscribe::<u64>("a.b").await.unwrap();
    let begin = first.position().unwrap();
    publish(&bob, 1..=3).await;
    let mut last = ada.subscribe::<u64>("a.b").last(2).await.unwrap();
    let mut recovered = ada.subscribe::<u64>("a.b").recover(begin).await.unwrap();
    publish(&bob, [4]).await;
    for (stream, values) in [(&mut first, 1..=4), (&mut last, 2..=4), (&mut recovered, 1..=4)] {
        for value in values {
            assert_eq!(item(stream.next().await.unwrap(), |value| value), value);
        }
    }
}
