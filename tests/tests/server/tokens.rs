//! Tokens: who gets in by each of the four places, what is granted, and when that ends.

use hubcast_hub::Permission::{History, Publish, Subscribe};
use hubcast_hub::{TopicPolicy, UserLimits};
use hubcast_server::Config;
use hubcast_tests::{
    ApiClient, EventReader, Place, SECRET, Server, Typed, show, signed, token, unix_now, with_api_key, with_tokens,
};
use serde_json::{Value, json};
use std::env;
use std::fs;
use std::iter;
use std::time::Duration;

fn server() -> Server {
    Server::with(with_tokens)
}

/// Shows a right token in its header.
#[track_caller]
fn enter(server: &Server, user: &str, claims: Value) -> Typed {
    show(server, &token(user, claims), Place::Header).expect("a right token")
}

/// How a subscription, a publication, a presence question and a history question of a topic end, by their codes.
#[track_caller]
fn tries(client: &mut Typed, topic: &str) -> [bool; 4] {
    ["subscribe", "publish", "presence", "history"].map(|action| {
        let answer = client.asks(json!({"id": action, "action": action, "topic": topic, "message": 1}));
        if answer["event"] == "message" {
            // The echo comes before the reply.
            client.next_event();
        }
        answer["code"] != "forbidden"
    })
}

#[test]
fn a_right_token_gets_in_by_each_place() {
    let server = server();
    for place in Place::ALL {
        let mut client = show(&server, &token("ada", json!({"subscribe": ["news"]})), place).expect("a right token");
        let is_known_at_once = place != Place::FirstFrame;
        assert_eq!(client.welcome["user"], if is_known_at_once { json!("ada") } else { Value::Null }, "{place:?}");
        client.subscribes("news");
        client.says(json!({"id": 2, "action": "subscribe", "topic": "other"}));
        client.hears_error(2, "forbidden");
    }
}

#[test]
fn a_wrong_token_gets_in_by_no_place_and_its_claims_are_not_told() {
    let server = server();
    let claims = json!({"sub": "canary-user", "exp": unix_now() + 600, "subscribe": [">"]});
    let right = signed(&claims, SECRET);
    let (head, signature) = right.rsplit_once('.').expect("a token has three parts");
    let mut bodies = head.split('.');
    let (header, body) = (bodies.next().expect("a header"), bodies.next().expect("claims"));
    let without = |claim: &str| {
        let mut claims = claims.clone();
        claims.as_object_mut().expect("an object").remove(claim);
        signed(&claims, SECRET)
    };
    let with = |claim: &str, value: Value| {
        let mut claims = claims.clone();
        claims[claim] = value;
        signed(&claims, SECRET)
    };
    let wrong = [
        signed(&claims, "another secret that is also long enough"),
        format!("{head}."),
        format!("{head}.{}", &signature[1..]),
        format!("{head}.{signature}.{signature}"),
        format!("eyJhbGciOiJub25lIn0.{body}."),
        format!("{header}..{signature}"),
        "canary-user".to_owned(),
        "..".to_owned(),
        without("exp"),
        without("sub"),
        with("exp", json!(unix_now() - 3600)),
        with("exp", json!("canary-user")),
        with("exp", json!(unix_now() + 400 * 86_400)),
        with("nbf", json!(unix_now() + 3600)),
        with("sub", json!("")),
        with("sub", json!(["canary-user"])),
        with("subscribe", json!("canary-user")),
        with("subscribe", json!(["canary-user..>"])),
        with("info", json!("canary-user".repeat(1_000))),
    ];
    for place in Place::ALL {
        for token in &wrong {
            let (status, told) = show(&server, token, place).expect_err(token);
            let expected: &[u16] = if place == Place::FirstFrame { &[4500, 4501, 4001] } else { &[401] };
            assert!(expected.contains(&status), "{place:?} {status} {told}: {token}");
            assert!(!told.contains("canary") && !told.contains(body) && !told.is_empty(), "{place:?}: {told}");
        }
    }
    // None of this has hurt.
    show(&server, &right, Place::Subprotocol).expect("a right token").hears_nothing();
}

