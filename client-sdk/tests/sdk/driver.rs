//! The whole client on a real socket, against a server whose events the test writes.

use crate::server::{Server, program};
use hubcast_client::{
    Client, CloseError, Closed, ConnectError, EncodeError, Ended, Event, GapReason, ItemError, PublishError, Published,
    RequestError, State, SubscribeError, Subscription, Topic,
};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::collections::HashSet;
use std::time::Duration;

/// A message of a type that the program defines.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Price {
    cents: u64,
}

/// The event that confirms a subscription to a topic with epoch `e` and no publications.
fn subscribed(topic: &str) -> serde_json::Value {
    json!({"event": "subscribed", "topic": topic, "epoch": "e", "offset": 0})
}

#[test]
fn typed_values_go_out_and_come_in() {
    program(async {
        let (client, mut peer) = Server::start().await.connected().await;
        let prices = Topic::<Price>::new("prices");
        let (stream, request) = tokio::join!(client.subscribe(&prices).last(1), peer.answers(subscribed("prices")));
        assert_eq!((&request["action"], &request["last"]), (&json!("subscribe"), &json!(1)));
        let mut stream = stream.unwrap();
        let (published, request) = tokio::join!(
            async { client.publish(&prices, &Price { cents: 7 }).echo(false).key("k").await },
            peer.answers(json!({"event": "published", "topic": "prices", "offset": 1, "receivers": 2})),
        );
        assert!(matches!(published, Ok(Published { offset: Some(1), receivers: 2, .. })));
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
    });
}

#[test]
fn a_cut_connection_is_resumed() {
    program(async {
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
    });
}

#[test]
fn a_stream_ends_with_the_reason_when_the_server_sends_the_client_away() {
    program(async {
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
    });
}

#[test]
fn a_subscription_that_nobody_reads_holds_nobody_up_and_says_what_it_lost() {
    program(async {
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
    });
}

#[test]
fn close_waits_for_the_answer_and_says_goodbye() {
    program(async {
        let (client, mut peer) = Server::start().await.connected().await;
        let mut direct = client.direct::<String>();
        let publish = tokio::spawn(client.publish("a", "x").into_future());
        let server = async {
            peer.answers(json!({"event": "published", "topic": "a", "receivers": 0})).await;
            peer.hears_close().await
        };
        // This lets the publish enter the queue of the driver before the close does. The queue keeps their order.
        tokio::task::yield_now().await;
        let (closed, code) = tokio::join!(client.close(), server);
        assert_eq!((closed, code), (Ok(()), Some(1000)));
        assert!(publish.await.unwrap().is_ok());
        assert!(direct.next().await.is_none());
        assert_eq!(client.close().await, Ok(()));
    });
}

#[test]
fn close_says_what_was_left_unanswered() {
    program(async {
        let server = Server::start().await;
        let connecting = server.client().close_timeout(Duration::from_millis(50)).connect();
        let (client, mut peer) = tokio::join!(connecting, server.accept());
        let client = client.unwrap();
        let publish = tokio::spawn(client.publish("a", "x").into_future());
        peer.hears().await;
        let (closed, _) = tokio::join!(client.close(), peer.hears_close());
        assert!(matches!(closed, Err(CloseError { unanswered: 1, .. })));
        assert!(publish.await.unwrap().is_err());
    });
}

#[test]
fn dropping_subscriptions_unsubscribes_and_dropping_everything_closes() {
    program(async {
        let (client, mut peer) = Server::start().await.connected().await;
        let (stream, _) = tokio::join!(client.subscribe::<String>("a"), peer.answers(subscribed("a")));
        drop(stream);
        assert_eq!(peer.hears().await["action"], "unsubscribe");
        let direct = client.direct::<String>();
        drop(client);
        drop(direct);
        assert_eq!(peer.hears_close().await, Some(1000));
    });
}

