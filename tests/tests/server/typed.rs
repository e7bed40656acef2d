//! The typed dialect: one JSON object in each frame, and a reply to every request with an id.

use hubcast_tests::{Frame, Heard, Server};
use serde_json::{Value, json};

#[test]
fn the_welcome_says_who_one_is_and_what_one_may() {
    let server = Server::with(|config| {
        (config.messages.message, config.messages.frame) = (5000, 5000);
        config.limits.topic = 77;
        config.limits.subscriptions = 5;
    });
    let peer = server.typed();
    let expected = json!({
        "event": "welcome",
        "client": peer.id,
        "server": concat!("hubcast/", env!("CARGO_PKG_VERSION")),
        "ping": 25_000,
        "limits": {"message": 5000, "topic": 77, "subscriptions": 5},
    });
    assert_eq!(peer.welcome, expected);
}

#[test]
fn each_request_with_an_id_gets_one_reply_that_carries_it() {
    let server = Server::start();
    let mut peer = server.typed();
    for (request, reply) in [
        (json!({"id": 1, "action": "subscribe", "topic": "t"}), json!({"event": "subscribed", "id": 1, "topic": "t"})),
        (
            json!({"id": 2, "action": "subscribe", "pattern": "a.*"}),
            json!({"event": "subscribed", "id": 2, "pattern": "a.*"}),
        ),
        (
            json!({"id": "three", "action": "publish", "topic": "x", "message": 1}),
            json!({"event": "published", "id": "three", "topic": "x", "receivers": 0}),
        ),
        (
            json!({"id": 4, "action": "unsubscribe", "topic": "t"}),
            json!({"event": "unsubscribed", "id": 4, "topic": "t"}),
        ),
        (
            json!({"id": 5, "action": "unsubscribe", "pattern": "a.*"}),
            json!({"event": "unsubscribed", "id": 5, "pattern": "a.*"}),
        ),
        (
            json!({"id": 6, "action": "unsubscribe", "topic": "never"}),
            json!({"event": "unsubscribed", "id": 6, "topic": "never"}),
        ),
        (json!({"id": 7, "action": "ping"}), json!({"event": "pong", "id": 7})),
    ] {
        assert_eq!(peer.asks(&request), reply, "to {request}");
    }
    peer.hears_nothing();
}

#[test]
fn without_an_id_only_errors_and_the_ends_of_subscriptions_come_back() {
    let server = Server::start();
    let mut peer = server.typed();
    peer.says(json!({"action": "subscribe", "topic": "t"}));
    peer.hears(json!({"event": "subscribed", "topic": "t"}));
    peer.says(json!({"action": "publish", "topic": "elsewhere"}));
    peer.says(json!({"action": "ping"}));
    peer.says(json!({"action": "unsubscribe", "topic": "t"}));
    peer.hears(json!({"event": "unsubscribed", "topic": "t"}));
    peer.says("oh");
    peer.hears_error(Value::Null, "invalid_json");
    peer.hears_nothing();
}

