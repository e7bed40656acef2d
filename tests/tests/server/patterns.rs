//! Subscriptions with wildcards.

use hubcast_tests::{Plain, Server, Typed};
use serde_json::json;

/// The topics of `topics` whose publications a client receives that is subscribed to `patterns`, in order.
fn heard(patterns: &[&str], topics: &[&str]) -> Vec<String> {
    let server = Server::start();
    let (mut hearer, mut publisher) = (server.typed(), server.typed());
    for pattern in patterns {
        hearer.subscribes_to_pattern(pattern);
    }
    for topic in topics {
        publisher.publishes(topic, *topic);
    }
    publisher.hears_nothing();
    let end = hearer.id.clone();
    publisher.publishes(&end, "end");
    let mut heard = Vec::new();
    loop {
        let event = hearer.next_event();
        assert_eq!(event["event"], "message", "{event}");
        if event["topic"] == end.as_str() {
            return heard;
        }
        assert_eq!(event["topic"], event["message"]);
        heard.push(event["topic"].as_str().unwrap_or_default().to_owned());
    }
}

#[test]
fn a_star_is_exactly_one_token() {
    let topics = ["orders", "orders.eu", "orders.eu.created", "orders..created", "orders.eu.paid", "x.eu.created"];
    assert_eq!(heard(&["orders.*.created"], &topics), ["orders.eu.created", "orders..created"]);
    assert_eq!(heard(&["*"], &topics), ["orders"]);
    assert_eq!(heard(&["*.eu"], &topics), ["orders.eu"]);
}

#[test]
fn a_greater_than_is_one_token_or_more() {
    let topics = ["", "a", "a.b", "a.b.c", "b", "ab.c", "a."];
    assert_eq!(heard(&["a.>"], &topics), ["a.b", "a.b.c", "a."]);
    assert_eq!(heard(&[">"], &topics), topics);
    assert_eq!(heard(&["*.*.>"], &topics), ["a.b.c"]);
}

#[test]
fn a_pattern_without_wildcards_is_the_topic_of_that_name() {
    assert_eq!(heard(&["a.b"], &["a", "a.b", "a.b.c", "A.b"]), ["a.b"]);
}

#[test]
fn a_connection_gets_a_publication_once_however_many_subscriptions_match() {
    assert_eq!(heard(&["a.b", "a.*", "*.b", "a.>", ">", "*.*"], &["a.b", "c"]), ["a.b", "c"]);
    let server = Server::start();
    let mut peer = server.typed();
    peer.subscribes("a.b");
    peer.subscribes_to_pattern("a.*");
    peer.publishes("a.b", "once");
    peer.hears_message("a.b", "once");
    peer.hears_nothing();
}

#[test]
fn leaving_a_pattern_leaves_what_else_matches() {
    let server = Server::start();
    let mut peer = server.typed();
    peer.subscribes("a.b");
    peer.subscribes_to_pattern("a.*");
    peer.subscribes_to_pattern("a.>");
    for request in [
        json!({"id": 1, "action": "unsubscribe", "pattern": "a.*"}),
        json!({"id": 1, "action": "unsubscribe", "topic": "a.b"}),
    ] {
        assert_eq!(peer.asks(request)["event"], "unsubscribed");
        peer.publishes("a.b", "still");
        peer.hears_message("a.b", "still");
    }
    assert_eq!(peer.asks(json!({"id": 1, "action": "unsubscribe", "pattern": "a.>"}))["event"], "unsubscribed");
    peer.publishes("a.b", "not any more");
    peer.hears_nothing();
}

#[test]
fn a_topic_with_the_name_of_a_pattern_is_another_thing() {
    let server = Server::start();
    let mut peer = server.typed();
    peer.subscribes("a.*");
    peer.publishes("a.b", "not heard");
    peer.publishes("a.*", "heard");
    peer.hears_message("a.*", "heard");
    assert_eq!(peer.asks(json!({"id": 1, "action": "unsubscribe", "pattern": "a.*"}))["event"], "unsubscribed");
    peer.publishes("a.*", "still heard");
    peer.hears_message("a.*", "still heard");
}

#[test]
fn what_is_no_pattern_is_refused() {
    let server = Server::start();
    let mut peer = server.typed();
    for pattern in ["", ".", "a.", ".a", "a..b", "a*", "*a.b", "a.>.b", ">.", "a>", "**"] {
        peer.says(json!({"id": 1, "action": "subscribe", "pattern": pattern}));
        peer.hears_error(1, "invalid_pattern");
    }
    peer.says(json!({"id": 1, "action": "subscribe", "pattern": 1}));
    peer.hears_error(1, "invalid_request");
}

#[test]
fn plain_clients_take_patterns_too() {
    let server = Server::start();
    let (mut plain, mut typed): (Plain, Typed) = (server.plain(), server.typed());
    plain.says(json!({"action": "subscribe", "pattern": "a.*"}));
    plain.hears_nothing();
    typed.publishes("a.b", "heard");
    plain.hears("heard");
    plain.says(json!({"action": "unsubscribe", "pattern": "a.*"}));
    plain.hears_nothing();
    typed.publishes("a.b", "not heard");
    typed.hears_nothing();
    plain.hears_nothing();
    plain.says(json!({"action": "subscribe", "pattern": "a.*b"}));
    assert!(plain.socket.hears_text().starts_with("Server: "));
}
