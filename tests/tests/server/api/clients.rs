//! Seeing clients, and acting on them.

use super::{configure, keep, server};
use hubcast_tests::{ApiClient, Server};
use serde_json::json;
use std::time::Duration;

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
