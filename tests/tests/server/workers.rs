//! Several workers: connections are assigned to them in turn, and a client cannot see which worker it is on.

use hubcast_hub::{PresencePolicy, TopicPolicy};
use hubcast_server::Config;
use hubcast_tests::{Frame, Handshake, Plain, Server, Socket, Typed};
use serde_json::json;
use std::net::TcpListener;
use std::time::Duration;

/// Runs a scene once with two and once with three workers.
fn with_workers(scene: impl Fn(Server)) {
    with_workers_and(|_| {}, scene);
}

/// Like [`with_workers`], with a changed configuration.
fn with_workers_and(change: impl Fn(&mut Config), scene: impl Fn(Server)) {
    for workers in [2, 3] {
        scene(Server::with(|config| {
            config.workers = Some(workers);
            change(config);
        }));
    }
}

#[test]
fn everyone_hears_everything_once_and_in_the_same_order() {
    with_workers(|server| {
        let mut peers: Vec<Plain> = (0..7).map(|_| server.plain()).collect();
        for peer in &mut peers {
            peer.subscribes("t");
            peer.hears_nothing();
        }
        for number in 0..100 {
            for (name, peer) in peers.iter_mut().enumerate() {
                peer.publishes("t", &format!("{name} {number}"));
            }
        }
        let heard: Vec<Vec<String>> =
            peers.iter_mut().map(|peer| (0..700).map(|_| peer.socket.hears_text()).collect()).collect();
        for peer in &mut peers {
            peer.hears_nothing();
        }
        for name in 0..7 {
            let of_one = heard[0].iter().filter_map(|text| text.strip_prefix(&format!("{name} ")));
            assert!(of_one.eq((0..100).map(|number| number.to_string())), "the messages of {name}");
        }
        for (name, theirs) in heard.iter().enumerate() {
            assert!(*theirs == heard[0], "{name} heard another order than 0");
        }
    });
}

#[test]
fn a_subscription_counts_from_its_reply_on() {
    with_workers(|server| {
        let mut publisher = server.typed();
        let publish = json!({"id": 1, "action": "publish", "topic": "t", "message": "x", "echo": false});
        let mut hearers = Vec::new();
        for already in 0..6 {
            assert_eq!(publisher.asks(&publish)["receivers"], already);
            let mut hearer = server.typed();
            hearer.subscribes("t");
            hearers.push(hearer);
        }
        for (already, mut hearer) in hearers.into_iter().enumerate() {
            for _ in already + 1..6 {
                hearer.hears_message("t", "x");
            }
            hearer.hears_nothing();
            hearer.socket.sends([&Frame::close(1000, "")]);
            hearer.socket.hears_close(1000);
        }
        assert_eq!(publisher.asks(&publish)["receivers"], 0);
    });
}

#[test]
fn a_request_is_answered_in_order_between_what_others_publish() {
    with_workers(|server| {
        let (mut hearer, mut publisher) = (server.typed(), server.typed());
        for round in 0..50 {
            hearer.subscribes("t");
            assert_eq!(publisher.asks(json!({"id": round, "action": "publish", "topic": "t"}))["receivers"], 1);
            let reply = hearer.asks(json!({"id": 1, "action": "unsubscribe", "topic": "t"}));
            // A publication before the unsubscribe comes before its reply.
            assert_eq!(reply["event"], "message");
            assert_eq!(hearer.next_event()["event"], "unsubscribed");
            assert_eq!(publisher.asks(json!({"id": round, "action": "publish", "topic": "t"}))["receivers"], 0);
        }
        hearer.hears_nothing();
    });
}

#[test]
fn direct_messages_and_patterns_reach_every_worker() {
    with_workers(|server| {
        let mut peers: Vec<Typed> = (0..6).map(|_| server.typed()).collect();
        for peer in &mut peers {
            peer.subscribes_to_pattern("news.*");
        }
        let mut publisher = server.plain();
        for peer in &peers {
            publisher.publishes(&peer.id, "for you");
        }
        publisher.publishes("news.today", "for all");
        publisher.hears_nothing();
        for peer in &mut peers {
            let id = peer.id.clone();
            peer.hears_message(&id, "for you");
            peer.hears_message("news.today", "for all");
            peer.hears_nothing();
        }
    });
}

