//! Topics and histories.

use super::{keep, server};
use hubcast_tests::{ApiClient, Server};
use serde_json::json;

#[test]
fn a_topic_is_found_by_its_path_and_by_its_query() {
    let server = Server::with(keep);
    let mut reader = server.typed();
    let topic = "a/b ü";
    let subscribe = json!({"id": 1, "action": "subscribe", "topic": topic});
    assert_eq!(reader.asks(subscribe)["event"], "subscribed");
    let mut api = ApiClient::open(&server, "manage");
    let published = api.posts("/api/publish", &json!({"topic": topic, "message": "x"})).body;
    let expected = json!({
        "topic": topic, "subscribers": 1, "epoch": published["epoch"], "offset": 1, "publications": 1,
    });
    for path in ["/api/topics/a%2Fb%20%C3%BC", "/api/topic?topic=a%2Fb+%C3%BC"] {
        assert_eq!(api.gets(path).body, expected, "{path}");
    }
    let unused = json!({"topic": "", "subscribers": 0, "publications": 0});
    assert_eq!(api.gets("/api/topic?topic=").body, unused);
    let listed = api.gets("/api/topics?prefix=a").body;
    assert_eq!(listed, json!({"topics": [expected]}));
    assert_eq!(api.gets("/api/topics?prefix=b").body, json!({"topics": []}));
}

#[test]
fn all_topics_come_in_pages() {
    let server = Server::with(keep);
    let mut api = ApiClient::open(&server, "manage");
    let messages: Vec<_> = (0..250).map(|number| json!({"topic": format!("t{number}"), "message": number})).collect();
    assert_eq!(api.posts("/api/publish", &json!({"messages": messages})).status(), 200);
    let (mut found, mut path) = (Vec::new(), "/api/topics?limit=20".to_owned());
    loop {
        let page = api.gets(&path).body;
        let topics = page["topics"].as_array().unwrap();
        assert!(topics.len() <= 20);
        found.extend(topics.iter().map(|topic| topic["topic"].as_str().unwrap().to_owned()));
        let Some(cursor) = page["cursor"].as_str() else { break };
        path = format!("/api/topics?limit=20&cursor={cursor}");
    }
    found.sort();
    let mut expected: Vec<_> = (0..250).map(|number| format!("t{number}")).collect();
    expected.sort();
    assert_eq!(found, expected);
}

#[test]
fn a_history_is_read_from_a_position_and_deleted() {
    let server = Server::with(keep);
    let mut api = ApiClient::open(&server, "manage");
    let messages: Vec<_> = (1..=10).map(|number| json!({"topic": "t", "message": number})).collect();
    api.posts("/api/publish", &json!({"messages": messages}));
    let all = api.gets("/api/topics/t/history").body;
    assert_eq!((&all["topic"], &all["offset"]), (&json!("t"), &json!(10)));
    let expected: Vec<_> = (1..=10).map(|number| json!({"offset": number, "message": number})).collect();
    assert_eq!(all["messages"], json!(expected));
    let epoch = all["epoch"].as_str().unwrap();
    let page = api.gets(&format!("/api/history?topic=t&since={epoch}:7&limit=2")).body;
    assert_eq!(page["messages"], json!(expected[7..9]));

    let reply = api.asks("DELETE", "/api/topics/t/history", &[], None);
    assert_eq!(reply.body, json!({"deleted": 10}));
    let left = api.gets("/api/history?topic=t").body;
    assert_eq!(left, json!({"topic": "t", "epoch": epoch, "offset": 10, "messages": []}));
    let reply = ApiClient::open(&server, "news").asks("DELETE", "/api/history?topic=news.a", &[], None);
    assert_eq!(reply.status(), 403);
}

#[test]
fn a_long_history_comes_in_parts_and_the_connection_goes_on() {
    let server = Server::with(|config| {
        keep(config);
        config.history_max_bytes = 64 << 20;
    });
    let mut api = ApiClient::open(&server, "manage");
    let message = "x".repeat(60_000);
    for _ in 0..2 {
        let messages: Vec<_> = (0..50).map(|_| json!({"topic": "t", "message": message})).collect();
        assert_eq!(api.posts("/api/publish", &json!({"messages": messages})).status(), 200);
    }
    for _ in 0..2 {
        let history = api.gets("/api/history?topic=t").body;
        let messages = history["messages"].as_array().unwrap();
        assert_eq!(messages.len(), 100);
        assert!(messages.iter().all(|entry| entry["message"] == message));
    }
    assert_eq!(api.asks("HEAD", "/api/history?topic=t", &[], None).status(), 200);
    assert_eq!(api.gets("/api/stats").status(), 200);
}

#[test]
fn a_topic_that_keeps_nothing_says_so() {
    let server = server();
    let mut api = ApiClient::open(&server, "manage");
    for (path, code) in [("/api/history?topic=t", "no_history"), ("/api/presence?topic=t", "no_presence")] {
        let reply = api.gets(path);
        assert_eq!((reply.status(), reply.code()), (404, code), "{path}");
    }
}
