//! Publishing one message or a batch, and what is wrong with a body.

use super::{keep, server};
use hubcast_tests::{ApiClient, Server};
use serde_json::{Value, json};

#[test]
fn a_publication_over_http_is_heard_by_subscribers() {
    let server = server();
    let mut reader = server.typed();
    reader.subscribes("world");
    let mut api = ApiClient::open(&server, "manage");
    let message = json!({"any": ["json"]});
    let reply = api.posts("/api/publish", &json!({"topic": "world", "message": message}));
    assert_eq!((reply.status(), reply.body), (200, json!({"topic": "world", "receivers": 1})));
    assert_eq!(reader.next_event()["message"], message);
    assert_eq!(reply.head.header("Cache-Control"), Some("no-store"));
    assert_eq!(reply.head.header("Content-Type"), Some("application/json"));
}

#[test]
fn a_repeated_key_takes_effect_once_wherever_it_stands() {
    let server = Server::with(keep);
    let mut api = ApiClient::open(&server, "manage");
    let publish = json!({"topic": "t", "message": "once", "key": "order-17"});
    let first = api.posts("/api/publish", &publish).body;
    assert_eq!(first["offset"], 1);
    let mut again = ApiClient::open(&server, "manage");
    let second = again.posts("/api/publish", &publish).body;
    assert_eq!((&second["offset"], &second["duplicate"]), (&json!(1), &json!(true)));
    let bare = json!({"topic": "t", "message": "once"}).to_string();
    for header in ["Idempotency-Key: order-17", "Idempotency-Key: \"order-17\""] {
        let reply = again.asks("POST", "/api/publish", &["Content-Type: application/json", header], Some(&bare));
        assert_eq!(reply.body["duplicate"], true, "{header}");
    }
    let both = ["Content-Type: application/json", "Idempotency-Key: other"];
    let reply = again.asks("POST", "/api/publish", &both, Some(&publish.to_string()));
    assert_eq!(reply.body["duplicate"], true, "the key of the message counts");
    assert_eq!(again.gets("/api/history?topic=t").body["messages"].as_array().unwrap().len(), 1);
}

#[test]
fn each_message_of_a_batch_has_its_own_outcome_in_order() {
    let server = Server::with(keep);
    let mut reader = server.typed();
    assert_eq!(reader.asks(json!({"id": 1, "action": "subscribe", "topic": "news.a"}))["event"], "subscribed");
    let mut api = ApiClient::open(&server, "news");
    let messages = json!([
        {"topic": "news.a", "message": 1},
        {"topic": "other", "message": 2},
        {"message": 3},
        7,
        {"topic": "x".repeat(2000)},
        {"topic": "news.a", "message": "y".repeat(100_000)},
        {"topic": "news.a", "message": 6, "key": "k"},
        {"topic": "news.a", "message": 6, "key": "k"},
    ]);
    let reply = api.posts("/api/publish", &json!({"messages": messages}));
    assert_eq!(reply.status(), 200);
    let results = reply.body["results"].as_array().unwrap();
    let short = |result: &Value| match result["error"]["code"].as_str() {
        Some(code) => code.to_owned(),
        None => format!("{} {}", result["offset"], result["duplicate"]),
    };
    let expected = [
        "1 null",
        "forbidden",
        "invalid_request",
        "invalid_request",
        "invalid_topic",
        "message_too_large",
        "2 null",
        "2 true",
    ];
    assert_eq!(results.iter().map(short).collect::<Vec<_>>(), expected);
    assert_eq!((1..=2).map(|_| reader.next_event()["message"].clone()).collect::<Vec<_>>(), [json!(1), json!(6)]);
}