#[test]
fn who_comes_and_goes_is_announced_on_every_worker_between_what_is_published() {
    let presence = Some(PresencePolicy { events: true, grace: Duration::ZERO });
    let policy = TopicPolicy { history: None, presence, ..TopicPolicy::default() };
    let change = |config: &mut Config| config.rules.list[0].policy = policy.clone();
    with_workers_and(change, |server| {
        let watch = json!({"id": 1, "action": "subscribe", "topic": "t", "presence": true});
        let (mut guest, mut plain) = (server.typed(), server.plain());
        plain.says(&watch);
        plain.hears_nothing();
        let mut watchers: Vec<Typed> = Vec::new();
        for _ in 0..6 {
            let mut watcher = server.typed();
            assert_eq!(watcher.asks(&watch)["event"], "subscribed");
            let joined = json!({"event": "join", "topic": "t", "client": watcher.id});
            watchers.iter_mut().for_each(|earlier| earlier.hears(joined.clone()));
            watchers.push(watcher);
        }
        let publish = |text: &str| json!({"action": "publish", "topic": "t", "message": text, "echo": false});
        let comes = json!({"action": "subscribe", "topic": "t"});
        let goes = json!({"action": "unsubscribe", "topic": "t"});
        for (what, request) in [("join", comes), ("leave", goes)] {
            // All of these may be in one turn. A client that joined and left in the same turn would not be announced.
            let at_once = [publish("before"), request, publish("after")];
            guest.socket.sends(&at_once.map(|request| Frame::text(request.to_string())));
            for watcher in &mut watchers {
                watcher.hears_message("t", "before");
                watcher.hears(json!({"event": what, "topic": "t", "client": guest.id}));
                watcher.hears_message("t", "after");
                watcher.hears_nothing();
            }
        }
        for text in ["before", "after", "before", "after"] {
            plain.hears(text);
        }
        plain.hears_nothing();
    });
}

#[test]
fn a_slow_reader_is_closed_whoever_publishes() {
    for workers in [2, 3] {
        let mut server = Server::with(|config| {
            config.workers = Some(workers);
            (config.drain.spread, config.drain.deadline) = (Duration::from_secs(600), Duration::from_secs(600));
        });
        let mut publishers: Vec<Typed> = (0..workers).map(|_| server.typed()).collect();
        let publish = json!({"id": 1, "action": "publish", "topic": "t", "message": "x".repeat(60_000)});
        for publisher in &mut publishers {
            let mut slow: Vec<Plain> = (0..workers).map(|_| Plain::open(server.narrow_socket())).collect();
            for peer in &mut slow {
                peer.subscribes("t");
                peer.hears_nothing();
            }
            while publisher.asks(&publish)["receivers"] != 0 {}
            for mut peer in slow {
                peer.socket.hears_close_at_last(4002);
            }
        }
        // At a stop each worker closes its oldest connection at once and the others later. Each publisher is closed at
        // once, so each is on a worker of its own. So each had slow readers on its own worker and on every other.
        server.stops();
        for publisher in &mut publishers {
            assert_eq!(publisher.next_event()["event"], "closing");
        }
    }
}

#[test]
fn all_workers_send_their_connections_away() {
    with_workers(|mut server| {
        let mut peers: Vec<Typed> = (0..7).map(|_| server.typed()).collect();
        server.stops();
        for peer in &mut peers {
            assert_eq!(peer.next_event()["event"], "closing");
            peer.socket.hears_close_at_last(1012);
        }
        drop(peers);
        server.has_ended();
    });
}

#[test]
fn several_listeners_are_one_server() {
    let listeners = ["127.0.0.1:0", "127.0.0.1:0"].map(|address| TcpListener::bind(address).unwrap());
    let other = listeners[1].local_addr().unwrap();
    let server = Server::on(listeners, |config| {
        config.workers = Some(2);
        config.max_connections = 4;
    });
    let mut peers: Vec<_> =
        [server.address(), other, server.address(), other].map(|address| Plain::open(Socket::connect(address))).into();
    for peer in &mut peers {
        peer.subscribes("t");
        peer.hears_nothing();
    }
    peers[1].publishes("t", "to everybody");
    for peer in &mut peers {
        assert_eq!(peer.socket.hears_text(), "to everybody");
    }
    for address in [server.address(), other] {
        let answer = Socket::connect(address).asks(&Handshake::default().request("GET /socket HTTP/1.1"));
        assert_eq!(answer.status, 503, "they have one limit of connections");
    }
    drop(peers);
}
