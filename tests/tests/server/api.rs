//! The HTTP API: publishing, reading and acting on clients, with every status.

use hubcast_hub::Permission::{History, Presence, Publish, Subscribe};
use hubcast_hub::{HistoryPolicy, Permission, PresencePolicy, Retention};
use hubcast_server::Config;
use hubcast_tests::{ApiClient, Frame, Heard, Server, key_of, with_api_key};
use serde_json::{Value, json};
use std::time::Duration;

/// A server whose key `manage` may do everything, and whose key `news` may publish and read `news.>`.
fn server() -> Server {
    Server::with(configure)
}

fn configure(config: &mut Config) {
    let all = [Publish, Subscribe, History, Presence];
    let with = |grant| all.map(|permission| (permission, grant));
    let everything: Vec<(Permission, &str)> = with(">").into_iter().chain(with("@*")).collect();
    with_api_key(config, "manage", &everything);
    with_api_key(config, "news", &with("news.>"));
}

/// Keeps histories, and presence.
fn keep(config: &mut Config) {
    configure(config);
    let history = HistoryPolicy { size: 100, ttl: Duration::from_secs(600), keep: Retention::Always };
    let policy = &mut config.rules.list[0].policy;
    policy.history = Some(history);
    policy.presence = Some(PresencePolicy { events: true, grace: Duration::ZERO });
}

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
    assert_eq!((reply.status(), reply.code()), (400, "invalid_request"));
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
    assert_eq!(reply.status(), 400);
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

#[test]
fn a_body_that_is_too_long_is_refused_before_it_is_read() {
    let server = server();
    let mut api = ApiClient::open(&server, "manage");
    let key = key_of("manage");
    let head = |more: &str| {
        format!(
            "POST /api/publish HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n\
             Authorization: Bearer {key}\r\n{more}\r\n\r\n"
        )
    };
    api.socket.writes(head("Content-Length: 5000000").as_bytes());
    let reply = api.hears("POST");
    assert_eq!((reply.status(), reply.code()), (413, "message_too_large"));
    assert_eq!(reply.head.header("Connection"), Some("close"));

    let mut api = ApiClient::open(&server, "manage");
    api.socket.writes(head("Transfer-Encoding: chunked").as_bytes());
    let chunk = format!("10000\r\n{}\r\n", "x".repeat(0x10000));
    while api.socket.try_writes(chunk.as_bytes()).is_ok() {}
    assert_eq!(api.hears("POST").status(), 413);
}

#[test]
fn a_body_that_does_not_come_in_time_is_not_waited_for() {
    let server = Server::with(|config| {
        configure(config);
        config.timeouts.head = Duration::from_millis(200);
    });
    let mut api = ApiClient::open(&server, "manage");
    let request = format!(
        "POST /api/publish HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nAuthorization: Bearer {}\r\n\
         Content-Length: 13\r\n\r\n{{\"topic\"",
        key_of("manage")
    );
    api.socket.writes(request.as_bytes());
    let reply = api.hears("POST");
    assert_eq!((reply.status(), reply.code()), (408, "timeout"));
    assert_eq!(reply.head.header("Connection"), Some("close"));
}

#[test]
fn a_server_that_shuts_down_says_when_to_try_again() {
    let mut server = Server::with(|config| {
        configure(config);
        config.timeouts.close = Duration::from_secs(600);
    });
    let mut last = server.plain();
    let mut api = ApiClient::open(&server, "manage");
    assert_eq!(api.gets("/api/stats").status(), 200);
    server.stops();
    assert!(matches!(last.socket.next_frame(), Heard::Close(1012, _)));
    let reply = api.gets("/api/stats");
    assert_eq!((reply.status(), reply.code(), reply.head.header("Retry-After")), (503, "unavailable", Some("5")));
    last.socket.sends([&Frame::close(1012, "")]);
    last.socket.hears_end();
    server.has_ended();
}

