//! The faults that the test server can make, and what it shows of itself.

use hubcast_client::testing::{PresencePolicy, Settings, TestServer, TopicPolicy, TopicRule, TopicRules};
use hubcast_client::{
    Backoff, Client, ClientId, CloseCode, Closed, Event, Events, PublishError, State, Status, Subscription,
};
use std::time::Duration;
use tokio::time::{Instant, sleep};

const SECOND: Duration = Duration::from_secs(1);

fn id(client: &Client) -> ClientId {
    client.id().unwrap()
}

/// The next value of a stream. Panics if it is an error.
async fn value(stream: &mut Subscription<u32>) -> u32 {
    stream.next().await.unwrap().unwrap()
}

/// The next event of a stream. Panics if it is an error.
async fn event(events: &mut Events<u32>) -> Event<u32> {
    events.next().await.unwrap().unwrap()
}

/// Waits until a client is connected, by another connection than `before`.
async fn back(client: &Client, before: ClientId) {
    let is_back = |status: &Status| status.state == State::Connected && status.client != Some(before);
    client.statuses().wait_for(is_back).await.unwrap();
}

async fn lost(client: &Client) -> Status {
    client.statuses().wait_for(|status| status.state != State::Connected).await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn of_two_clients_only_the_one_that_is_cut_comes_back() {
    let server = TestServer::start();
    let (cut, other) = (server.client().await.unwrap(), server.client().await.unwrap());
    let (before, others) = (id(&cut), id(&other));
    assert!(server.cut_client(before));
    assert!(!server.cut_client(before), "it is not connected any more");
    back(&cut, before).await;
    assert_eq!((id(&other), other.status().last_loss), (others, None));
    assert_eq!(server.connections(), 2);
}

#[tokio::test(start_paused = true)]
async fn the_code_of_a_kick_says_whether_the_client_comes_back() {
    let server = TestServer::start();
    let client = server.client().await.unwrap();
    let first = id(&client);
    assert!(server.kick(first, CloseCode::MOVED, "to another node"));
    back(&client, first).await;
    assert_eq!(client.status().last_loss.unwrap().code, Some(CloseCode::MOVED));
    assert!(server.kick(id(&client), CloseCode::TOKEN_INVALID, "no"));
    let state = client.statuses().wait_for(|status| matches!(status.state, State::Closed(_))).await.unwrap().state;
    assert_eq!(state, State::Closed(Closed::ByServer { code: CloseCode::TOKEN_INVALID, reason: "no".to_owned() }));
    assert_eq!(server.connections(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_publication_whose_answer_is_lost_takes_effect_once() {
    let server = TestServer::start();
    let (reader, writer) = (server.client().await.unwrap(), server.client().await.unwrap());
    let mut numbers = reader.subscribe::<u32>("numbers").await.unwrap();
    let before = id(&writer);
    assert!(server.lose_answer(before));
    let published = writer.publish("numbers", &1).await.unwrap();
    assert_eq!(published.offset, Some(1));
    assert_ne!(id(&writer), before, "it was sent again on another connection");
    writer.publish("numbers", &2).await.unwrap();
    assert_eq!((value(&mut numbers).await, value(&mut numbers).await), (1, 2));
}

#[tokio::test(start_paused = true)]
async fn a_slow_network_takes_its_time_each_way_and_keeps_the_order() {
    let server = TestServer::start();
    let client = server.client().await.unwrap();
    let mut numbers = client.subscribe::<u32>("numbers").await.unwrap();
    server.delay(SECOND, 2 * SECOND);
    let began = Instant::now();
    let publishing = client.publish("numbers", &1).into_future();
    let (published, heard) = tokio::join!(publishing, value(&mut numbers));
    assert_eq!((published.unwrap().receivers, heard), (1, 1));
    assert_eq!(began.elapsed(), 3 * SECOND);
    let _other = server.client().await.unwrap();
    assert_eq!(began.elapsed(), (3 + 3 + 2) * SECOND, "there and back, and then the welcome");

    server.publish("numbers", &2).unwrap();
    server.delay(Duration::ZERO, Duration::ZERO);
    server.publish("numbers", &3).unwrap();
    assert_eq!((value(&mut numbers).await, value(&mut numbers).await), (2, 3), "what is faster does not overtake");
    assert_eq!(began.elapsed(), 10 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn what_is_on_its_way_when_a_connection_breaks_is_lost_and_sent_again() {
    let server = TestServer::start();
    let (reader, writer) = (server.client().await.unwrap(), server.client().await.unwrap());
    let mut heard = reader.subscribe::<u32>("numbers").await.unwrap().events();
    server.delay(SECOND, SECOND);
    let publishing = tokio::spawn(writer.publish("numbers", &1).into_future());
    sleep(SECOND / 2).await;
    assert_eq!(server.history::<u32>("numbers").unwrap().len(), 0);
    server.cut_client(id(&writer));
    publishing.await.unwrap().unwrap();
    assert_eq!(server.history::<u32>("numbers").unwrap().len(), 1);
    assert!(matches!(event(&mut heard).await, Event::Message(message) if message.value == 1));
}

#[tokio::test(start_paused = true)]
async fn in_a_blackhole_nothing_arrives_and_after_it_everything_does() {
    let server = TestServer::start();
    let (reader, writer) = (server.client().await.unwrap(), server.client().await.unwrap());
    let mut numbers = reader.subscribe::<u32>("numbers").await.unwrap();
    assert!(server.blackhole_client(id(&reader)));
    writer.publish("numbers", &1).await.unwrap();
    server.blackhole();
    let writing = tokio::spawn(writer.publish("numbers", &2).into_future());
    assert!(tokio::time::timeout(5 * SECOND, value(&mut numbers)).await.is_err());
    assert_eq!(server.history::<u32>("numbers").unwrap().len(), 1);
    server.release();
    writing.await.unwrap().unwrap();
    assert_eq!((value(&mut numbers).await, value(&mut numbers).await), (1, 2));
    assert_eq!(reader.status().last_loss, None);
}

#[tokio::test(start_paused = true)]
async fn pings_find_a_blackhole_at_both_ends_and_leave_quiet_clients_in_peace() {
    let server = TestServer::with_pings(Settings::with_seed(1));
    let backoff = Backoff::new(Duration::ZERO, Duration::ZERO);
    let client = server.builder().backoff(backoff).connect().await.unwrap();
    sleep(24 * 3600 * SECOND).await;
    assert_eq!((server.connections(), client.status().last_loss), (1, None));

    let before = id(&client);
    server.blackhole();
    let began = Instant::now();
    let status = lost(&client).await;
    assert_eq!(status.last_loss.unwrap().reason, "the server fell silent");
    assert!((10 * SECOND..=35 * SECOND).contains(&began.elapsed()), "{:?}", began.elapsed());
    sleep(26 * SECOND).await;
    assert_eq!(server.connections(), 0, "the server has noticed it too");
    server.release();
    back(&client, before).await;
    assert_eq!(server.connections(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_refused_client_waits_as_the_server_says_and_one_without_permission_is_told() {
    let server = TestServer::start();
    let client = server.client().await.unwrap();
    let before = id(&client);
    server.refuse(503, Some(7 * SECOND));
    server.cut();
    let refused = |status: &Status| status.last_loss.as_ref().is_some_and(|loss| loss.reason.contains("503"));
    let status = client.statuses().wait_for(refused).await.unwrap();
    assert!(status.retry_at.unwrap() >= (Instant::now() + 7 * SECOND).into_std());
    server.refuse(401, None);
    let status = client.statuses().wait_for(|status| !refused(status)).await.unwrap();
    assert!(status.last_loss.unwrap().is_refusal);
    server.accept();
    back(&client, before).await;
}

#[tokio::test(start_paused = true)]
async fn a_user_is_shown_to_itself_and_to_others() {
    let presence = Some(PresencePolicy { events: true, grace: 20 * SECOND });
    let policy = TopicPolicy { presence, ..TopicPolicy::default() };
    let list = vec![TopicRule { pattern: "room.*".parse().unwrap(), policy }];
    let server = TestServer::with_settings(Settings { rules: TopicRules { list }, ..Settings::with_seed(1) });
    let (ada, nobody) = (server.client_of("ada").await.unwrap(), server.client().await.unwrap());
    let mut heard = nobody.subscribe::<u32>("room.7").presence().await.unwrap().events();
    let _room = ada.subscribe::<u32>("room.7").await.unwrap();
    assert_eq!(ada.status().user.as_deref(), Some("ada"));
    assert!(matches!(event(&mut heard).await, Event::Joined(member) if member.user.as_deref() == Some("ada")));
    let present = server.presence("room.7").unwrap();
    assert_eq!(present.count, 2);
    assert!(present.clients.iter().any(|present| present.user.as_deref() == Some("ada")));
    assert!(server.presence("elsewhere").is_err(), "it has no presence");
}

#[tokio::test(start_paused = true)]
async fn a_test_publishes_and_looks_without_a_client() {
    let server = TestServer::start();
    let client = server.client().await.unwrap();
    let mut of_all = client.subscribe_pattern::<u32>("numbers.*").await.unwrap();
    let mut direct = client.direct::<u32>();
    client.ping().await.unwrap();
    assert_eq!(server.publish("numbers.a", &1).unwrap().receivers, 1);
    assert_eq!(server.publish(id(&client).to_string(), &2).unwrap().receivers, 1);
    assert_eq!(server.publish("elsewhere", &3).unwrap().receivers, 0);
    assert_eq!(of_all.next().await.unwrap().unwrap().value, 1);
    assert_eq!(value(&mut direct).await, 2);
    let kept: Vec<u32> =
        server.history("numbers.a").unwrap().into_iter().map(|message| message.unwrap().value).collect();
    assert_eq!(kept, [1]);
    assert_eq!(server.subscribers("numbers.a"), [id(&client)]);
    assert_eq!(server.subscribers("elsewhere"), []);
    assert_eq!(server.connections(), 1, "the test itself is not connected");
    assert!(matches!(server.publish("numbers.a", &()), Err(PublishError::Encode(_))));
    let refused = server.publish("numbers.a".repeat(200), &1);
    assert!(matches!(refused, Err(PublishError::Refused(_))), "{refused:?}");
}

#[tokio::test(start_paused = true)]
async fn a_client_is_closed_when_more_than_a_mebibyte_is_on_its_way_to_it() {
    let server = TestServer::start();
    let client = server.client().await.unwrap();
    let _texts = client.subscribe::<String>("texts").await.unwrap();
    server.delay(Duration::ZERO, SECOND);
    let (before, text) = (id(&client), "x".repeat(60_000));
    (0..17).for_each(|_| _ = server.publish("texts", &text).unwrap());
    assert_eq!(server.subscribers("texts"), [before]);
    server.publish("texts", &text).unwrap();
    assert_eq!(server.subscribers("texts"), []);
    assert_eq!(lost(&client).await.last_loss.unwrap().code, Some(CloseCode::SLOW_CONSUMER));
    back(&client, before).await;
}
