//! A program that is told by HTTP who comes and goes.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

mod receiver;

use hubcast_server::hooks::{Dropped, EventKind, Hook, HookLimits};
use hubcast_server::{Config, Server as Bound};
use hubcast_tests::{Frame, Handshake, Server, Socket, Typed};
use receiver::{Does, HookReceiver, Request};
use serde_json::{Value, json};
use std::collections::{HashMap, HashSet};
use std::net::TcpListener;
use std::thread;
use std::time::Duration;

fn with(hooks: Vec<Hook>) -> Server {
    Server::with(|config| config.hooks = hooks)
}

/// Has one client subscribe to so many topics.
fn causes(server: &Server, subscriptions: usize) {
    let mut peer = server.typed();
    for first in (0..subscriptions).step_by(500) {
        let some = first..subscriptions.min(first + 500);
        for number in some.clone() {
            peer.says(json!({"action": "subscribe", "topic": format!("t{number}")}));
        }
        some.for_each(|_| assert_eq!(peer.next_event()["event"], "subscribed"));
    }
}

fn of_kinds(hook: Hook, kinds: &[EventKind]) -> Hook {
    Hook { events: Some(kinds.to_vec()), ..hook }
}

/// Checks what a receiver got: a repeated id has the same bytes, and the numbers of the confirmed batches add up with
/// what they say is missing. Returns the events in their order, each once.
#[track_caller]
fn adds_up(requests: &[Request]) -> (Vec<Value>, u64) {
    let (mut bodies, mut events, mut confirmed, mut missing) = (HashMap::new(), Vec::new(), 0, 0);
    for request in requests {
        let is_new = match bodies.get(&request.id) {
            Some(before) => {
                assert_eq!(*before, &request.body, "the same id, and other bytes");
                false
            }
            None => bodies.insert(&request.id, &request.body).is_none(),
        };
        let (dropped, batch) = request.read();
        assert!(batch.len() <= 100 && request.body.len() <= 256 * 1024);
        let seqs: Vec<_> = batch.iter().map(|event| event["seq"].as_u64().unwrap()).collect();
        if is_new {
            let before: Option<u64> = events.last().map(|event: &Value| event["seq"].as_u64().unwrap());
            assert!(seqs.is_sorted() && before.is_none_or(|before| before < seqs[0]), "in order: {before:?}, {seqs:?}");
            events.extend(batch);
        }
        if request.is_confirmed {
            let last = *seqs.last().unwrap();
            assert_eq!(last - confirmed, seqs.len() as u64 + dropped, "{confirmed}, {dropped}, {seqs:?}");
            (confirmed, missing) = (last, missing + dropped);
        }
    }
    (events, missing)
}

#[test]
fn what_happens_is_told_in_order() {
    let mut receiver = HookReceiver::start();
    let mut server = with(vec![receiver.hook("me")]);
    receiver.hears_event("server.started");
    let mut peer = server.typed();
    peer.subscribes("orders");
    let connected = receiver.hears_event("client.connected");
    let client = &connected["client"];
    let subscribed = receiver.hears_event("topic.subscribed");
    assert_eq!((&subscribed["client"], &subscribed["topic"]), (client, &json!("orders")));
    assert_eq!(receiver.hears_event("topic.occupied")["topic"], "orders");
    peer.subscribes_to_pattern("orders.*");
    assert_eq!(receiver.hears_event("topic.subscribed")["pattern"], "orders.*");
    peer.socket.sends([&Frame::close(4321, "")]);
    assert_eq!(receiver.hears_event("topic.unsubscribed")["topic"], "orders");
    assert_eq!(receiver.hears_event("topic.unsubscribed")["pattern"], "orders.*");
    let gone = receiver.hears_event("client.disconnected");
    assert_eq!((&gone["client"], &gone["code"], &gone["seconds"]), (client, &json!(4321), &json!(0)));
    assert!(gone.get("reason").is_none(), "a client's reason is not passed on: {gone}");
    assert_eq!(receiver.hears_event("topic.vacant")["topic"], "orders");
    let _other = server.typed();
    server.stops();
    receiver.hears_event("server.draining");
    receiver.hears_event("client.connected");
    let gone = receiver.hears_event("client.disconnected");
    assert_eq!((&gone["code"], &gone["reason"]), (&json!(1012), &json!("restarting")));
}