#[test]
fn whatever_a_user_is_called_its_grants_open_only_its_own_topics() {
    let server = server();
    let grants = json!(["own.{user}", "own.{user}.>"]);
    let claims = json!({"subscribe": grants, "publish": grants, "presence": grants, "history": grants});
    for user in ["*", "{user}", "", "a\nb"] {
        assert!(show(&server, &token(user, claims.clone()), Place::Header).is_err(), "{user}");
    }
    for user in [">", "a.b", "@x", "own", "%2E", "**", "ada"] {
        let mut client = enter(&server, user, claims.clone());
        for topic in ["own.bob", "own.bob.a", "own", "own.a", "@bob", "other", "own.own.x.y.bob"] {
            let is_own = topic == format!("own.{user}") || topic.starts_with(&format!("own.{user}."));
            assert_eq!(tries(&mut client, topic), [is_own; 4], "{user} {topic}");
        }
        for pattern in [">", "own.>", "own.*", "*.bob", "own.b*"] {
            let answer = client.asks(json!({"id": 1, "action": "subscribe", "pattern": pattern}));
            assert_eq!(answer["event"], "error", "{user} {pattern}: {answer}");
        }
        client.hears_nothing();
    }
    let mut ada = enter(&server, "ada", claims);
    assert_eq!(tries(&mut ada, "own.ada"), [true; 4]);
}

#[test]
fn a_new_token_ends_what_it_does_not_grant() {
    let server = server();
    let mut client = enter(&server, "ada", json!({"subscribe": ["a", "b.>"]}));
    client.subscribes("a");
    client.subscribes_to_pattern("b.*");
    let next = token("ada", json!({"subscribe": ["a"]}));
    client.says(json!({"id": 9, "action": "authenticate", "token": next}));
    client.hears(json!({"event": "unsubscribed", "pattern": "b.*", "reason": "forbidden"}));
    let authenticated = client.next_event();
    assert_eq!((&authenticated["event"], &authenticated["id"]), (&json!("authenticated"), &json!(9)));
    let mut api = enter(&server, "bob", json!({"publish": [">"]}));
    api.publishes("b.c", 1);
    api.publishes("a", 2);
    client.hears_message("a", 2);
    // Another user cannot take over the connection, and a wrong token does not end it. A token is verified once a second,
    // however often one is sent.
    let others = json!({"id": 10, "action": "authenticate", "token": token("bob", json!({}))});
    let mut refusals = iter::repeat_with(|| client.asks(&others)["code"].clone());
    assert_eq!(refusals.find(|code| code != "rate_limited"), Some(json!("token_invalid")));
    client.hears_nothing();
}

#[test]
fn a_private_topic_reaches_all_connections_of_its_user_and_nobody_else() {
    let server = Server::with(|config| {
        with_tokens(config);
        with_api_key(config, "backend", &[(Publish, "@*")]);
    });
    let [mut first, mut second] = [0, 1].map(|_| enter(&server, "ada", json!({})));
    let mut bob = enter(&server, "bob", json!({"subscribe": [">"], "publish": [">"]}));
    assert_eq!(tries(&mut bob, "@ada"), [false; 4]);
    bob.subscribes_to_pattern(">");
    let reply = ApiClient::open(&server, "backend").posts("/api/publish", &json!({"topic": "@ada", "message": 7}));
    assert_eq!((reply.status(), &reply.body["receivers"]), (200, &json!(2)));
    for client in [&mut first, &mut second] {
        let heard = client.next_event();
        assert_eq!((&heard["topic"], &heard["message"]), (&json!("@ada"), &json!(7)));
    }
    bob.hears_nothing();
}

#[test]
fn who_was_sent_away_stays_away_over_a_restart() {
    let folder = env::temp_dir().join(format!("hubcast-sent-away-{}", std::process::id()));
    let with_state = |config: &mut Config| {
        with_tokens(config);
        with_api_key(config, "manage", &[]);
        config.state_dir = Some(folder.clone());
    };
    let mut first = Server::with(with_state);
    let mut ada = enter(&first, "ada", json!({}));
    let mut api = ApiClient::open(&first, "manage");
    let reply = api.posts("/api/disconnect", &json!({"user": "ada", "until": unix_now() + 600}));
    assert_eq!((reply.status(), &reply.body), (200, &json!({"disconnected": 1})));
    ada.socket.hears_close_at_last(4502);
    let is_refused = |server: &Server| show(server, &token("ada", json!({})), Place::Header).is_err();
    assert!(is_refused(&first));
    enter(&first, "bob", json!({}));
    drop(api);
    first.stops();
    drop(first);
    let second = Server::with(with_state);
    assert!(is_refused(&second));
    let mut api = ApiClient::open(&second, "manage");
    api.posts("/api/disconnect", &json!({"user": "ada", "until": 1}));
    enter(&second, "ada", json!({}));
    drop((api, second));
    fs::remove_dir_all(folder).expect("the folder of the test");
}

