//! Publishers: a window of publications in order, with errors that hand the values back.

use futures_util::{FutureExt, SinkExt, StreamExt, stream};
use hubcast_client::testing::{HistoryPolicy, Retention, Settings, TestServer, TopicPolicy, TopicRule, TopicRules};
use hubcast_client::{Client, EncodeError, Event, Events, PublishError, Publisher, SendError};
use std::time::Duration;

/// Two clients of a server: one with a subscription to `numbers`, its events, and a publisher of the other one.
async fn pair(server: &TestServer) -> (Client, Events<u32>, Publisher<u32>) {
    let subscriber = server.client().await.unwrap();
    let heard = subscriber.subscribe::<u32>("numbers").await.unwrap().events();
    (subscriber, heard, server.client().await.unwrap().publisher("numbers"))
}

/// A server that keeps all publications of a test.
fn server_with_long_histories() -> TestServer {
    let history = Some(HistoryPolicy { size: 5000, ttl: Duration::from_secs(600), keep: Retention::InUse });
    let policy = TopicPolicy { history, ..TopicPolicy::default() };
    let list = vec![TopicRule { pattern: ">".parse().unwrap(), policy }];
    TestServer::with_settings(Settings { rules: TopicRules { list }, ..Settings::with_seed(1) })
}

/// The next values, until `last`. Panics at a gap.
async fn heard_until(heard: &mut Events<u32>, last: u32) -> Vec<u32> {
    let mut numbers = Vec::new();
    while numbers.last() != Some(&last) {
        match heard.next().await {
            Some(Ok(Event::Message(message))) => numbers.push(message.value),
            Some(Ok(Event::Resumed(resumed))) => assert!(resumed.recovered),
            other => panic!("{other:?} is neither"),
        }
    }
    numbers
}

/// The values of all errors until a flush succeeds. Panics if one of them is no timeout.
async fn timed_out(publisher: &mut Publisher<u32>) -> Vec<SendError<u32>> {
    let mut failed = Vec::new();
    while let Err(error) = publisher.flush().await {
        assert!(matches!(error.source, PublishError::Timeout { .. }), "{error:?}");
        failed.push(error);
    }
    failed
}

