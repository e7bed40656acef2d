//! What watchers receive about clients that join and leave within one turn.

use crate::stage::Stage;
use hubcast_hub::{PresencePolicy, TopicPolicy, TopicRule, TopicRules};
use hubcast_protocol::Event;
use hubcast_server::Config;
use std::time::Duration;

/// A server with two workers, a watcher of `room` on each of them, and a guest on worker 0 that has not joined yet.
fn room() -> (Stage, [usize; 2], usize) {
    let presence = Some(PresencePolicy { events: true, grace: Duration::ZERO });
    let policy = TopicPolicy { history: None, presence, ..TopicPolicy::default() };
    let rules = TopicRules { list: vec![TopicRule { pattern: "room".parse().expect("it is a pattern"), policy }] };
    let mut stage = Stage::new(2, Config { rules, ..Config::default() });
    let watchers = [0, 1].map(|worker| {
        let watcher = stage.connect(worker, usize::MAX);
        stage.say(watcher, r#"{"action":"subscribe","topic":"room","presence":true}"#);
        stage.settle();
        watcher
    });
    let guest = stage.connect(0, usize::MAX);
    stage.settle();
    (stage, watchers, guest)
}

/// Subscribes the guest to `room`.
fn come(stage: &mut Stage, guest: usize) {
    stage.say(guest, r#"{"action":"subscribe","topic":"room"}"#);
}

/// Unsubscribes the guest from `room`.
fn go(stage: &mut Stage, guest: usize) {
    stage.say(guest, r#"{"action":"unsubscribe","topic":"room"}"#);
}

/// The presence events that a watcher has received, in words; without the join of the second watcher.
fn events(stage: &mut Stage, watcher: usize) -> Vec<&'static str> {
    let events = stage.events(watcher).into_iter().filter_map(|event| match event {
        Event::Join(_) => Some("join"),
        Event::Leave(_) => Some("leave"),
        Event::Presence(presence) => Some(if presence.count == 3 { "three" } else { "two" }),
        _ => None,
    });
    let mut events: Vec<_> = events.collect();
    if watcher == 0 {
        // The first watcher sees the second one join.
        assert_eq!(events.remove(0), "join");
    }
    events
}

#[test]
fn of_one_who_comes_and_goes_within_a_turn_only_the_outcome_is_announced() {
    let (mut stage, watchers, guest) = room();
    for _ in 0..50 {
        come(&mut stage, guest);
        go(&mut stage, guest);
    }
    stage.settle();
    assert!(watchers.iter().all(|watcher| events(&mut stage, *watcher).is_empty()));
    come(&mut stage, guest);
    go(&mut stage, guest);
    come(&mut stage, guest);
    stage.settle();
    assert_eq!(watchers.map(|watcher| events(&mut stage, watcher)), [vec!["join"], vec!["join"]]);
    go(&mut stage, guest);
    come(&mut stage, guest);
    stage.settle();
    go(&mut stage, guest);
    stage.settle();
    assert_eq!(watchers.map(|watcher| events(&mut stage, watcher)), [vec!["join", "leave"], vec!["join", "leave"]]);
}

#[test]
fn who_asked_in_between_hears_what_is_not_so_any_more() {
    let (mut stage, [watcher, other], guest) = room();
    // The task that reads the guest's connection is polled first, so all three requests are in the turn that follows.
    come(&mut stage, guest);
    stage.say(guest, r#"{"id":1,"action":"presence","topic":"room"}"#);
    go(&mut stage, guest);
    stage.settle();
    assert_eq!(events(&mut stage, guest), ["three"]);
    assert_eq!([watcher, other].map(|watcher| events(&mut stage, watcher)), [vec!["leave"], vec!["leave"]]);
}