#[test]
fn a_user_has_its_limits_on_all_connections_together() {
    let server = Server::with(|config| {
        with_tokens(config);
        let limits = UserLimits { connections: Some(2), subscriptions: Some(3), publications_per_second: Some(4) };
        config.admission.each_user = limits;
    });
    let claims = json!({"subscribe": [">"], "publish": [">"]});
    let [mut first, mut second] = [0, 1].map(|_| enter(&server, "ada", claims.clone()));
    let third = show(&server, &token("ada", json!({})), Place::Header);
    third.expect("the handshake is made").socket.hears_close_at_last(1013);
    first.subscribes("a");
    first.subscribes("b");
    second.subscribes("a");
    second.says(json!({"id": 1, "action": "subscribe", "topic": "c"}));
    second.hears_error(1, "limit_exceeded");
    let refused = (0..6).filter(|number| {
        let client = if number % 2 == 0 { &mut first } else { &mut second };
        client.asks(json!({"id": 2, "action": "publish", "topic": "x", "message": 1}))["code"] == "rate_limited"
    });
    assert_eq!(refused.count(), 2);
    let mut bob = enter(&server, "bob", claims);
    bob.subscribes("c");
    assert_eq!(bob.asks(json!({"id": 2, "action": "publish", "topic": "x", "message": 1}))["event"], "published");
}

#[test]
fn a_reader_of_events_hears_what_its_token_grants() {
    let server = Server::with(|config| {
        with_tokens(config);
        config.rules.list[0].policy.history = TopicPolicy::default().history;
        with_api_key(config, "backend", &[(Publish, ">"), (Subscribe, ">"), (History, ">")]);
    });
    let bearer = |claims| format!("Authorization: Bearer {}", token("ada", claims));
    let status = |query: &str, lines: &[&str]| {
        let head = EventReader::open(&server, query, lines).head;
        head.split(' ').nth(1).map(str::to_owned)
    };
    let reads = bearer(json!({"subscribe": ["news"], "history": ["news"]}));
    assert_eq!(status("topic=news", &[]).as_deref(), Some("401"));
    assert_eq!(status("topic=news", &["Authorization: Bearer a.b.c"]).as_deref(), Some("401"));
    assert_eq!(status("topic=other", &[&reads]).as_deref(), Some("403"));
    assert_eq!(status("topic=news&topic=other", &[&reads]).as_deref(), Some("403"));
    let no_history = bearer(json!({"subscribe": ["news"]}));
    assert_eq!(status("topic=news&last=3", &[&no_history]).as_deref(), Some("403"));
    let mut reader = EventReader::open(&server, "topic=news", &[&reads]);
    let mut by_query =
        EventReader::open(&server, &format!("topic=news&token={}", token("bob", json!({"subscribe": ["news"]}))), &[]);
    let reply = ApiClient::open(&server, "backend").posts("/api/publish", &json!({"topic": "news", "message": 7}));
    assert_eq!(reply.body["receivers"], 2);
    for reader in [&mut reader, &mut by_query] {
        let heard = &reader.take(2)[1].data;
        assert!(heard.contains('7'), "{heard}");
    }
}

#[test]
fn who_shows_no_token_can_do_nothing_and_goes_in_time() {
    let server = Server::with(|config| {
        with_tokens(config);
        config.admission.authenticate_within = Duration::from_millis(300);
    });
    let mut silent = server.typed();
    silent.socket.hears_close_at_last(4501);
    let mut eager = server.typed();
    eager.says(json!({"id": 1, "action": "subscribe", "topic": "a"}));
    eager.socket.hears_close_at_last(4501);
}
