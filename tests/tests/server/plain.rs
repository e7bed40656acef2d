//! The plain dialect, exactly as the original server spoke it.

use hubcast_tests::{Frame, Plain, Server};
use serde_json::json;
use std::collections::HashSet;

const INVALID: &str = "Server: Invalid msg";
const UNRECOGNIZED: &str = "Server: Action unrecognized";

/// A server with one connection that is subscribed to `world`.
fn stage() -> (Server, Plain) {
    let server = Server::start();
    let mut peer = server.plain();
    peer.subscribes("world");
    peer.hears_nothing();
    (server, peer)
}

#[test]
fn the_welcome_carries_a_version_4_uuid_and_no_two_are_alike() {
    let server = Server::start();
    let peers: Vec<Plain> = (0..20).map(|_| server.plain()).collect();
    for id in peers.iter().map(|peer| peer.id.as_str()) {
        let groups: Vec<&str> = id.split('-').collect();
        assert_eq!(groups.iter().map(|group| group.len()).collect::<Vec<_>>(), [8, 4, 4, 4, 12], "{id}");
        assert!(id.chars().all(|digit| matches!(digit, '0'..='9' | 'a'..='f' | '-')), "{id}");
        assert!(groups[2].starts_with('4') && groups[3].starts_with(['8', '9', 'a', 'b']), "{id}");
    }
    assert_eq!(peers.iter().map(|peer| &peer.id).collect::<HashSet<_>>().len(), 20);
}

#[test]
fn a_subscriber_hears_the_bare_text_and_nothing_else() {
    let (server, mut hearer) = stage();
    let mut publisher = server.plain();
    publisher.publishes("world", "Hello world!");
    publisher.hears_nothing();
    hearer.hears("Hello world!");
    hearer.hears_nothing();
}

#[test]
fn a_publisher_hears_itself_where_it_is_subscribed() {
    let (_server, mut peer) = stage();
    peer.publishes("world", "me");
    peer.hears("me");
    peer.publishes("elsewhere", "not me");
    peer.hears_nothing();
}

#[test]
fn everyone_subscribed_hears_each_publication_once_and_in_order() {
    let (server, first) = stage();
    let mut hearers: Vec<Plain> = (0..9).map(|_| server.plain()).collect();
    for hearer in &mut hearers {
        hearer.subscribes("world");
        hearer.hears_nothing();
    }
    hearers.push(first);
    let mut publisher = server.plain();
    for number in 0..100 {
        publisher.publishes("world", &format!("message {number}"));
    }
    publisher.hears_nothing();
    for hearer in &mut hearers {
        for number in 0..100 {
            hearer.hears(&format!("message {number}"));
        }
        hearer.hears_nothing();
    }
}

#[test]
fn subscribing_twice_is_the_same_as_once() {
    let (_server, mut peer) = stage();
    peer.subscribes("world");
    peer.publishes("world", "once");
    peer.hears("once");
    peer.hears_nothing();
    peer.unsubscribes("world");
    peer.publishes("world", "gone");
    peer.hears_nothing();
}

#[test]
fn unsubscribing_ends_what_is_heard_of_that_topic_alone() {
    let (server, mut peer) = stage();
    let mut other = server.plain();
    other.subscribes("world");
    other.hears_nothing();
    peer.subscribes("moon");
    peer.unsubscribes("world");
    peer.publishes("world", "1");
    peer.publishes("moon", "2");
    peer.hears("2");
    other.hears("1");
    peer.subscribes("world");
    peer.publishes("world", "3");
    peer.hears("3");
}

#[test]
fn what_changes_nothing_is_silent() {
    let server = Server::start();
    let mut peer = server.plain();
    peer.unsubscribes("never subscribed");
    peer.publishes("nobody listens", "to this");
    peer.subscribes("a");
    peer.unsubscribes("a");
    peer.unsubscribes("a");
    peer.publishes("a", "gone");
    peer.hears_nothing();
}

#[test]
fn topics_are_compared_byte_for_byte_and_nothing_in_them_is_a_wildcard() {
    let topics = [
        "", " ", "a", "A", " a", "a ", "*", ">", "a.*", "a.b", "#", "é", "e\u{301}", "日本", "a\nb", "\0", "\"", "🦀",
        "{}",
    ];
    let server = Server::start();
    let mut peers: Vec<Plain> = topics.iter().map(|_| server.plain()).collect();
    for (peer, topic) in peers.iter_mut().zip(topics) {
        peer.subscribes(topic);
        peer.hears_nothing();
    }
    let mut publisher = server.plain();
    for topic in topics {
        publisher.publishes(topic, &format!("to {topic:?}"));
    }
    publisher.hears_nothing();
    for (peer, topic) in peers.iter_mut().zip(topics) {
        peer.hears(&format!("to {topic:?}"));
        peer.hears_nothing();
    }
}

