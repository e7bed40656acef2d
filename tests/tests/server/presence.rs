//! A watcher of a topic ("room") that other clients join and leave all the time.

use hubcast_hub::PresencePolicy;
use hubcast_tests::{Server, Typed};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::time::Duration;

/// A server with two workers that announces joins and leaves, and has small outboxes.
fn server() -> Server {
    Server::with(|config| {
        config.rules.list[0].policy.presence = Some(PresencePolicy { events: true, grace: Duration::ZERO });
        config.outbox = OUTBOX;
        config.workers = Some(2);
        let times = &mut config.timeouts;
        // A reader that reads late is not cut in the close either.
        (times.write, times.ping, times.close) = (NEVER, NEVER, NEVER);
    })
}

/// A client that keeps a list of the members of a room, as a real program would.
struct Watcher {
    peer: Typed,
    there: BTreeSet<String>,
    gaps: usize,
}

impl Watcher {
    /// Subscribes to a room with presence events, and reads who is there.
    fn enter(mut peer: Typed, room: &str, slow: &str) -> Self {
        peer.says(json!({"id": 0, "action": "subscribe", "topic": room, "presence": true, "slow": slow}));
        assert_eq!(peer.next_event()["event"], "subscribed");
        let mut watcher = Self { peer, there: BTreeSet::new(), gaps: 0 };
        watcher.asks_who_is_there(room);
        watcher.reads_until(|event| event["event"] == "presence");
        watcher
    }

    /// Asks for the members of a room, without waiting for the answer.
    fn asks_who_is_there(&mut self, room: &str) {
        self.peer.says(json!({"id": self.gaps, "action": "presence", "topic": room}));
    }

    /// Reads all events that wait, and the answers to the requests that they cause.
    fn reads_all(&mut self) {
        for _ in 0..2 {
            self.peer.says(json!({"id": "end", "action": "ping"}));
            self.reads_until(|event| event["id"] == "end");
        }
    }

    /// Reads events until `is_last`, updates the list, and asks for the members again after each `gap` event.
    fn reads_until(&mut self, is_last: impl Fn(&Value) -> bool) {
        loop {
            let event = self.peer.next_event();
            let client = || event["client"].as_str().expect("a member has an id").to_owned();
            match event["event"].as_str() {
                Some("join") => _ = self.there.insert(client()),
                Some("leave") => _ = self.there.remove(&client()),
                Some("presence") => {
                    let clients = event["clients"].as_array().expect("a list").iter();
                    self.there = clients.map(|client| client["client"].as_str().expect("an id").to_owned()).collect();
                }
                Some("gap") => {
                    let room = event["topic"].as_str().expect("a gap has a topic");
                    assert_eq!(event, json!({"event": "gap", "topic": room, "reason": "missed_presence"}));
                    self.gaps += 1;
                    self.asks_who_is_there(room);
                }
                _ => {}
            }
            if is_last(&event) {
                return;
            }
        }
    }
}

/// Lets a guest join a room, and waits until the watcher has received the `join` event.
fn comes(guest: &mut Typed, room: &str, watcher: &mut Watcher) {
    assert_eq!(guest.asks(json!({"action": "subscribe", "topic": room}))["event"], "subscribed");
    watcher.reads_until(|event| event["event"] == "join" && event["client"] == guest.id);
}

#[test]
fn a_slow_watcher_that_allows_it_misses_joins_and_leaves_and_gets_a_gap_and_a_fast_one_misses_none() {
    let server = server();
    let room = "room".repeat(250);
    let mut lossy = ["drop", "latest"].map(|slow| Watcher::enter(Typed::open(server.narrow_socket()), &room, slow));
    let mut strict = Watcher::enter(Typed::open(server.narrow_socket()), &room, "disconnect");
    let mut fast = Watcher::enter(server.typed(), &room, "drop");
    let mut guest = server.typed();
    // The guest joins and leaves in different turns, so that each join and leave is announced.
    for _ in 0..ROUNDS {
        comes(&mut guest, &room, &mut fast);
        assert_eq!(guest.asks(json!({"action": "unsubscribe", "topic": room}))["event"], "unsubscribed");
        fast.reads_until(|event| event["event"] == "leave" && event["client"] == guest.id);
    }
    comes(&mut guest, &room, &mut fast);

    strict.peer.socket.hears_close_at_last(4002);
    let ids = lossy.iter().map(|watcher| &watcher.peer).chain([&fast.peer, &guest]).map(|peer| peer.id.clone());
    let there: BTreeSet<String> = ids.collect();
    for watcher in &mut lossy {
        watcher.reads_all();
        assert!(watcher.gaps > 0, "it got a gap for what it missed");
        assert_eq!(watcher.there, there);
    }
    fast.reads_all();
    assert_eq!((fast.there, fast.gaps), (there, 0));
}

const OUTBOX: usize = 64 * 1024;

/// Joins and leaves of the guest; their events are much more than sockets and outboxes hold.
const ROUNDS: usize = 3000;

/// Longer than any test.
const NEVER: Duration = Duration::from_secs(600);
