//! The whole client against a scripted server on a real socket.

use crate::server::Server;
use hubcast_client::{
    Client, CloseError, Closed, ConnectError, Ended, Event, GapReason, ItemError, Published, State, Subscription, Topic,
};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Price {
    cents: u64,
}

fn subscribed(topic: &str) -> serde_json::Value {
    json!({"event": "subscribed", "topic": topic, "epoch": "e", "offset": 0})
}

#[tokio::test]
async fn typed_values_go_out_and_come_in() {
    let (client, mut peer) = Server::start().await.connected().await;
    let prices = Topic::<Price>::new("prices");
    let (stream, request) = tokio::join!(client.subscribe(&prices).last(1), peer.answers(subscribed("prices")));
    assert_eq!((&request["action"], &request["last"]), (&json!("subscribe"), &json!(1)));
    let mut stream = stream.unwrap();
    let (published, request) = tokio::join!(
        async { client.publish(&prices, &Price { cents: 7 }).echo(false).key("k").await },
        peer.answers(json!({"event": "published", "topic": "prices", "offset": 1, "receivers": 2})),
    );
    assert_eq!(published.unwrap(), Published { offset: Some(1), receivers: 2 });
    assert_eq!(
        (&request["message"], &request["key"], &request["echo"]),
        (&json!({"cents": 7}), &json!("k"), &json!(false))
    );
    peer.publishes("prices", 2, "not a price").await;
    peer.publishes("prices", 3, json!({"cents": 8})).await;
    assert!(
        matches!(stream.next().await, Some(Err(ItemError::Decode(error))) if error.payload.as_plain() == "not a price")
    );
    assert_eq!(stream.next().await.unwrap().unwrap(), Price { cents: 8 });
}

#[tokio::test]
async fn a_cut_connection_is_resumed() {
    let server = Server::start().await;
    let (client, mut peer) = server.connected().await;
    let (stream, _) = tokio::join!(client.subscribe::<String>("a"), peer.answers(subscribed("a")));
    let mut events = stream.unwrap().events();
    peer.publishes("a", 1, "one").await;
    assert!(matches!(events.next().await, Some(Ok(Event::Message(message))) if message.value == "one"));
    drop(peer);
    let mut peer = server.accept().await;
    let mut recovered = subscribed("a");
    (recovered["recovered"], recovered["offset"], recovered["replayed"]) = (json!(true), json!(2), json!(1));
    let request = peer.answers(recovered).await;
    assert_eq!(request["recover"], json!({"epoch": "e", "offset": 1}));
    peer.publishes("a", 2, "two").await;
    assert!(matches!(events.next().await, Some(Ok(Event::Resumed(resumed))) if resumed.recovered));
    assert!(matches!(events.next().await, Some(Ok(Event::Message(message))) if message.value == "two"));
}

#[tokio::test]
async fn a_stream_ends_with_the_reason_when_the_server_sends_the_client_away() {
    let (client, peer) = Server::start().await.connected().await;
    let mut direct: Subscription<String> = client.direct();
    peer.closes(4502).await;
    let ended = direct.next().await;
    assert!(
        matches!(ended, Some(Err(ItemError::Ended(Ended::Closed(Closed::ByServer { code, .. })))) if code.0 == 4502)
    );
    assert!(direct.next().await.is_none());
    assert!(matches!(client.status().state, State::Closed(_)));
    assert!(client.direct::<String>().next().await.is_some());
}

#[tokio::test]
async fn a_subscription_that_nobody_reads_holds_nobody_up_and_says_what_it_lost() {
    let (client, mut peer) = Server::start().await.connected().await;
    let (idle, _) = tokio::join!(client.subscribe::<u64>("a").queue(2), peer.answers(subscribed("a")));
    let (busy, _) = tokio::join!(client.subscribe::<u64>("a"), peer.answers(subscribed("a")));
    let (mut idle, mut busy) = (idle.unwrap().events(), busy.unwrap());
    for number in 1..=100 {
        peer.publishes("a", number, number).await;
    }
    for number in 1..=100 {
        assert_eq!(busy.next().await.unwrap().unwrap(), number);
    }
    let Some(Ok(Event::Gap(gap))) = idle.next().await else { panic!("nothing was lost") };
    assert_eq!((gap.from, gap.to, gap.reason), (Some(1), Some(98), GapReason::SlowReader));
    assert!(matches!(idle.next().await, Some(Ok(Event::Message(message))) if message.value == 99));
}