#[test]
fn the_trace_of_a_handshake_is_passed_on_with_what_its_client_does() {
    let mut receiver = HookReceiver::start();
    let server = with(vec![receiver.hook("me")]);
    receiver.hears_event("server.started");
    let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let mut socket = server.socket();
    let handshake = Handshake::default().with("Sec-WebSocket-Protocol: hubcast.v1");
    assert_eq!(socket.asks(&handshake.with(&format!("traceparent: {trace}"))).status, 101);
    socket.sends([&Frame::text(r#"{"action": "subscribe", "topic": "orders"}"#), &Frame::close(1000, "")]);
    let kinds = ["client.connected", "topic.subscribed", "topic.occupied", "topic.unsubscribed", "client.disconnected"];
    for kind in kinds {
        let event = receiver.hears_event(kind);
        let of_client = (kind != "topic.occupied").then(|| json!(trace));
        assert_eq!(event.get("traceparent"), of_client.as_ref(), "{event}");
    }
    assert_eq!(receiver.hears_event("topic.vacant")["topic"], "orders");
    // The next connection may get the number of that one, and not its trace.
    let _other = server.typed();
    assert!(receiver.hears_event("client.connected").get("traceparent").is_none());
}

#[test]
fn a_client_that_is_lost_and_back_is_not_told() {
    let mut receiver = HookReceiver::start();
    let server = with(vec![receiver.hook("me")]);
    let secret = "0123456789abcdefghijkl";
    let enter = || {
        let mut peer = server.typed();
        peer.asks(json!({"id": 1, "action": "identify", "secret": secret}));
        peer.subscribes("room");
        peer
    };
    let first = enter();
    receiver.hears_event("server.started");
    let connected = receiver.hears_event("client.connected");
    assert!(connected["anonymous"].is_string(), "{connected}");
    receiver.hears_event("topic.subscribed");
    receiver.hears_event("topic.occupied");
    let lose = |mut peer: Typed| {
        peer.socket.ends_writing();
        peer.socket.hears_end();
    };
    lose(first);
    for _ in 0..20 {
        lose(enter());
    }
    let mut last = enter();
    last.asks(json!({"action": "unsubscribe", "topic": "room"}));
    let left = receiver.hears_event("topic.unsubscribed");
    assert_eq!(left["client"], connected["client"], "it goes on under the id that was told first");
    assert_eq!(receiver.hears_event("topic.vacant")["topic"], "room");
    lose(last);
    let gone = receiver.hears_event("client.disconnected");
    assert_eq!((&gone["client"], &gone["code"]), (&connected["client"], &json!(1006)));
}

#[test]
fn ten_thousand_events_arrive_in_order_at_a_receiver_that_fails_by_chance() {
    let mut chance = 7_u64;
    let receiver = HookReceiver::that(move |_| {
        chance = chance.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        match chance >> 59 {
            0 => Does::Answers(500, String::new()),
            1 => Does::Cuts,
            2 => Does::Answers(307, "Location: /canary\r\n".to_owned()),
            _ => Does::takes(),
        }
    });
    let hook = of_kinds(receiver.hook("me"), &[EventKind::TopicSubscribed]);
    let limits = HookLimits { events: 20_000, ..HookLimits::default() };
    let server =
        Server::with(|config| (config.hooks, config.limits.subscriptions) = (vec![Hook { limits, ..hook }], 20_000));
    causes(&server, 10_000);
    let mut requests = Vec::new();
    let mut confirmed = 0;
    while confirmed < 10_000 {
        let request = receiver.hears();
        confirmed += if request.is_confirmed { request.read().1.len() } else { 0 };
        requests.push(request);
    }
    let (events, missing) = adds_up(&requests);
    let topics: Vec<_> = events.iter().map(|event| event["topic"].as_str().unwrap().to_owned()).collect();
    assert_eq!(topics, (0..10_000).map(|number| format!("t{number}")).collect::<Vec<_>>());
    let failed = requests.iter().filter(|request| !request.is_confirmed).count();
    assert!(missing == 0 && failed > 2, "{failed} of {} requests failed", requests.len());
}

#[test]
fn what_has_no_room_is_missing_and_said() {
    let receiver = HookReceiver::that(|number| match number {
        0 => Does::Answers(503, "Retry-After: 1\r\n".to_owned()),
        _ => Does::takes(),
    });
    let hook = of_kinds(receiver.hook("me"), &[EventKind::TopicSubscribed]);
    let limits = HookLimits { events: 150, ..HookLimits::default() };
    let server =
        Server::with(|config| (config.hooks, config.limits.subscriptions) = (vec![Hook { limits, ..hook }], 20_000));
    causes(&server, 5_000);
    let mut requests = Vec::new();
    let mut caused = 5_000;
    // Once there is room again, the next event brings with it how many are missing.
    while adds_up(&requests).1 == 0 {
        causes(&server, 1);
        caused += 1;
        requests.extend(receiver.hears_within(Duration::from_millis(100)));
    }
    server.has_ended();
    requests.extend(receiver.all());
    let (events, missing) = adds_up(&requests);
    assert_eq!(events.last().unwrap()["seq"], caused);
    assert_eq!(events.len() as u64 + missing, caused);
}

#[test]
fn a_receiver_that_hangs_costs_clients_nothing() {
    let receiver = HookReceiver::that(|_| Does::Hangs);
    let server = with(vec![receiver.hook("me")]);
    receiver.hears();
    causes(&server, 1_000);
    let (mut one, mut other) = (server.typed(), server.typed());
    one.subscribes("news");
    for number in 0..500 {
        other.publishes("news", number);
        one.hears_message("news", number);
    }
    assert!(receiver.hears_within(Duration::ZERO).is_none(), "one request at a time");
}

#[test]
fn a_redirect_is_not_followed_and_the_batch_is_sent_again() {
    let elsewhere = HookReceiver::start();
    let to = format!("Location: http://{}/hook?canary\r\n", elsewhere.address);
    let receiver = HookReceiver::that(move |number| match number {
        0..2 => Does::Answers([301, 308][usize::try_from(number).unwrap()], to.clone()),
        _ => Does::takes(),
    });
    let _server = with(vec![receiver.hook("me")]);
    let (first, second, third) = (receiver.hears(), receiver.hears(), receiver.hears());
    assert_eq!((&first.id, &first.body), (&second.id, &second.body));
    assert_eq!((&first.id, &first.body), (&third.id, &third.body));
    assert!(elsewhere.all().is_empty());
}

#[test]
fn a_receiver_that_is_gone_gets_nothing_more_and_the_others_do() {
    let gone = HookReceiver::that(|_| Does::Answers(410, String::new()));
    let mut other = HookReceiver::start();
    let server = with(vec![gone.hook("gone"), other.hook("other")]);
    gone.hears();
    causes(&server, 200);
    while other.next_event()["type"] != "topic.unsubscribed" {}
    server.has_ended();
    assert!(gone.all().is_empty());
}

#[test]
fn what_waits_is_delivered_before_the_server_ends() {
    let receiver = HookReceiver::start();
    let server = with(vec![receiver.hook("me")]);
    causes(&server, 500);
    let peers: Vec<_> = (0..50).map(|_| server.typed()).collect();
    server.has_ended();
    drop(peers);
    let (events, missing) = adds_up(&receiver.all());
    let of = |kind: &str| events.iter().filter(|event| event["type"] == kind).count();
    assert_eq!((missing, of("server.draining")), (0, 1));
    assert_eq!((of("client.connected"), of("client.disconnected")), (51, 51));
    assert_eq!((of("topic.occupied"), of("topic.vacant")), (500, 500));
}

#[test]
fn several_workers_tell_in_one_order() {
    let receiver = HookReceiver::start();
    let server = Server::with(|config| (config.hooks, config.workers) = (vec![receiver.hook("me")], Some(4)));
    let address = server.address();
    thread::scope(|scope| {
        for _ in 0..6 {
            scope.spawn(move || {
                for _ in 0..25 {
                    let mut peer = Typed::open(Socket::connect(address));
                    peer.subscribes("room");
                    peer.socket.sends([&Frame::close(1000, "")]);
                    peer.socket.hears_close(1000);
                }
            });
        }
    });
    server.has_ended();
    let (mut there, mut subscribed, mut is_occupied) = (HashSet::new(), HashSet::new(), false);
    let (events, missing) = adds_up(&receiver.all());
    for event in &events {
        let client = event["client"].as_str().unwrap_or_default().to_owned();
        let fits = match event["type"].as_str().unwrap() {
            "client.connected" => there.insert(client),
            "client.disconnected" => !subscribed.contains(&client) && there.remove(&client),
            "topic.subscribed" => there.contains(&client) && subscribed.insert(client),
            "topic.unsubscribed" => subscribed.remove(&client),
            "topic.occupied" => !std::mem::replace(&mut is_occupied, true),
            "topic.vacant" => std::mem::replace(&mut is_occupied, false),
            _ => true,
        };
        assert!(fits, "{event}");
    }
    assert!(there.is_empty() && !is_occupied && missing == 0);
    assert_eq!(events.iter().filter(|event| event["type"] == "topic.subscribed").count(), 150);
}

#[test]
fn hooks_can_be_added_exchanged_and_taken_out_while_the_server_runs() {
    let (mut first, mut second) = (HookReceiver::start(), HookReceiver::start());
    let server = Server::start();
    let earlier = server.typed();
    server.reloads(|config| config.hooks = vec![first.hook("me")]);
    let mut peer = server.typed();
    let connected = first.hears_event("client.connected");
    assert_eq!(connected["seq"], 1, "it begins with what happens from now on");
    drop(earlier);
    peer.subscribes("orders");
    assert_eq!(first.hears_event("topic.subscribed")["client"], connected["client"], "who was not told does not go");
    first.hears_event("topic.occupied");
    server.reloads(|config| config.hooks = vec![second.hook("me")]);
    peer.asks(json!({"action": "unsubscribe", "topic": "orders"}));
    let told = second.hears_event("topic.unsubscribed");
    assert_eq!((&told["seq"], &told["client"]), (&json!(4), &connected["client"]), "it goes on where it was");
    second.hears_event("topic.vacant");
    server.reloads(|config| config.hooks.clear());
    drop(server.typed());
    assert!(second.hears_within(Duration::from_millis(500)).is_none() && first.next().is_none());
    server.reloads(|config| config.hooks = vec![second.hook("me"), of_kinds(first.hook("you"), &[])]);
    let mut last = server.typed();
    last.subscribes("orders");
    let request = second.hears();
    assert!(request.id.ends_with("-me-1"), "{}", request.id);
    assert_eq!(request.read().1[0]["seq"], 1, "its run is another one");
    assert!(first.next().is_none(), "it asks for nothing");
}

#[test]
fn what_waits_for_a_receiver_that_fails_goes_to_the_one_that_takes_its_place() {
    let failing = HookReceiver::that(|_| Does::Answers(500, "Retry-After: 3600\r\n".to_owned()));
    let good = HookReceiver::start();
    let server = with(vec![failing.hook("me")]);
    let refused = failing.hears();
    let _peer = server.typed();
    server.reloads(|config| config.hooks = vec![good.hook("me")]);
    let taken = good.hears();
    assert_eq!((taken.id, taken.body), (refused.id, refused.body), "the same batch, and at once");
    assert_eq!(good.hears().read().1[0]["type"], "client.connected");
}

#[test]
fn counters_can_be_read() {
    let receiver = HookReceiver::start();
    let config = Config { workers: Some(1), hooks: vec![receiver.hook("me")], ..Config::default() };
    let server = Bound::bind(config, [TcpListener::bind("127.0.0.1:0").unwrap()]).unwrap();
    let reloader = server.reloader();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(server.run(async {})).unwrap();
    let [(name, counters)] = &reloader.hook_counters()[..] else { panic!("one hook") };
    assert_eq!((&**name, counters.delivered(), counters.waiting()), ("me", 2, 0));
    assert_eq!((counters.dropped(Dropped::Full), counters.failed()), (0, 0));
    assert!(counters.durations().iter().sum::<u64>() >= 1 && !counters.time().is_zero());
}
