//! Topics that belong to one connection.

use hubcast_tests::Server;
use serde_json::json;

#[test]
fn every_connection_hears_its_own_id_without_asking() {
    let server = Server::start();
    let (mut plain, mut typed) = (server.plain(), server.typed());
    typed.publishes(&plain.id, "to plain");
    plain.hears("to plain");
    plain.publishes(&typed.id, "to typed");
    let id = typed.id.clone();
    typed.hears_message(&id, "to typed");
    typed.publishes(&id, "to itself");
    typed.hears_message(&id, "to itself");
    typed.hears_nothing();
    plain.hears_nothing();
}

#[test]
fn nobody_subscribes_to_what_reads_as_a_uuid_but_its_owner() {
    let server = Server::start();
    let (mut intruder, owner) = (server.typed(), server.typed());
    for topic in [
        owner.id.as_str(),
        &owner.id.to_uppercase(),
        "00000000-0000-0000-0000-000000000000",
        "7f0c24f0-3ce4-4d57-9c53-3a54a5e9ee4b",
    ] {
        intruder.says(json!({"id": 1, "action": "subscribe", "topic": topic}));
        intruder.hears_error(1, "forbidden");
    }
    let reply = intruder.asks(json!({"id": 2, "action": "publish", "topic": owner.id, "message": "for the owner"}));
    assert_eq!(reply["receivers"], 1);
    intruder.hears_nothing();
}

#[test]
fn what_only_resembles_a_uuid_is_a_topic_like_any_other() {
    let server = Server::start();
    let mut peer = server.typed();
    for topic in [
        "7f0c24f03ce44d579c533a54a5e9ee4b",
        "{7f0c24f0-3ce4-4d57-9c53-3a54a5e9ee4b}",
        "7f0c24f0-3ce4-4d57-9c53-3a54a5e9ee4",
        "7f0c24f0-3ce4-4d57-9c53-3a54a5e9ee4b ",
        "7f0c24f0-3ce4-4d57-9c53-3a54a5e9ee4g",
    ] {
        peer.subscribes(topic);
        peer.publishes(topic, "heard");
        peer.hears_message(topic, "heard");
    }
}

#[test]
fn no_pattern_matches_a_private_topic() {
    let server = Server::start();
    let (mut listener, mut owner) = (server.typed(), server.typed());
    for pattern in [">", "*", &owner.id] {
        listener.subscribes_to_pattern(pattern);
    }
    let mut publisher = server.typed();
    publisher.publishes(&owner.id, "secret");
    publisher.publishes("@ada", "secret");
    publisher.publishes("@ada.dotted", "secret");
    publisher.publishes("public", "heard");
    listener.hears_message("public", "heard");
    listener.hears_nothing();
    let id = owner.id.clone();
    owner.hears_message(&id, "secret");
}

#[test]
fn a_users_topic_is_not_for_who_is_not_that_user() {
    let server = Server::start();
    let mut peer = server.typed();
    for topic in ["@ada", "@", "@ada.b"] {
        peer.says(json!({"id": 1, "action": "subscribe", "topic": topic}));
        peer.hears_error(1, "forbidden");
        let reply = peer.asks(json!({"id": 2, "action": "publish", "topic": topic}));
        assert_eq!(reply["receivers"], 0);
    }
    peer.subscribes("a@b");
}

#[test]
fn the_owner_may_leave_its_own_topic_and_come_back() {
    let server = Server::start();
    let (mut owner, mut other) = (server.typed(), server.typed());
    let id = owner.id.clone();
    owner.subscribes(&id);
    other.publishes(&id, "once");
    owner.hears_message(&id, "once");
    assert_eq!(owner.asks(json!({"id": 1, "action": "unsubscribe", "topic": id}))["event"], "unsubscribed");
    assert_eq!(other.asks(json!({"id": 2, "action": "publish", "topic": id}))["receivers"], 0);
    owner.hears_nothing();
    owner.subscribes(&id);
    other.publishes(&id, "again");
    owner.hears_message(&id, "again");
}

#[test]
fn the_id_of_who_has_gone_belongs_to_nobody() {
    let server = Server::start();
    let mut peer = server.typed();
    let mut gone = server.typed();
    let id = gone.id.clone();
    gone.socket.sends([&hubcast_tests::Frame::close(1000, "")]);
    gone.socket.hears_close(1000);
    assert_eq!(peer.asks(json!({"id": 1, "action": "publish", "topic": id}))["receivers"], 0);
    peer.says(json!({"id": 2, "action": "subscribe", "topic": id}));
    peer.hears_error(2, "forbidden");
}