#[test]
fn what_waits_to_be_written_is_written_before_the_goodbye() {
    program(async {
        let (client, mut peer) = Server::start().await.connected().await;
        let (stream, _) = tokio::join!(client.subscribe::<String>("a"), peer.answers(subscribed("a")));
        drop((stream, client));
        assert_eq!(peer.hears().await["action"], "unsubscribe");
        assert_eq!(peer.hears_close().await, Some(1000));
    });
}

#[test]
fn a_server_that_only_pings_is_not_left_and_one_that_stops_is() {
    program(async {
        let server = Server::start().await;
        let connecting = server.client().ping_grace(Duration::from_millis(400)).connect();
        let (client, mut peer) = tokio::join!(connecting, server.accept_and_ping_every(50));
        let (client, began) = (client.unwrap(), tokio::time::Instant::now());
        let mut pace = tokio::time::interval(Duration::from_millis(50));
        while began.elapsed() < Duration::from_secs(1) {
            pace.tick().await;
            peer.pings().await;
        }
        assert_eq!(client.status().state, State::Connected);
        assert_eq!(peer.hears_close().await, Some(4000));
    });
}

#[test]
fn topics_are_given_as_any_kind_of_name() {
    program(async {
        let (client, mut peer) = Server::start().await.connected().await;
        let published = json!({"event": "published", "topic": "a", "receivers": 0});
        let (names, name) = (Topic::<Vec<u8>>::new("a"), "a".to_owned());
        assert_eq!(HashSet::from([names.clone(), Topic::from(&name)]).len(), 1);
        for publish in [client.publish(names.name(), &[1, 2][..]), client.publish(&name, "text")] {
            let (done, request) = tokio::join!(publish.into_future(), peer.answers(published.clone()));
            assert!(done.is_ok() && request["topic"] == "a");
        }
        let presence = json!({"event": "presence", "topic": "a", "count": 0, "clients": []});
        let (room, _) = tokio::join!(client.presence("a"), peer.answers(presence.clone()));
        let (same, _) = tokio::join!(client.presence(&names), peer.answers(presence));
        assert_eq!(room.unwrap().count, same.unwrap().count);
        let (_, request) =
            tokio::join!(client.publish(client.id().unwrap(), "psst").into_future(), peer.answers(published));
        assert_eq!(request["topic"], client.id().unwrap().to_string());
    });
}

#[test]
fn an_error_that_has_a_cause_does_not_print_it_twice() {
    program(async {
        let (client, mut peer) = Server::start().await.connected().await;
        let (stream, _) = tokio::join!(client.subscribe::<u64>("a"), peer.answers(subscribed("a")));
        peer.publishes("a", 1, "text").await;
        let Some(Err(error)) = stream.unwrap().next().await else { panic!("that is no number") };
        let printed = format!("{:#}", anyhow::Error::from(error));
        assert_eq!(printed.matches("invalid type").count(), 1, "{printed}");
    });
}

#[test]
fn a_subscribe_that_is_given_up_leaves_nothing_behind() {
    program(async {
        let (client, mut peer) = Server::start().await.connected().await;
        let subscribing = tokio::spawn(client.subscribe::<String>("a").into_future());
        assert_eq!(peer.hears().await["action"], "subscribe");
        subscribing.abort();
        assert_eq!(peer.hears().await["action"], "unsubscribe");
    });
}

#[test]
fn the_server_s_ping_is_answered() {
    program(async {
        let (client, mut peer) = Server::start().await.connected().await;
        peer.pings().await;
        let (ping, _) = tokio::join!(client.ping(), peer.answers(json!({"event": "pong"})));
        assert!(ping.is_ok());
    });
}

#[test]
fn a_value_that_would_arrive_as_an_empty_text_is_refused() {
    program(async {
        let (client, mut peer) = Server::start().await.connected().await;
        let nothing = client.publish::<Option<u32>>("a", &None).await;
        assert!(matches!(nothing, Err(PublishError::Encode(EncodeError::Null))));
        assert!(matches!(client.publish("a", &()).await, Err(PublishError::Encode(EncodeError::Null))));
        let published = json!({"event": "published", "topic": "a", "receivers": 0});
        let (some, request) = tokio::join!(
            async { client.publish::<[Option<u32>]>("a", &[None, Some(1)]).await },
            peer.answers(published)
        );
        assert_eq!((some.is_ok(), &request["message"]), (true, &json!([null, 1])));
    });
}