#[test]
fn ids_come_back_as_they_were_within_their_bounds() {
    let server = Server::start();
    let mut peer = server.typed();
    for id in [json!(0), json!(9_007_199_254_740_992_u64), json!(""), json!("é\"\\\n"), json!("x".repeat(64))] {
        assert_eq!(peer.asks(json!({"id": id, "action": "ping"})), json!({"event": "pong", "id": id}));
    }
    for id in ["9007199254740993", "-1", "1.5", "true", "[]", "{}", &format!("\"{}\"", "x".repeat(65))] {
        peer.says(format!(r#"{{"id":{id},"action":"ping"}}"#));
        peer.hears_error(Value::Null, "invalid_request");
    }
    peer.says(r#"{"id":null,"action":"ping"}"#);
    peer.hears_nothing();
}

#[test]
fn each_fault_has_its_code_and_the_connection_lives() {
    let server = Server::start();
    let mut peer = server.typed();
    let owned = server.typed().id;
    for (request, code) in [
        (json!({"id": 1}), "invalid_request"),
        (json!({"id": 1, "action": 5}), "invalid_request"),
        (json!({"id": 1, "action": "shout"}), "unknown_action"),
        (json!({"id": 1, "action": "subscribe"}), "invalid_request"),
        (json!({"id": 1, "action": "publish", "message": "x"}), "invalid_request"),
        (json!({"id": 1, "action": "subscribe", "topic": 1}), "invalid_request"),
        (json!({"id": 1, "action": "subscribe", "topic": "a", "pattern": "a"}), "invalid_request"),
        (json!({"id": 1, "action": "subscribe", "topic": "a", "slow": "never"}), "invalid_request"),
        (json!({"id": 1, "action": "subscribe", "topic": "a", "last": -1}), "invalid_request"),
        (json!({"id": 1, "action": "subscribe", "topic": "a", "recover": 1}), "invalid_request"),
        (json!({"id": 1, "action": "publish", "topic": "a", "echo": "no"}), "invalid_request"),
        (json!({"id": 1, "action": "publish", "topic": "a", "key": "k".repeat(257)}), "invalid_request"),
        (json!({"id": 1, "action": "publish", "topic": "a", "producer": "p".repeat(16)}), "invalid_request"),
        (json!({"id": 1, "action": "subscribe", "topic": "a", "recover": ["x", 1]}), "invalid_request"),
        (json!({"id": 1, "action": "subscribe", "pattern": "a.*", "recover": {"a.b": ["x", 1]}}), "invalid_request"),
        (json!({"id": 1, "action": "history", "topic": "a", "since": ["x", 1]}), "invalid_request"),
        (json!({"id": 1, "action": "publish", "topic": "a", "pattern": "a"}), "invalid_request"),
        (json!({"id": 1, "action": "history", "topic": "a", "pattern": "a"}), "invalid_request"),
        (json!({"id": 1, "action": "presence", "topic": "a", "pattern": "a"}), "invalid_request"),
        (json!({"id": 1, "action": "publish", "topic": "x".repeat(1025)}), "invalid_topic"),
        (json!({"id": 1, "action": "unsubscribe", "topic": "x".repeat(1025)}), "invalid_topic"),
        (json!({"id": 1, "action": "unsubscribe", "pattern": "x".repeat(1025)}), "invalid_pattern"),
        (json!({"id": 1, "action": "subscribe", "topic": "x".repeat(1025)}), "invalid_topic"),
        (json!({"id": 1, "action": "subscribe", "pattern": "x".repeat(1025)}), "invalid_pattern"),
        (json!({"id": 1, "action": "subscribe", "pattern": "a*"}), "invalid_pattern"),
        (json!({"id": 1, "action": "subscribe", "topic": owned}), "forbidden"),
        (json!({"id": 1, "action": "history", "topic": "a"}), "no_history"),
        (json!({"id": 1, "action": "presence", "topic": "a"}), "no_presence"),
    ] {
        peer.says(&request);
        peer.hears_error(1, code);
    }
    for (text, code) in [
        ("", "invalid_json"),
        ("{", "invalid_json"),
        ("[]", "invalid_request"),
        (r#"{"action":"history","topic":"a"}"#, "invalid_request"),
    ] {
        peer.says(text);
        peer.hears_error(Value::Null, code);
    }
    peer.hears_nothing();
}

#[test]
fn a_topic_of_exactly_the_limit_is_taken() {
    let server = Server::start();
    let mut peer = server.typed();
    // Each character has two bytes. The limit counts bytes.
    let topic = "é".repeat(512);
    peer.subscribes(&topic);
    peer.publishes(&topic, "heard");
    peer.hears_message(&topic, "heard");
}

#[test]
fn one_subscription_too_many_is_refused_until_another_ends() {
    let server = Server::with(|config| config.limits.subscriptions = 2);
    let mut peer = server.typed();
    let own = peer.id.clone();
    peer.subscribes("a");
    peer.subscribes_to_pattern("b.*");
    peer.subscribes("a");
    peer.subscribes(&own);
    for request in [
        json!({"id": 3, "action": "subscribe", "topic": "c"}),
        json!({"id": 3, "action": "subscribe", "pattern": "c.*"}),
    ] {
        peer.says(request);
        peer.hears_error(3, "limit_exceeded");
    }
    peer.says(json!({"id": 4, "action": "unsubscribe", "pattern": "b.*"}));
    peer.hears(json!({"event": "unsubscribed", "id": 4, "pattern": "b.*"}));
    peer.subscribes("c");
}

#[test]
fn a_message_is_any_json_and_keeps_every_digit() {
    let server = Server::start();
    let (mut hearer, mut publisher) = (server.typed(), server.typed());
    hearer.subscribes("t");
    for json in [
        "1.000000000000000000001",
        "123456789012345678901234567890",
        "1e400",
        r#"{ "b" : [1, null] , "a":{} }"#,
        "true",
        "[]",
    ] {
        publisher.says(format!(r#"{{"action":"publish","topic":"t","message":{json}}}"#));
        hearer.socket.hears(&Heard::Text(format!(r#"{{"event":"message","topic":"t","message":{json}}}"#)));
    }
    for absent in
        [json!({"action": "publish", "topic": "t"}), json!({"action": "publish", "topic": "t", "message": null})]
    {
        publisher.says(absent);
        hearer.hears_message("t", "");
    }
}

#[test]
fn nesting_is_bounded_and_what_is_refused_reaches_nobody() {
    let server = Server::start();
    let mut peer = server.typed();
    peer.subscribes("t");
    let nested = |depth| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    let publish = |depth| format!(r#"{{"id":1,"action":"publish","topic":"t","message":{}}}"#, nested(depth));
    peer.says(publish(65));
    peer.hears_error(1, "invalid_request");
    peer.says(publish(30_000));
    peer.hears_error(1, "invalid_request");
    peer.says("[".repeat(60_000));
    peer.hears_error(Value::Null, "invalid_json");
    peer.says(publish(64));
    assert_eq!(peer.next_event()["event"], "message");
    assert_eq!(peer.next_event()["event"], "published");
}

#[test]
fn receivers_counts_those_who_were_handed_the_publication() {
    let server = Server::start();
    let (mut publisher, mut typed, mut plain) = (server.typed(), server.typed(), server.plain());
    typed.subscribes("t");
    plain.subscribes("t");
    plain.hears_nothing();
    publisher.subscribes("t");
    publisher.says(json!({"id": 1, "action": "publish", "topic": "t", "message": "a"}));
    publisher.hears_message("t", "a");
    publisher.hears(json!({"event": "published", "id": 1, "topic": "t", "receivers": 3}));
    let reply = publisher.asks(json!({"id": 2, "action": "publish", "topic": "t", "message": "b", "echo": false}));
    assert_eq!(reply, json!({"event": "published", "id": 2, "topic": "t", "receivers": 2}));
    for message in ["a", "b"] {
        typed.hears_message("t", message);
        plain.hears(message);
    }
}

#[test]
fn both_dialects_hear_each_other() {
    let server = Server::start();
    let (mut typed, mut plain) = (server.typed(), server.plain());
    typed.subscribes("t");
    plain.subscribes("t");
    plain.hears_nothing();
    plain.publishes("t", "from \"plain\"");
    typed.hears_message("t", "from \"plain\"");
    plain.hears("from \"plain\"");
    for (message, text) in
        [(json!("é\n"), "é\n"), (json!({"a": [1, "x"]}), r#"{"a":[1,"x"]}"#), (json!(7), "7"), (json!(false), "false")]
    {
        typed.publishes("t", message.clone());
        typed.hears_message("t", message);
        plain.hears(text);
    }
}

#[test]
fn the_reply_to_a_subscribe_comes_before_the_first_message() {
    let server = Server::start();
    let (mut hearer, mut publisher) = (server.typed(), server.typed());
    let requests = [
        json!({"id": 1, "action": "subscribe", "topic": "t"}),
        json!({"id": 2, "action": "publish", "topic": "t", "message": "own"}),
    ];
    hearer.socket.sends(&requests.map(|request| Frame::text(request.to_string())));
    assert_eq!(hearer.next_event()["event"], "subscribed");
    hearer.hears_message("t", "own");
    assert_eq!(hearer.next_event()["event"], "published");
    publisher.publishes("t", "other");
    hearer.hears_message("t", "other");
}

#[test]
fn a_topic_without_history_cannot_be_resumed_and_says_so() {
    let server = Server::start();
    let mut peer = server.typed();
    let recover = json!({"epoch": "k3Jx9a", "offset": 41});
    let reply = peer.asks(json!({"id": 1, "action": "subscribe", "topic": "t", "recover": recover}));
    assert_eq!((&reply["event"], &reply["recovered"]), (&json!("subscribed"), &json!(false)), "{reply}");
    assert_eq!((&reply["epoch"], &reply["offset"]), (&Value::Null, &Value::Null), "{reply}");
}

#[test]
fn a_binary_frame_is_refused() {
    let server = Server::start();
    let mut peer = server.typed();
    peer.socket.sends([&Frame::binary(r#"{"id":1,"action":"ping"}"#)]);
    peer.socket.hears_close(1003);
}