#[tokio::test]
async fn close_waits_for_the_answer_and_says_goodbye() {
    let (client, mut peer) = Server::start().await.connected().await;
    let mut direct = client.direct::<String>();
    let publish = tokio::spawn(client.publish("a", "x").into_future());
    let server = async {
        peer.answers(json!({"event": "published", "topic": "a", "receivers": 0})).await;
        peer.hears_close().await
    };
    // The publish is on its way before the close: both go through the one queue of the driver.
    tokio::task::yield_now().await;
    let (closed, code) = tokio::join!(client.close(), server);
    assert_eq!((closed, code), (Ok(()), Some(1000)));
    assert!(publish.await.unwrap().is_ok());
    assert!(direct.next().await.is_none());
    assert_eq!(client.close().await, Ok(()));
}

#[tokio::test]
async fn close_says_what_was_left_unanswered() {
    let server = Server::start().await;
    let connecting = server.client().close_timeout(Duration::from_millis(50)).connect();
    let (client, mut peer) = tokio::join!(connecting, server.accept());
    let client = client.unwrap();
    let publish = tokio::spawn(client.publish("a", "x").into_future());
    peer.hears().await;
    let (closed, _) = tokio::join!(client.close(), peer.hears_close());
    assert_eq!(closed, Err(CloseError { unanswered: 1 }));
    assert!(publish.await.unwrap().is_err());
}

#[tokio::test]
async fn dropping_subscriptions_unsubscribes_and_dropping_everything_closes() {
    let (client, mut peer) = Server::start().await.connected().await;
    let (stream, _) = tokio::join!(client.subscribe::<String>("a"), peer.answers(subscribed("a")));
    drop(stream);
    assert_eq!(peer.hears().await["action"], "unsubscribe");
    let direct = client.direct::<String>();
    drop(client);
    drop(direct);
    assert_eq!(peer.hears_close().await, Some(1000));
}

#[tokio::test]
async fn a_subscribe_that_is_given_up_leaves_nothing_behind() {
    let (client, mut peer) = Server::start().await.connected().await;
    let subscribing = tokio::spawn(client.subscribe::<String>("a").into_future());
    assert_eq!(peer.hears().await["action"], "subscribe");
    subscribing.abort();
    assert_eq!(peer.hears().await["action"], "unsubscribe");
}

#[tokio::test]
async fn the_server_s_ping_is_answered() {
    let (client, mut peer) = Server::start().await.connected().await;
    peer.pings().await;
    let (ping, _) = tokio::join!(client.ping(), peer.answers(json!({"event": "pong"})));
    assert!(ping.is_ok());
}

#[tokio::test]
async fn an_address_that_is_none_is_refused_at_once() {
    for url in ["127.0.0.1:8080", "http://127.0.0.1/", "ws://", ""] {
        let refused = Client::connect(url).await;
        assert!(matches!(refused, Err(ConnectError::InvalidUrl { .. })), "{url}: {refused:?}");
    }
}

/// A server that answers every connection with these bytes; its address.
async fn answering(answer: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut head = [0; 1024];
            let _ = stream.read(&mut head).await;
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    address
}

#[tokio::test]
async fn a_server_that_does_not_want_us_is_not_asked_twice() {
    let address = answering("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n").await;
    let refused = Client::connect(&format!("ws://{address}/")).await;
    assert!(
        matches!(&refused, Err(ConnectError::Closed(Closed::Rejected { reason })) if reason.contains("404")),
        "{refused:?}"
    );
}

#[tokio::test]
async fn a_server_that_is_not_there_is_an_error_that_says_why() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let client = Client::builder(&format!("ws://{address}/socket")).connect_timeout(Duration::from_millis(50));
    let Err(ConnectError::Timeout { reason, .. }) = client.connect().await else { panic!("nobody listens there") };
    assert!(reason.contains("refused"), "{reason}");
}

#[tokio::test]
async fn tls_needs_no_provider_that_the_program_installed() {
    let address = answering("this is not TLS").await;
    let client = Client::builder(&format!("wss://{address}/socket")).connect_timeout(Duration::from_millis(200));
    let Err(ConnectError::Timeout { reason, .. }) = client.connect().await else { panic!("that was no TLS") };
    assert!(!reason.is_empty());
}