#[test]
fn a_long_history_is_read_and_one_without_end_is_an_error() {
    program(async {
        let server = Server::start().await;
        let (client, mut peer) = server.connected().await;
        let messages: Vec<_> =
            (1..=300).map(|offset| json!({"offset": offset, "message": "x".repeat(65_000)})).collect();
        let history = json!({"event": "history", "topic": "a", "epoch": "e", "offset": 300, "messages": messages});
        let (read, _) = tokio::join!(client.history::<String>("a", None, None), peer.answers(history));
        assert_eq!(read.unwrap().messages.len(), 300);
        let asking = async { client.history::<String>("a", None, None).await };
        let answering = async {
            peer.hears().await;
            peer.announces(1 << 30).await;
            server.accept().await
        };
        let (read, mut peer) = tokio::join!(asking, answering);
        assert!(matches!(read, Err(RequestError::AnswerTooLarge)), "{read:?}");
        let (ping, _) = tokio::join!(client.ping(), peer.answers(json!({"event": "pong"})));
        assert!(ping.is_ok());
    });
}

#[test]
fn a_reader_that_reads_all_it_can_is_not_too_slow_for_a_flood() {
    for queue in [4, 1024] {
        program(reads_a_flood(queue));
    }
}

/// Receives many publications at once by a subscription with this queue. Panics if one is missing.
async fn reads_a_flood(queue: usize) {
    let server = Server::start().await;
    let (client, mut peer) = server.connected().await;
    let asked = peer.answers(subscribed("a"));
    let (subscription, _) = tokio::join!(async { client.subscribe::<u64>("a").queue(queue).await.unwrap() }, asked);
    let mut heard = subscription.events();
    let reading = tokio::spawn(async move {
        for offset in 1..=50_000 {
            match heard.next().await {
                Some(Ok(Event::Message(message))) => assert_eq!(message.value, offset),
                other => panic!("{other:?} instead of {offset}"),
            }
        }
    });
    peer.floods("a", 50_000).await;
    reading.await.unwrap();
}

#[test]
fn a_history_with_a_message_of_another_type_has_the_others() {
    program(async {
        let (client, mut peer) = Server::start().await.connected().await;
        let messages =
            json!([{"offset": 1, "message": 1}, {"offset": 2, "message": "two"}, {"offset": 3, "message": 3}]);
        let history = json!({"event": "history", "topic": "a", "epoch": "e", "offset": 3, "messages": messages});
        let (read, _) = tokio::join!(client.history::<u64>("a", None, None), peer.answers(history));
        let read = read.unwrap();
        let values: Vec<_> = read.messages.iter().map(|message| message.as_ref().ok().map(|m| m.value)).collect();
        assert_eq!(values, [Some(1), None, Some(3)]);
        let odd = read.messages[1].as_ref().unwrap_err();
        assert_eq!(odd.position.map(|position| position.offset), Some(2));
    });
}

#[test]
fn the_last_messages_of_a_topic_without_history_and_the_joins_of_one_without_presence_are_refused() {
    program(async {
        let (client, mut peer) = Server::start().await.connected().await;
        let bare = json!({"event": "subscribed", "topic": "a"});
        let (last, _) = tokio::join!(client.subscribe::<u64>("a").last(1), peer.answers(bare));
        assert!(matches!(last, Err(SubscribeError::NoHistory { topic }) if topic.as_str() == "a"));
        assert_eq!(peer.hears().await["action"], "unsubscribe");
        let (watching, _) = tokio::join!(client.subscribe::<u64>("b").presence(), peer.answers(subscribed("b")));
        assert!(matches!(watching, Err(SubscribeError::NoPresence { topic }) if topic.as_str() == "b"));
    });
}

