//! Tokens: shown, renewed, refused and ended, over hours of virtual time.

use hubcast_client::testing::TestServer;
use hubcast_client::{
    Client, ClientBuilder, CloseCode, Closed, Ended, Event, GapReason, ItemError, State, TokenError, TokenReason,
};
use std::sync::{Arc, Mutex};
use std::time::Duration;

const MINUTE: Duration = Duration::from_secs(60);

/// A server that demands tokens.
fn guarded() -> TestServer {
    let server = TestServer::start();
    server.require_tokens();
    server
}

/// Why the program was asked for tokens, in order.
type Asked = Arc<Mutex<Vec<TokenReason>>>;

/// A client of Ada whose tokens last a minute each and grant this.
fn ada(server: &TestServer, grants: &'static [&'static str]) -> (ClientBuilder, Asked) {
    let (login, asked) = (server.clone(), Asked::default());
    let log = asked.clone();
    let builder = server.builder().token_from(move |reason| {
        log.lock().unwrap().push(reason);
        let token = login.make_token("ada", grants, MINUTE);
        async move { Ok(token) }
    });
    (builder, asked)
}

async fn closed(client: &Client) -> Closed {
    let status = client.statuses().wait_for(|status| matches!(status.state, State::Closed(_))).await;
    match status.unwrap_or_else(|| client.status()).state {
        State::Closed(why) => why,
        other => panic!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_token_is_renewed_in_time_for_an_hour_and_no_subscription_notices() {
    let server = guarded();
    let (builder, asked) = ada(&server, &["chat"]);
    let client = builder.connect().await.unwrap();
    assert_eq!(client.status().user.as_deref(), Some("ada"));
    let mut chat = client.subscribe::<u32>("chat").await.unwrap();
    let session = client.id();
    for number in 0..60 {
        tokio::time::sleep(MINUTE).await;
        client.publish("chat", &number).await.unwrap();
        assert_eq!(chat.next().await.unwrap().unwrap(), number);
    }
    assert_eq!(client.id(), session, "the connection is the same");
    let asked = asked.lock().unwrap();
    assert!((66..=87).contains(&asked.len()), "after 70 to 90 percent of a minute each: {}", asked.len());
    assert!(asked[1..].iter().all(|reason| *reason == TokenReason::Expiring));
}

#[tokio::test(start_paused = true)]
async fn a_program_without_a_token_for_a_while_keeps_its_connection_until_it_has_one() {
    let server = guarded();
    let login = server.clone();
    let failures = Arc::new(Mutex::new(0));
    let count = failures.clone();
    let builder = server.builder().token_from(move |reason| {
        let fails = reason == TokenReason::Expiring && *count.lock().unwrap() < 6;
        *count.lock().unwrap() += u32::from(fails);
        let token = login.make_token("ada", &["chat"], MINUTE);
        async move { if fails { Err(TokenError::failed("the backend is away")) } else { Ok(token) } }
    });
    let client = builder.connect().await.unwrap();
    let session = client.id();
    tokio::time::sleep(10 * MINUTE).await;
    client.publish("chat", "here").await.unwrap();
    assert_eq!((client.id(), *failures.lock().unwrap()), (session, 6));
}

#[tokio::test(start_paused = true)]
async fn who_is_not_allowed_any_more_is_closed_for_good_and_told_why() {
    let server = guarded();
    let login = server.clone();
    let builder = server.builder().token_from(move |reason| {
        let token = login.make_token("ada", &["chat"], MINUTE);
        async move {
            match reason {
                TokenReason::First => Ok(token),
                _ => Err(TokenError::NotAllowed("the account is closed".to_owned())),
            }
        }
    });
    let client = builder.connect().await.unwrap();
    assert_eq!(closed(&client).await, Closed::NotAllowed { reason: "the account is closed".to_owned() });
    let never = server.builder().token_from(|_| async { Err(TokenError::NotAllowed("no".to_owned())) });
    let refused = never.connect().await.unwrap_err().to_string();
    assert_eq!(refused, "not allowed: no");
}

#[tokio::test(start_paused = true)]
async fn three_fresh_tokens_that_are_refused_are_the_end() {
    let server = guarded();
    let asked = Asked::default();
    let log = asked.clone();
    let wrong = server.builder().token_from(move |reason| {
        log.lock().unwrap().push(reason);
        async { Ok("forged".to_owned()) }
    });
    let refused = wrong.connect().await.unwrap_err().to_string();
    assert!(refused.starts_with("the server refused the token: it answered 401"), "{refused}");
    assert_eq!(*asked.lock().unwrap(), [TokenReason::First, TokenReason::Refused, TokenReason::Refused]);
}

#[tokio::test(start_paused = true)]
async fn a_client_without_a_token_is_closed_and_one_of_the_test_may_do_everything() {
    let server = guarded();
    let without = server.client().await.unwrap();
    assert!(matches!(closed(&without).await, Closed::ByServer { code: CloseCode::TOKEN_REQUIRED, .. }));
    let bob = server.client_of("bob").await.unwrap();
    let mut own = bob.direct::<u32>();
    let mut news = bob.subscribe::<u32>("news").await.unwrap();
    for topic in ["news", "@bob"] {
        bob.publish(topic, &1).await.unwrap();
        server.publish(topic, &2).unwrap();
    }
    for reader in [&mut news, &mut own] {
        assert_eq!([reader.next().await.unwrap().unwrap(), reader.next().await.unwrap().unwrap()], [1, 2]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_kept_token_that_the_server_refuses_is_replaced_by_a_fresh_one() {
    let server = guarded();
    let (login, kept) = (server.clone(), server.make_token("ada", &["chat"], MINUTE));
    server.revoke_tokens();
    let builder = server.builder().token_from(move |reason| {
        let token = match reason {
            TokenReason::Refused => login.make_token("ada", &["chat"], MINUTE),
            _ => kept.clone(),
        };
        async move { Ok(token) }
    });
    let client = builder.connect().await.unwrap();
    client.publish("chat", "in").await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_program_that_hangs_is_not_waited_for_longer_than_ten_seconds() {
    let server = guarded();
    let builder = server.builder().token_from(|_| std::future::pending());
    let builder = builder.connect_timeout(Duration::from_secs(25)).attempt_timeout(Duration::from_secs(20));
    let refused = builder.connect().await.unwrap_err().to_string();
    assert!(refused.contains("the program gave no token within ten seconds"), "{refused}");
}

#[tokio::test(start_paused = true)]
async fn a_new_token_that_grants_less_ends_what_it_does_not_grant() {
    let server = guarded();
    let login = server.clone();
    let builder = server.builder().token_from(move |reason| {
        let grants: &[&str] = if reason == TokenReason::First { &["a", "b"] } else { &["a"] };
        let token = login.make_token("ada", grants, MINUTE);
        async move { Ok(token) }
    });
    let client = builder.connect().await.unwrap();
    let mut a = client.subscribe::<String>("a").await.unwrap();
    let mut b = client.subscribe::<String>("b").await.unwrap();
    assert!(matches!(b.next().await, Some(Err(ItemError::Ended(Ended::Forbidden)))));
    assert!(b.next().await.is_none());
    client.publish("a", "x").await.unwrap();
    assert_eq!(a.next().await.unwrap().unwrap(), "x");
}

#[tokio::test(start_paused = true)]
async fn who_may_not_read_the_past_goes_on_live_behind_a_gap() {
    let server = guarded();
    let token = server.make_token_for("ada", &[("subscribe", "news"), ("publish", "news")], 60 * MINUTE);
    let client = server.builder().token(&token).connect().await.unwrap();
    let mut news = client.subscribe::<u32>("news").await.unwrap().events();
    client.publish("news", &1).await.unwrap();
    assert!(matches!(news.next().await, Some(Ok(Event::Message(message))) if message.value == 1));
    server.cut_client(client.id().unwrap());
    let resumed = news.next().await;
    assert!(matches!(&resumed, Some(Ok(Event::Resumed(resumed))) if resumed.recovered), "nothing came: {resumed:?}");
    let bob = server.make_token("bob", &["news"], MINUTE);
    let bob = server.builder().token(&bob).connect().await.unwrap();
    server.cut_client(client.id().unwrap());
    bob.publish("news", &7).await.unwrap();
    let resumed = news.next().await;
    assert!(matches!(&resumed, Some(Ok(Event::Resumed(resumed))) if !resumed.recovered), "{resumed:?}");
    let gap = news.next().await;
    assert!(matches!(&gap, Some(Ok(Event::Gap(gap))) if gap.reason == GapReason::NotRecoverable), "{gap:?}");
    client.publish("news", &2).await.unwrap();
    assert!(matches!(news.next().await, Some(Ok(Event::Message(message))) if message.value == 2));
}

#[tokio::test(start_paused = true)]
async fn what_is_sent_to_a_user_reaches_it_on_each_connection_without_a_request() {
    let server = guarded();
    let (builder, _) = ada(&server, &[]);
    let clients = [builder.clone().connect().await.unwrap(), builder.connect().await.unwrap()];
    let mut inboxes = clients.each_ref().map(|client| client.direct::<String>());
    let bob = server.make_token("bob", &["@*"], MINUTE);
    let bob = server.builder().token(&bob).connect().await.unwrap();
    assert_eq!(bob.publish("@ada", "hi").await.unwrap().receivers, 2);
    for inbox in &mut inboxes {
        let message = inbox.next().await.unwrap().unwrap();
        assert_eq!(message, "hi");
    }
    assert_eq!(clients[0].user().as_deref(), Some("ada"));
}

#[tokio::test(start_paused = true)]
async fn what_is_sent_to_a_user_without_a_connection_is_a_gap_or_resumed_by_its_topic() {
    let server = guarded();
    let token = server.make_token_for("ada", &[("history", "@ada")], 60 * MINUTE);
    let ada = server.builder().token(&token).connect().await.unwrap();
    let mut direct = ada.direct::<u32>();
    let mut own = ada.subscribe::<u32>("@ada").await.unwrap();
    server.publish("@ada", &1).unwrap();
    server.cut();
    server.publish("@ada", &2).unwrap();
    ada.ping().await.unwrap();
    server.publish("@ada", &3).unwrap();
    for expected in 1..=3 {
        assert_eq!(own.next().await.unwrap().unwrap(), expected);
    }
    assert_eq!(direct.next().await.unwrap().unwrap(), 1);
    let gap = direct.next().await;
    assert!(matches!(gap, Some(Err(ItemError::Gap(_)))), "{gap:?}");
    while direct.next().await.unwrap().unwrap() != 3 {}
}

#[tokio::test(start_paused = true)]
async fn a_fixed_token_lasts_until_its_end() {
    let server = guarded();
    let token = server.make_token("ada", &["chat"], MINUTE);
    let client = server.builder().token(&token).connect().await.unwrap();
    tokio::time::sleep(MINUTE - Duration::from_millis(10)).await;
    client.publish("chat", "still here").await.unwrap();
    closed(&client).await;
}

#[tokio::test(start_paused = true)]
async fn a_publication_at_the_end_of_a_token_waits_for_the_next_one() {
    let server = guarded();
    let login = server.clone();
    let builder = server.builder().token_from(move |reason| {
        let login = login.clone();
        async move {
            if reason == TokenReason::Expiring {
                // So slow that the token before has ended.
                tokio::time::sleep(Duration::from_secs(9)).await;
            }
            Ok(login.make_token("ada", &["chat"], Duration::from_secs(10)))
        }
    });
    let client = builder.connect().await.unwrap();
    let session = client.id();
    let mut chat = client.subscribe::<u32>("chat").await.unwrap();
    for number in 0..600 {
        tokio::time::sleep(Duration::from_millis(500)).await;
        client.publish("chat", &number).await.unwrap();
        assert_eq!(chat.next().await.unwrap().unwrap(), number);
    }
    assert_eq!(client.id(), session);
}

#[tokio::test(start_paused = true)]
async fn a_fixed_token_that_ends_closes_the_client_with_a_reason() {
    let server = guarded();
    let token = server.make_token("ada", &["chat"], MINUTE);
    let client = server.builder().token(&token).connect().await.unwrap();
    let why = closed(&client).await;
    assert!(matches!(&why, Closed::NotAllowed { reason } if reason.contains("no other")), "{why}");
    assert!(!format!("{client:?} {:?}", client.status()).contains(&token));
}