#[test]
fn a_batch_is_refused_as_a_whole_only_for_its_shape() {
    let server = server();
    let mut api = ApiClient::open(&server, "manage");
    let message = json!({"topic": "t", "message": "x"});
    for (body, status) in [
        (json!({"messages": []}), 200),
        (json!({"messages": vec![message.clone(); 1000]}), 200),
        (json!({"messages": vec![message.clone(); 1001]}), 400),
        (json!({"messages": {"topic": "t"}}), 400),
        (json!({"messages": [message], "topic": "t"}), 400),
    ] {
        assert_eq!(api.posts("/api/publish", &body).status(), status);
    }
    let header = ["Content-Type: application/json", "Idempotency-Key: k"];
    let reply = api.asks("POST", "/api/publish", &header, Some(&json!({"messages": []}).to_string()));
    assert_eq!((reply.status(), reply.body), (200, json!({"results": []})));
}

#[test]
fn a_batch_with_a_key_takes_effect_once() {
    let server = server();
    let mut api = ApiClient::open(&server, "manage");
    let body =
        json!({"messages": [{"topic": "t"}, {"topic": "t", "key": "own"}, {"topic": "t", "message": 3}]}).to_string();
    let header = ["Content-Type: application/json", "Idempotency-Key: order-17"];
    for is_again in [false, true] {
        let reply = api.asks("POST", "/api/publish", &header, Some(&body)).body;
        let results = reply["results"].as_array().unwrap();
        assert_eq!(results.len(), 3);
        assert!(results.iter().all(|result| result["duplicate"].as_bool().unwrap_or(false) == is_again), "{reply}");
    }
}

#[test]
fn a_batch_and_the_publications_around_it_keep_their_order() {
    let server = server();
    let mut reader = server.typed();
    reader.subscribes("t");
    let mut api = ApiClient::open(&server, "manage");
    let single = |number: usize| json!({"topic": "t", "message": number});
    assert_eq!(api.posts("/api/publish", &single(0)).status(), 200);
    let batch: Vec<_> = (1..=1000).map(single).collect();
    let reply = api.posts("/api/publish", &json!({"messages": batch}));
    assert!(reply.body["results"].as_array().unwrap().iter().all(|result| result["receivers"] == 1));
    assert_eq!(api.posts("/api/publish", &single(1001)).status(), 200);
    (0..=1001).for_each(|number| assert_eq!(reader.next_event()["message"], number));
}

#[test]
fn a_body_that_is_wrong_is_named() {
    let server = server();
    let mut api = ApiClient::open(&server, "manage");
    let json_type = "Content-Type: application/json";
    for (headers, body, status, code) in [
        (&[json_type][..], "{", 400, "invalid_json"),
        (&[json_type], "", 400, "invalid_json"),
        (&[json_type], "{\"topic\":\"t\"} x", 400, "invalid_json"),
        (&[json_type], "[]", 400, "invalid_request"),
        (&[json_type], "{}", 400, "invalid_request"),
        (&[json_type], "{\"topic\":7}", 400, "invalid_request"),
        (&[json_type], "{\"topic\":\"a\",\"topic\":\"b\"}", 400, "invalid_request"),
        (&[json_type], "{\"topic\":\"t\",\"message\":[\"\\ud800\"]}", 400, "invalid_request"),
        (&["Content-Type: text/plain"], "{}", 415, "unsupported_media_type"),
        (&[], "{}", 415, "unsupported_media_type"),
        (&[json_type, "Content-Encoding: gzip"], "{}", 415, "unsupported_media_type"),
    ] {
        let reply = api.asks("POST", "/api/publish", headers, Some(body));
        assert_eq!((reply.status(), reply.code()), (status, code), "{body}: {:?}", reply.body);
        if reply.head.header("Connection") == Some("close") {
            api = ApiClient::open(&server, "manage");
        }
    }
    let deep = format!("{{\"topic\":\"t\",\"message\":{}1{}}}", "[".repeat(65), "]".repeat(65));
    assert_eq!(api.asks("POST", "/api/publish", &[json_type], Some(&deep)).code(), "invalid_request");
    let deeper = "[".repeat(100_000);
    assert_eq!(api.asks("POST", "/api/publish", &[json_type], Some(&deeper)).status(), 400);
}