#[test]
fn the_position_is_known_from_the_first_moment_and_moves_with_what_is_read() {
    program(async {
        let (client, mut peer) = Server::start().await.connected().await;
        let (subscription, _) = tokio::join!(client.subscribe::<u64>("a").queue(2), peer.answers(subscribed("a")));
        let mut subscription = subscription.unwrap();
        let offset = |subscription: &Subscription<u64>| subscription.position().unwrap().offset;
        assert_eq!(offset(&subscription), 0);
        for number in 1..=5 {
            peer.publishes("a", number, number).await;
        }
        peer.pings().await;
        assert_eq!(offset(&subscription), 0, "nothing was read");
        let Some(Err(ItemError::Gap(gap))) = subscription.next().await else { panic!("nothing was lost") };
        assert_eq!(gap.to_string(), r#""a" misses publications 1 to 3: the program did not read them in time"#);
        assert_eq!(offset(&subscription), 3);
        assert_eq!((subscription.next().await.unwrap().unwrap(), offset(&subscription)), (4, 4));
    });
}

#[test]
fn a_client_whose_runtime_is_gone_says_so() {
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (of_client, of_program) = (runtime(), runtime());
    let (client, mut stream, publisher) = of_client.block_on(async {
        let (client, mut peer) = Server::start().await.connected().await;
        let (stream, _) = tokio::join!(client.subscribe::<u64>("a"), peer.answers(subscribed("a")));
        (client.clone(), stream.unwrap(), client.publisher::<u64>("a"))
    });
    let publishing = client.publish("a", &1).into_future();
    drop(of_client);
    of_program.block_on(async {
        assert_eq!(client.status().state, State::Closed(Closed::RuntimeGone));
        assert!(matches!(publishing.await, Err(PublishError::Closed { why: Closed::RuntimeGone, .. })));
        let ended = stream.next().await;
        assert!(matches!(ended, Some(Err(ItemError::Ended(Ended::Closed(Closed::RuntimeGone))))), "{ended:?}");
        assert!(stream.next().await.is_none());
        assert!(client.subscribe::<u64>("b").await.is_err() && client.ping().await.is_err());
        let direct = client.direct::<u64>().next().await;
        assert!(matches!(direct, Some(Err(ItemError::Ended(_)))), "{direct:?}");
        let mut publisher = publisher;
        let sent = publisher.send(1).await.and(publisher.flush().await);
        assert!(matches!(sent.unwrap_err().source, PublishError::Closed { why: Closed::RuntimeGone, .. }));
        let mut statuses = client.statuses();
        assert!(matches!(statuses.changed().await.unwrap().state, State::Closed(_)));
        assert_eq!(statuses.changed().await, None);
    });
}

#[test]
#[should_panic(expected = "timers are disabled")]
fn a_runtime_without_timers_panics_where_the_program_sees_it() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().unwrap();
    let _ = runtime.block_on(Client::connect("ws://127.0.0.1:1/socket"));
}

#[test]
fn a_runtime_without_sockets_is_an_error() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let failed = runtime.block_on(Client::connect("ws://127.0.0.1:1/socket"));
    assert!(matches!(failed, Err(ConnectError::Closed(Closed::Panicked))), "{failed:?}");
}

#[test]
fn a_server_that_never_reads_is_left_when_too_much_waits() {
    program(async {
        let server = Server::start().await;
        let connecting =
            server.client().request_timeout(Duration::from_millis(20)).request_queue_bytes(1 << 20).connect();
        let (client, mut peer) = tokio::join!(connecting, server.accept());
        let (client, text) = (client.unwrap(), "x".repeat(60_000));
        let left = async {
            loop {
                let many = (0..15).map(|_| client.publish("a", &text).into_future());
                futures_util::future::join_all(many).await;
                if let Some(loss) = client.status().last_loss {
                    return loss.reason;
                }
            }
        };
        // It pings all the time, so it does not look silent.
        let pinging = async {
            let mut pace = tokio::time::interval(Duration::from_millis(20));
            while peer.pings_blindly().await {
                pace.tick().await;
            }
        };
        let (reason, ()) = tokio::join!(left, pinging);
        assert_eq!(reason, "the server does not read what the client sends");
    });
}
