//! Histories and idempotency keys, as transcripts of frames.

use crate::alphabet::Place;
use crate::frames::{json, message, recover, subscribed};
use crate::stage::{Stage, keeping, repeated, small};
use hubcast_hub::engine::Outcome;
use hubcast_hub::{
    Effects, EntrySnapshot, HistoryPolicy, HistorySnapshot, Hub, Input, KeySnapshot, NumberSnapshot, ProducerSnapshot,
    Publisher, Retention, SessionId, Settings, Snapshot, TopicPolicy, TopicRule, TopicRules,
};
use hubcast_protocol::{ClientId, Position, Topic, typed};
use std::time::{Duration, Instant};

#[test]
fn a_history_answered_from_elsewhere_is_encoded_the_same() {
    let mut stage = Stage::with(Settings::with_seed(1), Place::Elsewhere);
    let ada = stage.connect();
    stage.says(ada, r#"{"action":"subscribe","topic":"a"}"#);
    stage.says(ada, r#"{"action":"publish","topic":"a","message":"one"}"#);
    stage.says(ada, r#"{"id":1,"action":"history","topic":"a"}"#);
    (0..3).for_each(|_| stage.engine_answers());
    let [_, _, history] = &stage.hears(ada)[..] else { panic!("subscribed, the message, the history") };
    assert!(history.ends_with(r#""offset":1,"messages":[{"offset":1,"message":"one"}]}"#), "{history}");
    stage.ends();
}

#[test]
fn who_goes_while_a_question_is_open_leaves_no_history_in_use() {
    let mut stage = Stage::with(Settings::with_seed(1), Place::Elsewhere);
    let ada = stage.connect();
    stage.says(ada, r#"{"action":"subscribe","topic":"a"}"#);
    stage.closed(ada);
    stage.engine_answers();
    stage.ends();
}

#[test]
fn publication_to_a_topic_nobody_uses_leaves_nothing_behind() {
    let mut stage = Stage::with(Settings::with_seed(1), Place::Embedded);
    let ada = stage.connect();
    let published = stage.answer(ada, r#"{"id":1,"action":"publish","topic":"world"}"#);
    assert_eq!(published, [r#"{"event":"published","id":1,"topic":"world","receivers":0}"#]);
    assert_eq!(stage.memory().histories(), 0);
    let refused = stage.answer(ada, r#"{"id":2,"action":"history","topic":"world"}"#);
    assert!(refused[0].contains(r#""code":"no_history""#), "{refused:?}");
    stage.ends();
}

#[test]
fn history_outlives_its_last_subscriber_by_its_ttl_at_least_and_twice_that_at_most() {
    let mut stage = Stage::with(Settings::with_seed(1), Place::Embedded);
    let ada = stage.connect();
    stage.position(ada, "world");
    stage.wait(Duration::from_secs(600));
    assert_eq!(stage.memory().histories(), 1, "in use, however quiet");
    stage.says(ada, r#"{"action":"unsubscribe","topic":"world"}"#);
    stage.wait(Duration::from_secs(119));
    assert_eq!(stage.memory().histories(), 1);
    stage.wait(Duration::from_secs(123));
    assert_eq!((stage.memory().histories(), stage.memory().history_bytes()), (0, 0));
    stage.ends();
}

#[test]
fn history_that_nobody_uses_does_not_live_on_what_nobody_hears() {
    let mut stage = Stage::with(Settings::with_seed(1), Place::Embedded);
    let ada = stage.connect();
    stage.position(ada, "world");
    stage.says(ada, r#"{"action":"unsubscribe","topic":"world"}"#);
    for _ in 0..5 {
        stage.wait(Duration::from_secs(50));
        stage.says(ada, r#"{"action":"publish","topic":"world"}"#);
    }
    assert_eq!(stage.memory().histories(), 0);
    stage.ends();
}

#[test]
fn the_history_unused_longest_makes_room_and_its_epoch_goes_with_it() {
    let mut stage = Stage::with(Settings { history_max_bytes: 1500, ..small(9, Retention::Always) }, Place::Embedded);
    let ada = stage.connect();
    for topic in ["one", "two", "three"] {
        stage.says(ada, &format!(r#"{{"action":"publish","topic":"{topic}","message":"{}"}}"#, "x".repeat(100)));
    }
    let left: Vec<_> = stage.saved().into_iter().map(|saved| saved.topic).collect();
    assert_eq!(left, ["three", "two"].map(Topic::from));
    assert!(stage.memory().history_bytes() <= 1500);
    stage.ends();
}

#[test]
fn history_is_read_forward_from_a_position_and_back_from_the_end() {
    let mut stage = Stage::with(small(9, Retention::Always), Place::Embedded);
    let ada = stage.connect();
    let at = stage.position(ada, "world");
    stage.says(ada, r#"{"action":"unsubscribe","topic":"world"}"#);
    (0..4).for_each(|_| stage.says(ada, r#"{"action":"publish","topic":"world"}"#));
    stage.hears(ada);
    let mut read = |rest: &str| {
        let reply = stage.answer(ada, &format!(r#"{{"id":1,"action":"history","topic":"world"{rest}}}"#));
        let head =
            format!(r#"{{"event":"history","id":1,"topic":"world","epoch":"{}","offset":4,"messages":["#, at.epoch);
        let messages = reply[0].strip_prefix(&head).unwrap_or_else(|| panic!("{reply:?}"));
        let offsets = messages.split(r#""offset":"#).skip(1).map(|message| message[..1].to_owned());
        offsets.collect::<String>()
    };
    assert_eq!(read(""), "1234");
    assert_eq!(read(r#","limit":2"#), "34");
    assert_eq!(read(&format!(r#","limit":2,"since":{}"#, json(Position { offset: 1, ..at }))), "23");
    assert_eq!(read(r#","limit":1,"since":{"epoch":"k3Jx9a","offset":1}"#), "4");
    stage.ends();
}

#[test]
fn a_publication_with_a_key_is_delivered_once_in_the_window_and_answered_the_same() {
    let mut stage = Stage::with(Settings::with_seed(1), Place::Embedded);
    let [ada, bob] = [(); 2].map(|()| stage.connect());
    stage.position(bob, "world");
    let publish = r#"{"id":1,"action":"publish","topic":"world","message":"paid","key":"order-17"}"#;
    let first = stage.answer(ada, publish);
    assert_eq!(first, [r#"{"event":"published","id":1,"topic":"world","offset":1,"receivers":1}"#]);
    assert_eq!(stage.hears(bob).len(), 1);
    stage.loses(ada);
    let ada = stage.connect();
    assert_eq!(stage.answer(ada, publish), repeated(&first));
    assert_eq!(stage.hears(bob), [""; 0]);
    let other = stage.answer(ada, r#"{"id":1,"action":"publish","topic":"other","key":"order-17"}"#);
    assert_eq!(other, [r#"{"event":"published","id":1,"topic":"other","receivers":0}"#], "keys are the topic's own");
    stage.wait(Duration::from_secs(120));
    stage.answer(ada, publish);
    assert_eq!(stage.hears(bob).len(), 1, "the window is over");
    stage.ends();
}

#[test]
fn what_one_hub_saved_another_goes_on_with_under_the_same_epoch() {
    let mut stage = Stage::with(Settings::with_seed(1), Place::Embedded);
    let ada = stage.connect();
    let at = stage.position(ada, "world");
    stage.says(ada, r#"{"action":"publish","topic":"world","message":"one"}"#);
    stage.says(ada, r#"{"action":"publish","topic":"world","message":"two"}"#);
    stage.restart(true);
    let bob = stage.connect();
    let reply = stage.answer(bob, &recover("world", Position { offset: 1, ..at }));
    let end = Position { offset: 2, ..at };
    let restored = subscribed("world", end, r#","recovered":true,"replayed":1"#);
    assert_eq!(reply, [restored, message("world", at, 2, "two")]);
    assert_eq!(
        stage.answer(bob, r#"{"action":"publish","topic":"world","message":"three"}"#),
        [message("world", at, 3, "three")]
    );
    stage.restart(false);
    let carol = stage.connect();
    let reply = stage.answer(carol, &recover("world", end));
    let anew = stage.position(carol, "world");
    assert_ne!(anew.epoch, at.epoch, "a crash lost the history, and it is said");
    assert_eq!(reply, [subscribed("world", anew, r#","recovered":false,"replayed":0"#)]);
    stage.ends();
}

#[test]
fn a_hub_restores_what_its_like_saved_and_keeps_a_history_that_it_has() {
    let now = Instant::now();
    let saved = |epoch: &str| Snapshot {
        histories: vec![HistorySnapshot {
            topic: Topic::from("world"),
            epoch: epoch.parse().expect("an epoch"),
            last: 7,
            entries: vec![
                EntrySnapshot::new(Duration::from_secs(1), "six".into()),
                EntrySnapshot::new(Duration::ZERO, "seven".into()),
            ],
        }],
        ..Snapshot::default()
    };
    let mut hub = Hub::new(Settings { seed: 2, ..Settings::with_seed(1) });
    hub.restore(now, saved("first"));
    hub.restore(now, saved("second"));
    assert_eq!(hub.save(now), saved("first"));
    let mut forgetful = Hub::new(keeping(TopicPolicy { history: None, ..TopicPolicy::default() }));
    forgetful.restore(now, saved("first"));
    assert_eq!(forgetful.save(now), Snapshot::default());
}

#[test]
fn a_repetition_names_no_place_in_a_history_that_is_gone() {
    let history = HistoryPolicy { size: 10, ttl: Duration::from_secs(1), keep: Retention::InUse };
    let policy = TopicPolicy { history: Some(history), key_window: Duration::from_secs(60), ..TopicPolicy::default() };
    let list = vec![TopicRule { pattern: ">".parse().expect("a pattern"), policy }];
    let mut stage = Stage::with(Settings { rules: TopicRules { list }, ..Settings::with_seed(1) }, Place::Embedded);
    let [ada, bob] = [(); 2].map(|()| stage.connect());
    stage.position(bob, "world");
    let publish = r#"{"id":1,"action":"publish","topic":"world","key":"order-17"}"#;
    let first = stage.answer(ada, publish);
    assert_eq!(first, [r#"{"event":"published","id":1,"topic":"world","offset":1,"receivers":1}"#]);
    stage.says(bob, r#"{"action":"unsubscribe","topic":"world"}"#);
    stage.wait(Duration::from_secs(10));
    stage.position(bob, "world");
    let again = stage.answer(ada, publish);
    assert_eq!(again, [r#"{"event":"published","id":1,"topic":"world","receivers":1,"duplicate":true}"#]);
    stage.loses(bob);
    stage.ends();
}

#[test]
fn a_key_that_was_used_before_a_restart_is_answered_the_same_after_it_and_not_after_a_crash() {
    let mut stage = Stage::with(Settings::with_seed(1), Place::Embedded);
    let [ada, bob] = [(); 2].map(|()| stage.connect());
    stage.position(bob, "world");
    let publish = r#"{"id":1,"action":"publish","topic":"world","message":"paid","key":"order-17"}"#;
    let first = stage.answer(ada, publish);
    assert_eq!(first, [r#"{"event":"published","id":1,"topic":"world","offset":1,"receivers":1}"#]);
    stage.wait(Duration::from_secs(119));
    stage.restart(true);
    let [ada, bob] = [(); 2].map(|()| stage.connect());
    stage.position(bob, "world");
    assert_eq!(stage.answer(ada, publish), repeated(&first));
    assert_eq!(stage.hears(bob), [""; 0]);
    stage.wait(Duration::from_secs(1));
    let again = stage.answer(ada, publish);
    assert_eq!(
        again,
        [r#"{"event":"published","id":1,"topic":"world","offset":2,"receivers":1}"#],
        "its window is over"
    );
    stage.restart(false);
    let ada = stage.connect();
    let anew = stage.answer(ada, publish);
    assert_eq!(anew, [r#"{"event":"published","id":1,"topic":"world","receivers":0}"#], "a crash forgets it");
    stage.ends();
}

#[test]
fn a_hub_takes_up_keys_whose_window_is_open_under_its_own_rules_and_keeps_the_outcome_that_it_has() {
    let rule = |matches: &str, seconds| TopicRule {
        pattern: matches.parse().expect("a pattern"),
        policy: TopicPolicy { history: None, key_window: Duration::from_secs(seconds), ..TopicPolicy::default() },
    };
    let list = vec![rule("long", 60), rule("short", 10)];
    let settings = Settings { rules: TopicRules { list }, ..Settings::with_seed(1) };
    let by = Publisher::Client(ClientId::from_random([1; 16]));
    let key = |topic: &str, key: &str, age, receivers| KeySnapshot {
        by: by.clone(),
        topic: topic.into(),
        key: key.into(),
        outcome: Outcome { position: None, receivers },
        age: Duration::from_secs(age),
    };
    let only = |keys: Vec<KeySnapshot>| Snapshot { keys, ..Snapshot::default() };
    let (mut hub, now) = (Hub::new(settings), Instant::now());
    hub.restore(now, only(vec![key("long", "a", 60, 1), key("long", "b", 59, 1), key("short", "c", 10, 1)]));
    hub.restore(now, only(vec![key("long", "b", 1, 2), key("short", "c", 9, 2), key("short", "d", u64::MAX, 2)]));
    assert_eq!(hub.save(now), only(vec![key("long", "b", 59, 1), key("short", "c", 9, 2)]));
    assert_eq!(hub.save(now + Duration::from_secs(1)), Snapshot::default());
}

#[test]
fn what_no_hub_can_have_saved_is_left_out() {
    let (mut hub, now) = (Hub::new(Settings::with_seed(1)), Instant::now());
    let by = Publisher::Client(ClientId::from_random([1; 16]));
    let history = |topic: &str, last, age| HistorySnapshot {
        topic: topic.into(),
        epoch: "e".parse().expect("an epoch"),
        last,
        entries: vec![EntrySnapshot::new(age, "".into())],
    };
    let number =
        |sequence, left| NumberSnapshot { sequence, topic: 1, outcome: Outcome { position: None, receivers: 1 }, left };
    let producer = |name: &str, floor, left| ProducerSnapshot {
        by: by.clone(),
        producer: name.into(),
        floor,
        numbers: vec![number(1, left)],
    };
    let (second, minutes) = (Duration::from_secs(1), Duration::from_secs(120));
    let last = Position::MAX_OFFSET;
    hub.restore(
        now,
        Snapshot {
            histories: vec![history("t", u64::MAX, second), history("u", last, Duration::MAX), history("v", 0, second)],
            keys: Vec::new(),
            producers: vec![producer("p", u64::MAX, second), producer("q", 0, Duration::MAX)],
        },
    );
    // An age or a time left that is longer than the rule allows is cut to the rule's time.
    let (histories, producers) = (vec![history("u", last, minutes)], vec![producer("q", 0, minutes)]);
    assert_eq!(hub.save(now), Snapshot { histories, keys: Vec::new(), producers });
}

#[test]
fn who_is_disconnected_by_a_restart_finds_more_than_the_history_keeps_otherwise() {
    let (now, minute) = (Instant::now(), Duration::from_secs(60));
    let (session, mut effects) = (SessionId(1), Effects::default());
    let mut tell = |hub: &mut Hub, at: Instant, input: Input| hub.handle(at, input, &mut effects);
    let says = |text: &str| Input::Request { session, request: typed::decode(text) };
    let publish = || says(r#"{"action":"publish","topic":"world"}"#);
    let kept = |hub: &Hub, at: Instant| hub.save(at).histories[0].entries.len();

    let mut hub = Hub::new(small(2, Retention::InUse));
    tell(&mut hub, now, Input::connect(session, ClientId::from_random([1; 16])));
    tell(&mut hub, now, says(r#"{"action":"subscribe","topic":"world"}"#));
    hub.await_return(now + minute);
    (0..10).for_each(|_| tell(&mut hub, now, publish()));
    assert_eq!(kept(&hub, now), 10);

    let mut next = Hub::new(Settings { seed: 2, ..small(2, Retention::InUse) });
    next.await_return(now + minute);
    next.restore(now, hub.save(now));
    assert_eq!(kept(&next, now), 10);
    tell(&mut next, now, Input::connect(session, ClientId::from_random([1; 16])));
    tell(&mut next, now + minute, publish());
    assert_eq!(kept(&next, now + minute), 2, "everyone is back");
}