#[test]
fn a_missing_topic_or_message_is_the_empty_one() {
    let server = Server::start();
    let mut peer = server.plain();
    peer.says(r#"{"action":"subscribe"}"#);
    peer.publishes("", "1");
    peer.hears("1");
    for request in [
        r#"{"action":"publish"}"#,
        r#"{"action":"publish","topic":null,"message":null}"#,
        r#"{"action":"publish","topic":"","message":""}"#,
    ] {
        peer.says(request);
        peer.hears("");
    }
    peer.says(r#"{"action":"unsubscribe","topic":null}"#);
    peer.publishes("", "2");
    peer.hears_nothing();
}

#[test]
fn an_action_is_trimmed_and_read_without_case() {
    let server = Server::start();
    for (subscribe, unsubscribe) in [
        ("subscribe", "unsubscribe"),
        (" Subscribe ", "UNSUBSCRIBE"),
        ("SUBSCRIBE", "\\n\\tunSubscribe\\r"),
        ("\\u00a0subscribe\\u2003", "\\u3000unsubscribe"),
        ("\\u0073ubscribe", "unsub\\u0073cribe"),
    ] {
        let mut peer = server.plain();
        peer.says(format!(r#"{{"action":"{subscribe}","topic":"t"}}"#));
        peer.says(r#"{"action":" PubLish","topic":"t","message":"heard"}"#);
        peer.hears("heard");
        peer.says(format!(r#"{{"action":"{unsubscribe}","topic":"t"}}"#));
        peer.publishes("t", "not heard");
        peer.hears_nothing();
    }
}

#[test]
fn field_names_are_read_without_case_and_the_last_of_two_counts() {
    let (_server, mut peer) = stage();
    for (number, request) in [
        r#"{"ACTION":"publish","Topic":"world","mEsSaGe":"0"}"#,
        r#"{"message":"1","topic":"world","action":"publish"}"#,
        r#"{"action":"subscribe","Action":"publish","topic":"x","topic":"world","message":"?","MESSAGE":"2"}"#,
        r#"{"act\u0069on":"publish","topic":"world","message":"3"}"#,
        " \t\r\n{ \"action\" : \"publish\" , \"topic\":\"world\",\n\"message\":\"4\" } ",
        r#"{"action":"publish","topic":"world","message":"5","message":null}"#,
    ]
    .iter()
    .enumerate()
    {
        peer.says(request);
        peer.hears(&number.to_string());
    }
    peer.hears_nothing();
}

#[test]
fn unknown_fields_may_hold_anything() {
    let (_server, mut peer) = stage();
    for value in ["1", "-1.5e300", "true", "[]", "[[[{}]]]", r#"{"action":1}"#, r#""text""#, "null"] {
        peer.says(format!(r#"{{"extra":{value},"action":"publish","":{value},"topic":"world","message":"heard"}}"#));
        peer.hears("heard");
    }
    peer.hears_nothing();
}

#[test]
fn what_is_no_request_gets_one_frame_and_the_connection_lives() {
    let (_server, mut peer) = stage();
    for text in [
        "",
        " ",
        "hello",
        "{",
        "}",
        "{}{}",
        "{'action':'subscribe'}",
        r#"{"action":"subscribe",}"#,
        r#"{"action":"publish","topic":"world","message":"cut"#,
        "[]",
        r#"["action"]"#,
        "1",
        "true",
        r#""subscribe""#,
        r#"{"action":1}"#,
        r#"{"action":["publish"]}"#,
        r#"{"action":"publish","topic":1}"#,
        r#"{"action":"publish","topic":"world","message":1}"#,
        r#"{"action":"publish","topic":"world","message":{}}"#,
        r#"{"action":"publish","topic":"world","message":[1]}"#,
        r#"{"action":"publish","topic":"world","message":true}"#,
        r#"{"action":"subscribe","topic":"x","message":0}"#,
        r#"{"action":"publish","topic":{},"message":"x"}"#,
        "{\"action\":\"a\nb\"}",
        r#"{"action":"\x"}"#,
        "\u{feff}{}",
        "nul",
        "NaN",
    ] {
        peer.says(text);
        peer.hears(INVALID);
    }
    peer.publishes("world", "alive");
    peer.hears("alive");
    peer.hears_nothing();
}

#[test]
fn an_unknown_action_gets_one_frame_and_the_connection_lives() {
    let (_server, mut peer) = stage();
    for text in [
        "{}",
        "null",
        r#"{"topic":"world"}"#,
        r#"{"action":""}"#,
        r#"{"action":" "}"#,
        r#"{"action":null}"#,
        r#"{"action":"shout"}"#,
        r#"{"action":"sub scribe","topic":"x"}"#,
        r#"{"action":"publish!","topic":"world","message":"x"}"#,
        r#"{"action":"authenticate"}"#,
    ] {
        peer.says(text);
        peer.hears(UNRECOGNIZED);
    }
    peer.publishes("world", "alive");
    peer.hears("alive");
    peer.hears_nothing();
}

#[test]
fn any_other_refusal_says_server_and_why() {
    let server = Server::with(|config| config.limits.subscriptions = 2);
    let (mut peer, other) = (server.plain(), server.plain());
    for topic in ["a", "b", "b"] {
        peer.subscribes(topic);
    }
    peer.hears_nothing();
    for request in [
        json!({"action": "subscribe", "topic": "c"}),
        json!({"action": "subscribe", "topic": other.id}),
        json!({"action": "publish", "topic": "x".repeat(1025)}),
        json!({"action": "subscribe", "topic": "x".repeat(1025)}),
        json!({"action": "history", "topic": "a"}),
        json!({"action": "presence", "topic": "a"}),
    ] {
        peer.says(&request);
        let reason = peer.socket.hears_text();
        let words = reason.strip_prefix("Server: ").unwrap_or_default();
        assert!((1..100).contains(&words.len()) && ![INVALID, UNRECOGNIZED].contains(&reason.as_str()), "{reason}");
    }
    peer.hears_nothing();
}

#[test]
fn text_arrives_as_it_was_meant_whatever_its_characters() {
    let (_server, mut peer) = stage();
    for text in [
        "",
        " ",
        "\"\\/",
        "\n\r\t\u{8}\u{c}\0\u{7f}",
        "é日本🦀",
        "e\u{301}",
        "\u{2028}</script>",
        "{\"a\":1}",
        "Server: me",
    ] {
        peer.publishes("world", text);
        peer.hears(text);
    }
    for (escaped, text) in [
        (r"\ud83e\udd80", "🦀"),
        (r"\u00e9\/", "é/"),
        (r"a\ud800b", "a\u{fffd}b"),
        (r"\udc00", "\u{fffd}"),
        (r"\ud800\ud83e\udd80", "\u{fffd}🦀"),
    ] {
        peer.says(format!(r#"{{"action":"publish","topic":"world","message":"{escaped}"}}"#));
        peer.hears(text);
    }
}

#[test]
fn long_messages_arrive_whole() {
    let (_server, mut peer) = stage();
    for length in [100, 125, 126, 127, 512, 513, 4096, 16_384, 65_000] {
        let text = "0123456789".repeat(length / 10 + 1)[..length].to_owned();
        peer.publishes("world", &text);
        peer.hears(&text);
    }
}

#[test]
fn a_binary_frame_that_holds_text_is_read_as_text() {
    let (_server, mut peer) = stage();
    let publish = r#"{"action":"publish","topic":"world","message":"é"}"#;
    peer.socket.sends([&Frame::binary(publish), &Frame::binary("{}"), &Frame::binary("no")]);
    for heard in ["é", UNRECOGNIZED, INVALID] {
        peer.hears(heard);
    }
    peer.socket.sends([&Frame::binary([0xFF])]);
    peer.socket.hears_close(1003);
}

#[test]
fn who_has_left_is_not_counted_and_comes_back_as_somebody_else() {
    let (server, mut leaver) = stage();
    let mut counter = server.typed();
    let publish = json!({"id": 1, "action": "publish", "topic": "world"});
    assert_eq!(counter.asks(&publish)["receivers"], 1);
    leaver.hears("");
    leaver.socket.sends([&Frame::close(1000, "")]);
    leaver.socket.hears_close(1000);
    assert_eq!(counter.asks(&publish)["receivers"], 0);
    let mut back = server.plain();
    assert_ne!(back.id, leaver.id);
    back.publishes("world", "anyone?");
    back.hears_nothing();
}

#[test]
fn requests_in_one_write_are_answered_in_their_order() {
    let server = Server::start();
    let mut peer = server.plain();
    let requests = [
        r#"{"action":"subscribe","topic":"t"}"#,
        r#"{"action":"publish","topic":"t","message":"1"}"#,
        "broken",
        r#"{"action":"publish","topic":"t","message":"2"}"#,
        r#"{"action":"unsubscribe","topic":"t"}"#,
        r#"{"action":"publish","topic":"t","message":"3"}"#,
        "{}",
    ]
    .map(Frame::text);
    peer.socket.sends(&requests);
    for heard in ["1", INVALID, "2", UNRECOGNIZED] {
        peer.hears(heard);
    }
    peer.hears_nothing();
}