#[tokio::test(start_paused = true)]
async fn what_is_sent_while_connections_break_is_heard_once_and_in_order() {
    let server = server_with_long_histories();
    let (_subscriber, mut heard, mut publisher) = pair(&server).await;
    let publishing = async {
        for number in 0..2000 {
            if number % 97 == 0 {
                server.cut();
            }
            publisher.send(number).await.unwrap();
        }
        publisher.flush().await.unwrap();
    };
    let ((), numbers) = tokio::join!(publishing, heard_until(&mut heard, 1999));
    assert_eq!(numbers, (0..2000).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn sending_waits_only_for_room() {
    let server = TestServer::start();
    let (_subscriber, mut heard, publisher) = pair(&server).await;
    let mut publisher = publisher.window(4);
    server.stop();
    for number in 0..4 {
        assert!(publisher.send(number).now_or_never().is_some_and(|sent| sent.is_ok()));
    }
    assert!(publisher.send(4).now_or_never().is_none());
    assert!(publisher.flush().now_or_never().is_none());
    server.restart();
    publisher.send(5).await.unwrap();
    publisher.flush().await.unwrap();
    assert_eq!(heard_until(&mut heard, 5).await, [0, 1, 2, 3, 5], "a send that is dropped has not taken its value");
}

#[tokio::test(start_paused = true)]
async fn a_server_that_stands_still_is_back_pressure_and_no_error() {
    let server = server_with_long_histories();
    let (_subscriber, mut heard, _) = pair(&server).await;
    let client = server.builder().request_queue(8).connect().await.unwrap();
    server.stop();
    let stream = |numbers: std::ops::Range<u32>| {
        let mut publisher = client.publisher::<u32>("numbers");
        async move {
            for number in numbers {
                publisher.send(number).await.unwrap();
            }
            publisher.flush().await.unwrap();
        }
    };
    let stall = async {
        tokio::time::sleep(Duration::from_secs(20)).await;
        let direct = client.publish("numbers", &1).await;
        assert!(matches!(direct, Err(PublishError::QueueFull)), "{direct:?}");
        server.restart();
    };
    tokio::join!(stream(0..100), stream(100..200), stall);
    client.publish("numbers", &200).await.unwrap();
    let numbers = heard_until(&mut heard, 200).await;
    let (mut first, mut second) = (numbers.clone(), numbers);
    first.retain(|number| *number < 100);
    second.retain(|number| (100..200).contains(number));
    assert_eq!((first, second), ((0..100).collect(), (100..200).collect()));
}

#[tokio::test(start_paused = true)]
async fn what_fails_is_handed_back_with_its_key_in_the_order_of_sending() {
    let server = TestServer::start();
    let (_subscriber, mut heard, mut publisher) = pair(&server).await;
    server.stop();
    for number in 0..10 {
        publisher.send(number).await.unwrap();
    }
    let failed = timed_out(&mut publisher).await;
    assert_eq!(failed.iter().map(|error| error.value).collect::<Vec<_>>(), (0..10).collect::<Vec<_>>());
    server.restart();
    publisher.send(10).await.unwrap();
    publisher.flush().await.unwrap();
    let client = server.client().await.unwrap();
    for error in failed {
        let key = error.key.clone().unwrap();
        for _ in 0..2 {
            client.publish("numbers", &error.value).key(key.clone()).await.unwrap();
        }
    }
    assert_eq!(heard_until(&mut heard, 9).await, [10, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
}

#[tokio::test(start_paused = true)]
async fn a_send_that_hands_an_earlier_value_back_has_taken_its_own() {
    let server = TestServer::start();
    let (_subscriber, mut heard, publisher) = pair(&server).await;
    let mut publisher = publisher.window(2);
    server.stop();
    for number in 0..2 {
        publisher.send(number).await.unwrap();
    }
    // There is no room before both have failed.
    let earlier = [publisher.send(2).await, publisher.send(3).await];
    assert_eq!(earlier.map(|sent| sent.unwrap_err().into_value()), [0, 1]);
    server.restart();
    publisher.flush().await.unwrap();
    assert_eq!(heard_until(&mut heard, 3).await, [2, 3]);
}

#[tokio::test(start_paused = true)]
async fn a_value_that_cannot_be_a_message_is_handed_back_in_its_turn() {
    let server = TestServer::start();
    let client = server.client().await.unwrap();
    let mut publisher = client.publisher::<Option<u32>>("numbers");
    assert!(matches!(publisher.send(None).await.unwrap_err().source, PublishError::Encode(EncodeError::Null)));
    server.stop();
    for value in [Some(1), None, Some(2)] {
        publisher.send(value).await.unwrap();
    }
    let mut failed = Vec::new();
    while let Err(error) = publisher.flush().await {
        failed.push((error.value, error.key.is_some()));
    }
    assert_eq!(failed, [(Some(1), true), (None, false), (Some(2), true)]);
}

#[tokio::test(start_paused = true)]
async fn a_dropped_publisher_publishes_what_it_has_taken() {
    let server = TestServer::start();
    let (_subscriber, mut heard, mut publisher) = pair(&server).await;
    server.stop();
    for number in 0..3 {
        publisher.send(number).await.unwrap();
    }
    // It is also the last handle of its client.
    drop(publisher);
    server.restart();
    assert_eq!(heard_until(&mut heard, 2).await, [0, 1, 2]);
}

#[tokio::test(start_paused = true)]
async fn a_whole_stream_can_be_forwarded() {
    let server = TestServer::start();
    let (_subscriber, mut heard, mut publisher) = pair(&server).await;
    stream::iter(0..700).map(Ok).forward(&mut publisher).await.unwrap();
    SinkExt::send(&mut publisher, 700).await.unwrap();
    assert_eq!(heard_until(&mut heard, 700).await, (0..=700).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn a_sink_waits_for_room_too_and_loses_no_value_to_an_error() {
    let server = TestServer::start();
    let (_subscriber, mut heard, _) = pair(&server).await;
    let client = server.builder().request_queue(2).connect().await.unwrap();
    let mut publisher = client.publisher::<u32>("numbers");
    server.stop();
    let mut numbers = stream::iter(0..5).map(Ok);
    let mut failed = Vec::new();
    while let Err(error) = numbers.by_ref().forward(&mut publisher).await {
        failed.push(error.value);
        server.restart();
    }
    let mut all = heard_until(&mut heard, 4).await;
    all.extend(&failed);
    all.sort_unstable();
    assert_eq!((failed.len(), all), (2, vec![0, 1, 2, 3, 4]));
}

#[tokio::test(start_paused = true)]
async fn a_sink_keeps_no_more_room_than_its_values_need() {
    let server = TestServer::start();
    let client = server.builder().request_queue_bytes(100_000).connect().await.unwrap();
    let mut publisher = client.publisher::<u32>("numbers");
    server.stop();
    for number in 0..20 {
        publisher.feed(number).now_or_never().expect("there is room").unwrap();
    }
    server.restart();
    SinkExt::flush(&mut publisher).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_receipt_has_the_confirmation_or_the_value() {
    let server = TestServer::start();
    let (_subscriber, mut heard, publisher) = pair(&server).await;
    let mut publisher = publisher.window(2);
    let receipts = [publisher.send_with_receipt(0).await, publisher.send_with_receipt(1).await];
    for (receipt, offset) in receipts.into_iter().zip(1..) {
        assert_eq!(receipt.await.unwrap().offset, Some(offset));
    }
    server.stop();
    let receipts = [publisher.send_with_receipt(2).await, publisher.send_with_receipt(3).await];
    assert!(publisher.send_with_receipt(4).now_or_never().is_none(), "the window is full");
    publisher.flush().await.unwrap();
    for (receipt, value) in receipts.into_iter().zip(2..) {
        let answered = receipt.now_or_never().expect("a flush waits for receipts too");
        assert_eq!(answered.unwrap_err().into_value(), value);
    }
    // Failures that nobody takes leave room for receipts, and for no more than the window.
    publisher.send(5).await.unwrap();
    publisher.send(6).await.unwrap();
    let receipts = [publisher.send_with_receipt(7).await, publisher.send_with_receipt(8).await];
    assert!(publisher.send_with_receipt(9).now_or_never().is_none(), "the window is full");
    server.restart();
    for (receipt, offset) in receipts.into_iter().zip(3..) {
        assert_eq!(receipt.await.unwrap().offset, Some(offset));
    }
    assert_eq!(timed_out(&mut publisher).await.len(), 2);
    assert_eq!(heard_until(&mut heard, 8).await, [0, 1, 7, 8]);
}

#[tokio::test(start_paused = true)]
async fn the_bytes_of_waiting_requests_are_bounded() {
    let server = TestServer::start();
    let client = server.builder().request_queue_bytes(10_000).connect().await.unwrap();
    let mut publisher = client.publisher::<String>("texts");
    server.stop();
    let text = "x".repeat(4_000);
    for _ in 0..2 {
        publisher.send(text.clone()).await.unwrap();
    }
    assert!(publisher.send(text.clone()).now_or_never().is_none());
    assert!(matches!(client.publish("texts", text.as_str()).await, Err(PublishError::QueueFull)));
    assert!(publisher.send("short".into()).now_or_never().is_some(), "a dropped send gives up its place");
    server.restart();
    publisher.send("x".repeat(20_000)).await.unwrap();
    publisher.flush().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_publisher_learns_that_its_client_is_closed() {
    let server = TestServer::start();
    let (_subscriber, _, publisher) = pair(&server).await;
    let client = server.client().await.unwrap();
    let mut publishers = [publisher.window(1), client.publisher("numbers").window(1)];
    server.stop();
    publishers[1].send(1).await.unwrap();
    let (closed, waited) = tokio::join!(client.close(), publishers[1].send(2));
    assert_eq!(closed.unwrap_err().unanswered, 1);
    let error = waited.unwrap_err();
    assert!(matches!(error.source, PublishError::Closed { .. }) && error.value == 1 && error.key.is_some());
    assert_eq!(publishers[1].flush().await.unwrap_err().value, 2);
    assert_eq!(publishers[1].send(3).await.unwrap_err().value, 3);
}

#[test]
fn a_publisher_ends_with_the_runtime_of_its_client() {
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (first, second) = (runtime(), runtime());
    let mut publisher = first.block_on(async {
        let server = TestServer::start();
        let publisher = server.client().await.unwrap().publisher::<u32>("numbers");
        server.stop();
        publisher
    });
    first.block_on(publisher.send(1)).unwrap();
    drop(first);
    let error = second.block_on(publisher.flush()).unwrap_err();
    assert!(matches!(error.source, PublishError::Closed { .. }) && error.value == 1);
}