#[test]
fn a_request_that_is_being_served_is_answered_before_the_server_ends() {
    let mut server = Server::with(configure);
    let mut api = ApiClient::open(&server, "manage");
    let request = format!(
        "POST /api/publish HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nAuthorization: Bearer {}\r\n\
         Expect: 100-continue\r\nContent-Length: 13\r\n\r\n",
        key_of("manage")
    );
    api.socket.writes(request.as_bytes());
    assert_eq!(api.socket.answer().status, 100);
    server.stops();
    api.socket.writes(br#"{"topic":"t"}"#);
    assert_eq!(api.hears("POST").status(), 200);
    server.has_ended();
}

#[test]
fn a_key_is_checked_before_the_client_is_told_to_send_its_body() {
    let server = server();
    let head = |key: &str| {
        format!(
            "POST /api/publish HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nExpect: 100-continue\r\n\
             Content-Length: 13\r\nX-API-Key: {key}\r\n\r\n"
        )
    };
    let mut api = ApiClient::open(&server, "manage");
    api.socket.writes(head("hc_wrong").as_bytes());
    assert_eq!(api.hears("POST").status(), 401);

    let mut api = ApiClient::open(&server, "manage");
    api.socket.writes(head(&key_of("manage")).as_bytes());
    assert_eq!(api.socket.answer().status, 100);
    api.socket.writes(br#"{"topic":"t"}"#);
    assert_eq!(api.hears("POST").status(), 200);
}

#[test]
fn who_has_no_key_or_no_grant_learns_what_is_missing() {
    let server = server();
    let paths = ["/api/topics", "/api/topics/a", "/api/stats", "/api/clients", "/api/history?topic=a"];
    let mut nobody = ApiClient::without_key(&server);
    let mut news = ApiClient::open(&server, "news");
    for path in paths {
        let reply = nobody.gets(path);
        assert_eq!((reply.status(), reply.code()), (401, "unauthenticated"), "{path}");
        assert_eq!(reply.head.header("WWW-Authenticate"), Some("Bearer"));
        let reply = news.gets(path);
        assert_eq!((reply.status(), reply.code()), (403, "forbidden"), "{path}");
    }
    for (path, body) in [
        ("/api/publish", json!({"topic": "other"})),
        ("/api/disconnect", json!({"user": "ada"})),
        ("/api/subscribe", json!({"user": "ada", "topic": "a"})),
        ("/api/unsubscribe", json!({"user": "ada", "topic": "a"})),
    ] {
        assert_eq!(ApiClient::open(&server, "news").posts(path, &body).status(), 403, "{path}");
    }
    let open = Server::start();
    let reply = ApiClient::open(&open, "manage").gets("/api/stats");
    assert_eq!((reply.status(), reply.code()), (403, "forbidden"));
    assert!(reply.body["error"]["reason"].as_str().unwrap().contains("hubcast key"), "{reply:?}");
}

#[test]
fn after_twenty_wrong_keys_an_address_waits_and_a_right_key_does_not() {
    let server = server();
    let mut wrong = ApiClient::open(&server, "unknown");
    for _ in 0..20 {
        assert_eq!(wrong.gets("/api/stats").status(), 401);
    }
    let reply = wrong.gets("/api/stats");
    assert_eq!((reply.status(), reply.code()), (429, "rate_limited"));
    assert!(reply.head.header("Retry-After").is_some());
    assert_eq!(ApiClient::open(&server, "manage").gets("/api/stats").status(), 200);
}

#[test]
fn each_path_says_which_methods_it_has() {
    let server = server();
    let mut api = ApiClient::open(&server, "manage");
    for (method, path, status, allow) in [
        ("GET", "/api/publish", 405, Some("POST")),
        ("TRACE", "/api/stats", 405, Some("GET, HEAD")),
        ("PUT", "/api/history?topic=a", 405, Some("GET, HEAD, DELETE")),
        ("GET", "/api/nowhere", 404, None),
        ("POST", "/api/stats/", 404, None),
        ("GET", "/api", 404, None),
        ("HEAD", "/api/stats", 200, None),
    ] {
        let reply = api.asks(method, path, &[], None);
        assert_eq!((reply.status(), reply.head.header("Allow")), (status, allow), "{method} {path}");
        assert!(reply.head.header("Connection").is_none(), "{method} {path}");
    }
}

#[test]
fn a_query_parameter_that_is_misspelt_or_wrong_is_refused() {
    let server = server();
    let mut api = ApiClient::open(&server, "manage");
    for path in [
        "/api/topics?limt=1",
        "/api/topics?limit=0",
        "/api/topics?limit=1001",
        "/api/topics?limit=x",
        "/api/topics?cursor=x",
        "/api/topics?limit=1&limit=2",
        "/api/history?topic=a&since=1",
        "/api/history?topic=a&since=e:x",
        "/api/history?topic=a&since=e:9007199254740993",
        "/api/history",
        "/api/topics/a?topic=b",
        "/api/topics/%FF",
        "/api/clients/7f0c",
        "/api/stats?x=y",
    ] {
        let reply = api.gets(path);
        assert_eq!((reply.status(), reply.code()), (400, "invalid_request"), "{path}");
    }
    let long = format!("/api/topic?topic={}", "x".repeat(2000));
    assert_eq!(api.gets(&long).code(), "invalid_topic");
}

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

#[test]
fn clients_are_seen_and_no_caller_of_the_api_is_one() {
    let server = Server::with(keep);
    let mut api = ApiClient::open(&server, "manage");
    assert_eq!(api.gets("/api/clients").body["clients"], json!([]));
    let mut peers = [server.typed(), server.typed()];
    assert_eq!(peers[0].asks(json!({"id": 1, "action": "subscribe", "topic": "room"}))["event"], "subscribed");
    let id = peers[0].id.clone();
    let listed = api.gets("/api/clients").body;
    assert_eq!(listed["clients"].as_array().unwrap().len(), 2);
    let one = api.gets(&format!("/api/clients/{id}")).body;
    assert_eq!((&one["client"], &one["subscriptions"]), (&json!(id), &json!(1)));
    assert!(one["subscribed"].as_array().unwrap().contains(&json!({"topic": "room"})), "{one}");
    let presence = api.gets("/api/topics/room/presence").body;
    assert_eq!((&presence["count"], &presence["clients"][0]["client"]), (&json!(1), &json!(id)));
    let reply = api.gets("/api/clients/00000000-0000-4000-8000-000000000000");
    assert_eq!((reply.status(), reply.code()), (404, "no_such_client"));
}

#[test]
fn an_operator_subscribes_unsubscribes_and_disconnects_a_client() {
    let server = server();
    let mut api = ApiClient::open(&server, "manage");
    let mut peer = server.typed();
    let id = peer.id.clone();
    let about = json!({"client": id, "topic": "given"});
    assert_eq!(api.posts("/api/subscribe", &about).body, json!({"subscribed": 1}));
    assert_eq!(peer.next_event()["event"], "subscribed");
    assert_eq!(api.posts("/api/publish", &json!({"topic": "given", "message": "x"})).body["receivers"], 1);
    assert_eq!(peer.next_event()["message"], "x");
    assert_eq!(api.posts("/api/subscribe", &about).body, json!({"subscribed": 0}), "it is already");
    assert_eq!(api.posts("/api/unsubscribe", &about).body, json!({"unsubscribed": 1}));
    let ended = peer.next_event();
    assert_eq!((&ended["event"], &ended["reason"]), (&json!("unsubscribed"), &json!("operator")));
    let pattern = json!({"client": id, "pattern": "a.*"});
    assert_eq!(api.posts("/api/subscribe", &pattern).body, json!({"subscribed": 1}));
    assert_eq!(peer.next_event()["pattern"], "a.*");
    assert_eq!(api.posts("/api/disconnect", &json!({"client": id})).body, json!({"disconnected": 1}));
    let closing = peer.next_event();
    assert_eq!((&closing["event"], &closing["code"]), (&json!("closing"), &json!(4502)));
    peer.socket.hears_close_at_last(4502);
    assert_eq!(api.posts("/api/disconnect", &json!({"client": id})).body, json!({"disconnected": 0}));
    for body in
        [json!({}), json!({"client": id, "user": "ada"}), json!({"client": "x"}), json!({"client": id, "code": 1})]
    {
        assert_eq!(api.posts("/api/disconnect", &body).code(), "invalid_request", "{body}");
    }
}

#[test]
fn what_one_worker_does_reaches_clients_of_all_others() {
    let server = Server::with(|config| {
        configure(config);
        config.workers = Some(3);
    });
    let mut peers: Vec<_> = (0..6).map(|_| server.typed()).collect();
    peers.iter_mut().for_each(|peer| peer.subscribes("t"));
    let mut callers: Vec<_> = (0..3).map(|_| ApiClient::open(&server, "manage")).collect();
    for (number, api) in callers.iter_mut().enumerate() {
        assert_eq!(api.posts("/api/publish", &json!({"topic": "t", "message": number})).body["receivers"], 6);
    }
    for peer in &mut peers {
        (0..3).for_each(|number| assert_eq!(peer.next_event()["message"], number));
    }
    for (number, peer) in peers.iter_mut().enumerate() {
        let reply = callers[number % 3].posts("/api/disconnect", &json!({"client": peer.id, "code": 4004}));
        assert_eq!(reply.body, json!({"disconnected": 1}));
        peer.socket.hears_close_at_last(4004);
    }
}

#[test]
fn callers_that_go_away_leave_nothing() {
    let server = server();
    let sessions = |api: &mut ApiClient| api.gets("/api/stats").body["sessions"].as_u64().unwrap();
    let mut api = ApiClient::open(&server, "manage");
    assert_eq!(sessions(&mut api), 0, "nothing needed one yet");
    let request = format!(
        "POST /api/publish HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nAuthorization: Bearer {}\r\n\
         Content-Length: 13\r\n\r\n{{\"topic\":\"t\"}}",
        key_of("manage")
    );
    for number in 0..50 {
        let mut gone = server.socket();
        gone.writes(request.as_bytes());
        if number % 2 == 0 {
            gone.resets();
        }
    }
    // Those that were not reset have published; the others may have.
    while api.gets("/api/stats").body["publications"].as_u64() < Some(25) || sessions(&mut api) > 0 {}
    let mut other = ApiClient::open(&server, "news");
    assert_eq!(other.posts("/api/publish", &json!({"topic": "news.a"})).status(), 200);
    assert_eq!(sessions(&mut api), 1);
    drop(other);
    while sessions(&mut api) > 0 {}
}

#[test]
fn one_connection_may_carry_the_requests_of_several_keys() {
    let server = server();
    let mut api = ApiClient::without_key(&server);
    let keys = ["manage", "news", "manage", "news"].map(|id| format!("X-API-Key: {}", key_of(id)));
    for (number, key) in keys.iter().enumerate() {
        let headers = ["Content-Type: application/json", key];
        let reply = api.asks("POST", "/api/publish", &headers, Some(r#"{"topic":"other"}"#));
        assert_eq!(reply.status(), if number % 2 == 0 { 200 } else { 403 });
    }
}

#[test]
fn requests_that_come_together_are_answered_in_order() {
    let server = server();
    let mut reader = server.typed();
    reader.subscribes("t");
    let mut api = ApiClient::open(&server, "manage");
    let requests: String = (0..100)
        .map(|number| {
            let body = json!({"topic": "t", "message": number}).to_string();
            let (key, length) = (key_of("manage"), body.len());
            format!(
                "POST /api/publish HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n\
                 Authorization: Bearer {key}\r\nContent-Length: {length}\r\n\r\n{body}"
            )
        })
        .collect();
    api.socket.writes(requests.as_bytes());
    (0..100).for_each(|_| assert_eq!(api.hears("POST").body["receivers"], 1));
    (0..100).for_each(|number| assert_eq!(reader.next_event()["message"], number));
}

#[test]
fn a_user_can_be_refused_until_a_time_and_a_client_cannot() {
    let server = server();
    let mut api = ApiClient::open(&server, "manage");
    let user = json!({"user": "ada", "until": 9_000_000_000_u64});
    assert_eq!(api.posts("/api/disconnect", &user).body, json!({"disconnected": 0}));
    assert_eq!(api.posts("/api/disconnect", &json!({"user": "ada", "until": 1.0, "code": 4004.0})).status(), 200);
    for until in [json!(-1), json!(0.5), json!(9_007_199_254_740_992_u64), json!("1")] {
        assert_eq!(api.posts("/api/disconnect", &json!({"user": "ada", "until": until})).status(), 400, "{until}");
    }
    let client = json!({"client": server.typed().id, "until": 9_000_000_000_u64});
    assert_eq!(api.posts("/api/disconnect", &client).code(), "invalid_request");
}

#[test]
fn the_examples_of_the_description_are_answered_as_it_says() {
    let server = Server::with(keep);
    let mut peer = server.typed();
    let mut api = ApiClient::open(&server, "manage");
    assert_eq!(api.posts("/api/publish", &json!({"topic": "world", "message": "Hello"})).status(), 200);
    let mut reply = ApiClient::without_key(&server).gets("/api/openapi.json");
    assert_eq!((reply.status(), &reply.body["openapi"]), (200, &json!("3.1.0")));
    let description = reply.body.take();
    let resolve = |value: &Value| match value["$ref"].as_str() {
        Some(place) => description.pointer(place.trim_start_matches('#')).expect("a place").clone(),
        None => value.clone(),
    };
    let id = peer.id.clone();
    for (path, methods) in description["paths"].as_object().expect("paths") {
        for (method, operation) in methods.as_object().expect("methods") {
            let parameters = operation["parameters"].as_array().into_iter().flatten().map(resolve);
            let (mut path, mut query) = (path.replace("{id}", &id), Vec::new());
            for parameter in parameters {
                let (name, example) = (parameter["name"].as_str().expect("a name"), parameter["example"].as_str());
                match (parameter["in"].as_str(), example) {
                    (Some("path"), Some(example)) => path = path.replace(&format!("{{{name}}}"), example),
                    (Some("query"), Some(example)) => query.push(format!("{name}={example}")),
                    _ => {}
                }
            }
            if !query.is_empty() {
                path = format!("{path}?{}", query.join("&"));
            }
            let examples = &operation["requestBody"]["content"]["application/json"]["examples"];
            let bodies: Vec<_> = examples.as_object().into_iter().flat_map(|examples| examples.values()).collect();
            let answers: Vec<_> = match &bodies[..] {
                [] => vec![api.asks(&method.to_uppercase(), &path, &[], None)],
                bodies => bodies.iter().map(|body| api.posts(&path, &body["value"])).collect(),
            };
            let shown = &operation["responses"]["200"]["content"]["application/json"]["example"];
            let names = |value: &Value| value.as_object().map(|fields| fields.keys().cloned().collect::<Vec<_>>());
            for answer in answers {
                assert_eq!(answer.status(), 200, "{method} {path}: {:?}", answer.body);
                // A batch has results, and a client without a token has no user.
                if !path.contains("publish")
                    && !path.contains("client")
                    && !shown.is_null()
                    && !path.contains("topics?")
                {
                    assert_eq!(names(&answer.body), names(shown), "{method} {path}");
                }
            }
        }
    }
    assert_eq!(peer.asks(json!({"id": 1, "action": "ping"}))["event"], "pong");
}

#[test]
fn an_operator_sees_who_is_slow() {
    let server = Server::with(|config| {
        configure(config);
        config.workers = Some(2);
        config.timeouts.write = Duration::from_secs(600);
    });
    let mut slow = [server.narrow_socket(), server.narrow_socket()].map(hubcast_tests::Typed::open);
    let quick = [server.plain(), server.plain()];
    let mut api = ApiClient::open(&server, "manage");
    assert_eq!(api.gets("/api/clients?slow=true").body["clients"], json!([]));
    for peer in &mut slow {
        peer.says(json!({"action": "subscribe", "topic": "t", "slow": "drop"}));
        assert_eq!(peer.next_event()["event"], "subscribed");
    }
    let messages: Vec<_> = (0..60).map(|_| json!({"topic": "t", "message": "x".repeat(60_000)})).collect();
    while api.gets("/api/clients?slow=true").body["clients"].as_array().unwrap().len() < 2 {
        assert_eq!(api.posts("/api/publish", &json!({"messages": messages})).status(), 200);
    }
    let listed = api.gets("/api/clients?slow=1").body;
    for client in listed["clients"].as_array().unwrap() {
        assert!(slow.iter().any(|peer| client["client"] == *peer.id), "{client}");
        assert!(client["waiting_bytes"].as_u64() > Some(100_000) && client["dialect"] == "typed", "{client}");
    }
    let all = api.gets("/api/clients").body;
    let dialects = all["clients"].as_array().unwrap().iter().map(|client| client["dialect"].as_str().unwrap());
    assert_eq!(dialects.filter(|dialect| *dialect == "plain").count(), quick.len());
    let one = api.gets(&format!("/api/clients/{}", slow[0].id)).body;
    assert!(one["address"].as_str().unwrap().starts_with("127.0.0.1:"), "{one}");
}
