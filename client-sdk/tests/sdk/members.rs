//! The list of members that keeps itself, against the server for tests.

use hubcast_client::testing::{PresencePolicy, Settings, TestServer, TopicPolicy, TopicRule, TopicRules};
use hubcast_client::{Client, Ended, MemberList, MemberSecret, Members, State, SubscribeError, Subscription};
use std::sync::Arc;
use std::time::Duration;

/// A server on which the topics `room.*` have presence, with a grace time of 20 seconds.
fn server() -> TestServer {
    let presence = Some(PresencePolicy { events: true, grace: Duration::from_secs(20) });
    let policy = TopicPolicy { presence, ..TopicPolicy::default() };
    let list = vec![TopicRule { pattern: "room.*".parse().unwrap(), policy }];
    TestServer::with_settings(Settings { rules: TopicRules { list }, ..Settings::with_seed(1) })
}

async fn named(server: &TestServer, name: &str) -> Client {
    server.builder().info(name).connect().await.unwrap()
}

async fn enter(client: &Client) -> Subscription<u64> {
    client.subscribe::<u64>("room.7").await.unwrap()
}

/// Waits until the list fits.
async fn until(members: &mut Members, fits: impl Fn(&MemberList) -> bool) -> Arc<MemberList> {
    loop {
        let list = members.current();
        if fits(&list) {
            return list;
        }
        members.changed().await.unwrap();
    }
}

fn names(list: &MemberList) -> Vec<&str> {
    let mut names: Vec<_> =
        list.people().filter_map(|present| present.info.as_ref()).map(|info| info.as_plain()).collect();
    names.sort_unstable();
    names
}

#[tokio::test(start_paused = true)]
async fn joins_and_leaves_are_folded_in_and_names_are_shown() {
    let server = server();
    let (ada, bob) = (named(&server, "Ada").await, named(&server, "Bob").await);
    let mut members = ada.members("room.7").await.unwrap();
    assert_eq!(names(&members.current()), ["Ada"]);
    let stay = enter(&bob).await;
    let list = until(&mut members, |list| list.count() == 2).await;
    assert_eq!(names(&list), ["Ada", "Bob"]);
    assert!(list.is_current() && list.members().iter().all(|present| present.unverified));
    drop(stay);
    until(&mut members, |list| names(list) == ["Ada"]).await;
}

#[tokio::test(start_paused = true)]
async fn two_people_who_are_cut_again_and_again_stay_two() {
    let server = server();
    let (ada, bob) = (named(&server, "Ada").await, named(&server, "Bob").await);
    let mut members = ada.members("room.7").await.unwrap();
    let mut stay = enter(&bob).await.events();
    until(&mut members, |list| list.count() == 2).await;
    for _ in 0..3 {
        server.cut();
        until(&mut members, |list| !list.is_current()).await;
        // Bob is back when his subscription is.
        while !matches!(stay.next().await, Some(Ok(hubcast_client::Event::Resumed(_)))) {}
        let list = until(&mut members, MemberList::is_current).await;
        assert_eq!((names(&list), list.count()), (vec!["Ada", "Bob"], 2));
    }
}

#[tokio::test(start_paused = true)]
async fn after_a_crash_the_list_is_that_of_the_new_server() {
    let server = server();
    let (ada, bob) = (named(&server, "Ada").await, named(&server, "Bob").await);
    let mut members = ada.members("room.7").await.unwrap();
    let stay = enter(&bob).await;
    until(&mut members, |list| list.count() == 2).await;
    server.crash();
    bob.close().await.unwrap();
    drop(stay);
    until(&mut members, |list| !list.is_current() && names(list) == ["Ada", "Bob"]).await;
    server.restart();
    let list = until(&mut members, MemberList::is_current).await;
    assert_eq!(names(&list), ["Ada"]);
}

#[tokio::test(start_paused = true)]
async fn a_program_that_keeps_its_secret_is_the_same_member_after_its_restart() {
    let server = server();
    let ada = named(&server, "Ada").await;
    let secret = ada.member_secret().expose().to_owned();
    let before = ada.anonymous_id();
    drop(ada);
    let secret = MemberSecret::new(secret).unwrap();
    let ada = server.builder().member_secret(secret).connect().await.unwrap();
    assert_eq!(ada.anonymous_id(), before);
    let members = ada.members("room.7").await.unwrap();
    assert_eq!(members.current().members()[0].anonymous, Some(before));
}

#[tokio::test(start_paused = true)]
async fn a_topic_without_presence_has_no_list() {
    let server = server();
    let ada = named(&server, "Ada").await;
    let refused = ada.members("hall").await;
    assert!(matches!(refused, Err(SubscribeError::NoPresence { topic }) if topic.as_str() == "hall"));
}

#[tokio::test(start_paused = true)]
async fn a_list_ends_with_its_client_and_says_why() {
    let server = server();
    let ada = named(&server, "Ada").await;
    let mut members = ada.members("room.7").await.unwrap();
    ada.close().await.unwrap();
    let ended = loop {
        if let Err(ended) = members.changed().await {
            break ended;
        }
    };
    assert!(matches!(ended, Ended::Closed(_)), "{ended:?}");
    assert!(matches!(ada.status().state, State::Closed(_)));
}

#[tokio::test(start_paused = true)]
async fn a_dropped_list_leaves_nothing_behind() {
    let server = server();
    let (ada, bob) = (named(&server, "Ada").await, named(&server, "Bob").await);
    let mut members = bob.members("room.7").await.unwrap();
    drop(ada.members("room.7").await.unwrap());
    until(&mut members, |list| list.count() == 1).await;
    drop((members, bob, ada));
    // The tasks of the lists held the clients; without them the clients close.
    while server.connections() > 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}
