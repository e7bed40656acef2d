//! Presence, as transcripts of frames.

use crate::alphabet::Place;
use crate::stage::{Stage, id_of, keeping};
use hubcast_hub::{PresencePolicy, SessionId, TopicPolicy};
use hubcast_protocol::{AnonymousId, MemberSecret};
use std::time::Duration;

const WATCH: &str = r#"{"action":"subscribe","topic":"room","presence":true}"#;
const JOIN: &str = r#"{"action":"subscribe","topic":"room"}"#;
const LEAVE: &str = r#"{"action":"unsubscribe","topic":"room"}"#;
const WHO: &str = r#"{"id":1,"action":"presence","topic":"room"}"#;

#[test]
fn those_who_ask_hear_who_comes_and_goes_except_themselves() {
    let mut stage = room();
    let [ada, bob, carol] = [(); 3].map(|()| stage.connect());
    assert_eq!(stage.answer(ada, WATCH), [r#"{"event":"subscribed","topic":"room","presence":true}"#]);
    stage.says(bob, JOIN);
    assert_eq!(stage.hears(ada), [member_event("join", bob, "")]);
    stage.says(carol, WATCH);
    assert_eq!(stage.hears(ada), [member_event("join", carol, "")]);
    stage.says(bob, LEAVE);
    stage.closed(carol);
    assert_eq!(stage.hears(ada), [member_event("leave", bob, ""), member_event("leave", carol, "")]);
    assert_eq!(stage.hears(bob).len(), 2, "its own replies and nothing else");
    stage.ends();
}

#[test]
fn presence_counts_and_names_those_who_subscribed_to_the_topic_itself() {
    let mut stage = room();
    let [ada, bob, eve] = [(); 3].map(|()| stage.connect());
    stage.says(ada, JOIN);
    stage.says(eve, r#"{"action":"subscribe","pattern":">"}"#);
    let empty = r#"{"id":1,"action":"presence","topic":"else"}"#;
    assert_eq!(stage.answer(bob, empty), [r#"{"event":"presence","id":1,"topic":"else","count":0,"clients":[]}"#]);
    let client = id_of(ada);
    let presence =
        format!(r#"{{"event":"presence","id":1,"topic":"room","count":1,"clients":[{{"client":"{client}"}}]}}"#);
    assert_eq!(stage.answer(bob, WHO), [presence]);
    stage.ends();
}

#[test]
fn a_topic_without_a_rule_for_it_has_no_presence() {
    let mut stage = Stage::new();
    let ada = stage.connect();
    stage.says(ada, WATCH);
    stage.hears(ada);
    let refused = stage.answer(ada, WHO);
    assert!(refused[0].contains(r#""code":"no_presence""#), "{refused:?}");
    stage.ends();
}

#[test]
fn a_lost_user_who_is_back_in_time_was_never_gone() {
    let mut stage = room();
    let [watcher, ada] = [stage.connect(), stage.connect_as("ada")];
    stage.says(watcher, WATCH);
    stage.says(ada, JOIN);
    stage.hears(watcher);
    stage.loses(ada);
    stage.wait(Duration::from_secs(4));
    assert!(stage.answer(watcher, WHO)[0].contains(r#""count":2"#), "who may be back is counted");
    let ada = stage.connect_as("ada");
    stage.says(ada, JOIN);
    stage.wait(Duration::from_secs(60));
    assert_eq!(stage.hears(watcher), [""; 0]);
    stage.closed(ada);
    assert_eq!(stage.hears(watcher), [member_event("leave", ada, r#","user":"ada""#)]);
    stage.ends();
}

#[test]
fn a_lost_member_without_a_user_is_recognised_by_its_secret() {
    let mut stage = room();
    let watcher = stage.connect();
    stage.says(watcher, WATCH);
    stage.hears(watcher);
    let identify = r#"{"id":7,"action":"identify","secret":"0123456789abcdef012345","info":{"name":"Ada"}}"#;
    let id = AnonymousId::of(&MemberSecret::new("0123456789abcdef012345").unwrap());
    let shown = format!(r#","anonymous":"{id}","info":{{"name":"Ada"}},"unverified":true"#);
    let mut ada = stage.connect();
    for lost in 0..3 {
        let answer = stage.answer(ada, identify);
        assert_eq!(answer, [format!(r#"{{"event":"identified","id":7,"anonymous":"{id}"}}"#)]);
        stage.says(ada, JOIN);
        let joins = if lost == 0 { vec![member_event("join", ada, &shown)] } else { vec![] };
        assert_eq!(stage.hears(watcher), joins);
        stage.loses(ada);
        ada = stage.connect();
    }
    let who = stage.answer(watcher, WHO);
    assert!(who[0].contains(r#""count":2"#) && who[0].contains(&shown), "{who:?}");
    stage.answer(ada, identify);
    stage.says(ada, JOIN);
    stage.wait(Duration::from_secs(60));
    stage.closed(ada);
    assert_eq!(stage.hears(watcher), [member_event("leave", ada, &shown)]);
    stage.ends();
}

#[test]
fn a_member_that_shows_something_else_when_it_is_back_leaves_and_joins() {
    let mut stage = room();
    let watcher = stage.connect();
    stage.says(watcher, WATCH);
    stage.hears(watcher);
    let id = AnonymousId::of(&MemberSecret::new("0123456789abcdef012345").unwrap());
    let identify = |name: &str| format!(r#"{{"action":"identify","secret":"0123456789abcdef012345","info":"{name}"}}"#);
    let shown = |name: &str| format!(r#","anonymous":"{id}","info":"{name}","unverified":true"#);
    let [first, second] = [stage.connect(), stage.connect()];
    stage.says(first, &identify("Ada"));
    stage.says(first, JOIN);
    assert_eq!(stage.hears(watcher), [member_event("join", first, &shown("Ada"))]);
    stage.loses(first);
    stage.says(second, &identify("Lovelace"));
    stage.says(second, JOIN);
    let renamed = [member_event("leave", first, &shown("Ada")), member_event("join", second, &shown("Lovelace"))];
    assert_eq!(stage.hears(watcher), renamed);
    assert!(stage.answer(watcher, WHO)[0].contains(r#""count":2"#));
    stage.wait(Duration::from_secs(60));
    assert_eq!(stage.hears(watcher), [""; 0]);
    stage.ends();
}

#[test]
fn who_a_connection_is_is_said_once_and_while_it_has_no_subscription() {
    let mut stage = room();
    let [ada, bob] = [stage.connect(), stage.connect()];
    let identify =
        |name: &str| format!(r#"{{"id":1,"action":"identify","secret":"0123456789abcdef012345","info":"{name}"}}"#);
    assert!(stage.answer(ada, &identify("Ada"))[0].contains("identified"));
    assert!(stage.answer(ada, &identify("Eve"))[0].contains("once, while it has no subscription"));
    stage.answer(bob, JOIN);
    assert!(stage.answer(bob, &identify("Bob"))[0].contains("once, while it has no subscription"));
    let short = r#"{"id":1,"action":"identify","secret":"0123456789"}"#;
    assert!(stage.answer(ada, short)[0].contains("22 to 64 bytes"));
    // The quotes count, and the escape of each character too.
    for long in ["x".repeat(1023), r"\u0001".repeat(171)] {
        let refused = stage.answer(ada, &identify(&long));
        assert!(refused[0].contains("at most 1024 bytes") && !refused[0].contains("0123456789"), "{refused:?}");
    }
    let carol = stage.connect();
    assert!(stage.answer(carol, &identify(&"x".repeat(1022)))[0].contains("identified"));
    stage.ends();
}

#[test]
fn a_user_stays_what_its_token_says() {
    let mut stage = room();
    let ada = stage.connect_as("ada");
    let identify = r#"{"id":1,"action":"identify","secret":"0123456789abcdef012345","info":"Eve"}"#;
    assert_eq!(stage.answer(ada, identify), [r#"{"event":"identified","id":1,"user":"ada"}"#]);
    stage.says(ada, JOIN);
    stage.hears(ada);
    let who = stage.answer(ada, WHO);
    assert!(who[0].contains(r#""user":"ada"}]"#), "{who:?}");
    stage.ends();
}

#[test]
fn a_lost_session_that_does_not_come_back_has_left_after_the_grace_time() {
    let mut stage = room();
    let [watcher, ada, nobody] = [stage.connect(), stage.connect_as("ada"), stage.connect()];
    stage.says(watcher, WATCH);
    stage.says(ada, JOIN);
    stage.says(nobody, JOIN);
    stage.hears(watcher);
    stage.loses(ada);
    stage.wait(Duration::from_secs(1));
    stage.loses(nobody);
    stage.wait(Duration::from_millis(3999));
    assert_eq!(stage.hears(watcher), [""; 0]);
    stage.wait(Duration::from_millis(1));
    assert_eq!(stage.hears(watcher), [member_event("leave", ada, r#","user":"ada""#)]);
    stage.wait(Duration::from_secs(1));
    assert_eq!(stage.hears(watcher), [member_event("leave", nobody, "")]);
    stage.ends();
}

#[test]
fn of_two_lost_connections_of_a_user_one_that_comes_back_stands_for_one() {
    let mut stage = room();
    let [watcher, phone, desk] = [stage.connect(), stage.connect_as("ada"), stage.connect_as("ada")];
    stage.says(watcher, WATCH);
    stage.says(phone, JOIN);
    stage.says(desk, JOIN);
    stage.hears(watcher);
    stage.loses(phone);
    stage.loses(desk);
    let back = stage.connect_as("ada");
    stage.says(back, JOIN);
    stage.wait(Duration::from_secs(5));
    assert_eq!(stage.hears(watcher), [member_event("leave", desk, r#","user":"ada""#)]);
    assert!(stage.answer(watcher, WHO)[0].contains(r#""count":2"#));
    stage.ends();
}

#[test]
fn subscribing_again_says_anew_whether_joins_are_wanted() {
    let mut stage = room();
    let [ada, bob] = [(); 2].map(|()| stage.connect());
    let announced_bob = |stage: &mut Stage, ada_says: &str| {
        stage.says(ada, ada_says);
        stage.hears(ada);
        stage.says(bob, JOIN);
        stage.says(bob, LEAVE);
        stage.hears(ada)
    };
    let both = [member_event("join", bob, ""), member_event("leave", bob, "")];
    assert_eq!(announced_bob(&mut stage, WATCH), both);
    assert_eq!(announced_bob(&mut stage, JOIN), [""; 0]);
    assert_eq!(announced_bob(&mut stage, WATCH), both);
    assert_eq!(announced_bob(&mut stage, &WATCH.replace("true", "false")), [""; 0]);
    assert!(stage.answer(ada, WHO)[0].contains(r#""count":1"#), "the user is there all the time");
    stage.ends();
}

#[test]
fn watching_does_not_count_as_a_subscription() {
    let mut settings = keeping(present(true));
    settings.limits.subscriptions = 2;
    let mut stage = Stage::with(settings, Place::Embedded);
    let ada = stage.connect();
    stage.says(ada, WATCH);
    stage.hears(ada);
    let second = stage.answer(ada, r#"{"action":"subscribe","topic":"hall","presence":true}"#);
    assert_eq!(second, [r#"{"event":"subscribed","topic":"hall","presence":true}"#]);
    let third = stage.answer(ada, r#"{"action":"subscribe","topic":"attic"}"#);
    assert!(third[0].contains("limit_exceeded"), "{third:?}");
    stage.ends();
}

#[test]
fn with_events_off_presence_is_answered_and_nothing_is_announced() {
    let mut stage = Stage::with(keeping(present(false)), Place::Embedded);
    let [ada, bob] = [(); 2].map(|()| stage.connect());
    stage.says(ada, WATCH);
    stage.hears(ada);
    stage.says(bob, JOIN);
    assert_eq!(stage.hears(ada), [""; 0]);
    assert!(stage.answer(ada, WHO)[0].contains(r#""count":2"#));
    stage.ends();
}

/// A stage whose topics have presence with events.
fn room() -> Stage {
    Stage::with(keeping(present(true)), Place::Embedded)
}

/// A policy with presence, a grace time of five seconds and no history. `events`: whether joins and leaves are sent.
fn present(events: bool) -> TopicPolicy {
    let presence = Some(PresencePolicy { events, grace: Duration::from_secs(5) });
    TopicPolicy { history: None, presence, ..TopicPolicy::default() }
}

/// The frame of a join or leave in `room`. `user` is the text after the client.
fn member_event(event: &str, session: SessionId, user: &str) -> String {
    format!(r#"{{"event":"{event}","topic":"room","client":"{}"{user}}}"#, id_of(session))
}
