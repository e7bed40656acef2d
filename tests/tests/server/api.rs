//! The HTTP API: its keys, its routes and its description.
//!
//! - `publishing`: one message or a batch, and what is wrong with a body
//! - `reading`: topics and histories
//! - `clients`: seeing clients, and acting on them
//! - `connections`: bodies, order, sessions, and the end of the server

mod clients;
mod connections;
mod publishing;
mod reading;

use hubcast_hub::Permission::{History, Presence, Publish, Subscribe};
use hubcast_hub::{HistoryPolicy, Permission, PresencePolicy, Retention};
use hubcast_server::Config;
use hubcast_tests::{ApiClient, Server, with_api_key};
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
