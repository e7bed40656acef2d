//! Tokens of the client at a server that verifies them.

use super::{as_usual, event, is_cut_off, program};
use hubcast_client::{
    Backoff, Client, ClientBuilder, CloseCode, Closed, ConnectError, Ended, Event, ItemError, State, Status,
    TokenError, TokenReason,
};
use hubcast_tests::{Proxy, SECRET, Server, signed, token, unix_now, with_tokens};
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Why the program was asked for tokens.
type Asked = Arc<Mutex<Vec<TokenReason>>>;

/// A client whose tokens a function makes of the number of the question.
fn client(
    url: &str,
    make: impl Fn(usize) -> Result<String, TokenError> + Send + Sync + 'static,
) -> (ClientBuilder, Asked) {
    let asked = Asked::default();
    let log = asked.clone();
    let builder = Client::builder(url).backoff(Backoff::new(Duration::from_millis(10), Duration::from_millis(50)));
    let builder = builder.token_from(move |reason| {
        let mut asked = log.lock().unwrap();
        asked.push(reason);
        let given = make(asked.len());
        async { given }
    });
    (builder, asked)
}

/// A server with the default rules that demands tokens.
fn guarded_server() -> Server {
    Server::with(|config| {
        as_usual(config);
        with_tokens(config);
    })
}

/// The claims of Ada that grant everything about these topics, for so many seconds.
fn ada(topics: &[&str], seconds: u64) -> Value {
    let now = unix_now();
    json!({"sub": "ada", "iat": now, "exp": now + seconds, "subscribe": topics, "publish": topics, "history": topics})
}

fn signed_here(claims: &Value) -> String {
    signed(claims, SECRET)
}

#[test]
fn tokens_are_renewed_on_the_connection_and_no_publication_is_refused() {
    let server = guarded_server();
    program(async {
        let (builder, asked) = client(&server.url(), |_| Ok(signed_here(&ada(&["news"], 3))));
        let client = builder.connect().await.unwrap();
        let session = client.id();
        let mut news = client.subscribe::<u32>("news").await.unwrap();
        let mut number = 0;
        while asked.lock().unwrap().len() < 4 {
            client.publish("news", &number).await.unwrap();
            assert_eq!(news.next().await.unwrap().unwrap(), number);
            number += 1;
        }
        assert_eq!((client.id(), client.user().as_deref()), (session, Some("ada")));
        assert!(asked.lock().unwrap()[1..].iter().all(|reason| *reason == TokenReason::Expiring));
    });
}

#[test]
fn what_is_published_after_the_end_of_a_token_waits_for_the_next_one() {
    let server = guarded_server();
    program(async {
        // The backend is away for the first question after the end.
        let (builder, asked) = client(&server.url(), |number| match number {
            2 => Err(TokenError::failed("away")),
            _ => Ok(signed_here(&ada(&["news"], 2 + number as u64 / 3 * 60))),
        });
        let client = builder.connect().await.unwrap();
        let session = client.id();
        let mut number = 0;
        while asked.lock().unwrap().len() < 3 {
            client.publish("news", &number).await.unwrap();
            number += 1;
        }
        client.publish("news", "in the time of the next token").await.unwrap();
        assert_eq!(client.id(), session);
    });
}

#[test]
fn a_forged_token_is_refused_in_words_that_help() {
    let server = guarded_server();
    program(async {
        let (builder, asked) =
            client(&server.url(), |_| Ok(signed(&ada(&[], 60), "another secret that is long enough")));
        let refused = builder.connect().await.unwrap_err();
        let ConnectError::Closed(Closed::TokenRefused { reason }) = refused else { panic!("{refused:?}") };
        assert!(reason.contains("401 Unauthorized: the token's signature is wrong"), "{reason}");
        assert_eq!(*asked.lock().unwrap(), [TokenReason::First, TokenReason::Refused, TokenReason::Refused]);
        let without = Client::connect(&server.url()).await.unwrap();
        let closed = |status: &Status| matches!(status.state, State::Closed(_));
        without.statuses().wait_for(closed).await.unwrap();
        let State::Closed(why) = without.status().state else { panic!("it is closed") };
        assert!(matches!(&why, Closed::ByServer { code: CloseCode::TOKEN_REQUIRED, .. }), "{why}");
    });
}

#[test]
fn a_subscription_ends_or_goes_on_behind_a_gap_as_the_next_token_grants() {
    let server = guarded_server();
    let proxy = Proxy::to(&server);
    program(async {
        let (builder, _) = client(&proxy.url(), |number| match number {
            1 => Ok(signed_here(&ada(&["a", "b"], 2))),
            // No history, and not b.
            _ => Ok(token("ada", json!({"subscribe": ["a"], "publish": ["a"]}))),
        });
        let client = builder.connect().await.unwrap();
        let mut a = client.subscribe::<u32>("a").await.unwrap().events();
        let mut b = client.subscribe::<u32>("b").await.unwrap();
        client.publish("a", &1).await.unwrap();
        assert!(matches!(event(&mut a).await, Event::Message(message) if message.value == 1));
        let end = b.next().await;
        assert!(matches!(end, Some(Err(ItemError::Ended(Ended::Forbidden)))), "{end:?}");
        let bob = token("bob", json!({"publish": ["a"]}));
        let bob = Client::builder(&server.url()).token(&bob).connect().await.unwrap();
        proxy.leads_nowhere();
        proxy.cuts_all();
        is_cut_off(&client).await;
        bob.publish("a", &2).await.unwrap();
        proxy.leads_to(&server);
        assert!(matches!(event(&mut a).await, Event::Resumed(resumed) if !resumed.recovered));
        let gap = event(&mut a).await;
        assert!(matches!(&gap, Event::Gap(gap) if (gap.from, gap.to) == (Some(2), Some(2))), "{gap:?}");
        bob.publish("a", &3).await.unwrap();
        assert!(matches!(event(&mut a).await, Event::Message(message) if message.value == 3));
    });
}
