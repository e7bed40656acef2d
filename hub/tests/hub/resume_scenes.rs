//! Subscriptions that begin in the past, as transcripts of frames.

use crate::alphabet::Place;
use crate::frames::{json, message, recover, subscribed};
use crate::stage::{Stage, small};
use hubcast_hub::{Retention, Settings};
use hubcast_protocol::Position;
use std::time::Duration;

#[test]
fn who_comes_back_gets_what_was_missed_before_what_comes_live() {
    let mut stage = Stage::with(Settings::with_seed(1), Place::Embedded);
    let [ada, bob] = [(); 2].map(|()| stage.connect());
    let at = stage.position(ada, "world");
    stage.says(bob, r#"{"action":"publish","topic":"world","message":"one"}"#);
    assert_eq!(stage.hears(ada), [message("world", at, 1, "one")]);
    stage.loses(ada);
    stage.says(bob, r#"{"action":"publish","topic":"world","message":"two"}"#);
    stage.says(bob, r#"{"action":"publish","topic":"world","message":"three"}"#);
    let ada = stage.connect();
    let after = Position { offset: 1, ..at };
    let reply = stage.answer(ada, &recover("world", after));
    let subscribed = subscribed("world", Position { offset: 3, ..at }, r#","recovered":true,"replayed":2"#);
    assert_eq!(reply, [subscribed, message("world", at, 2, "two"), message("world", at, 3, "three")]);
    stage.says(bob, r#"{"action":"publish","topic":"world","message":"four"}"#);
    assert_eq!(stage.hears(ada), [message("world", at, 4, "four")]);
    stage.ends();
}

#[test]
fn position_from_another_epoch_is_not_recovered() {
    let mut stage = Stage::with(Settings::with_seed(1), Place::Embedded);
    let ada = stage.connect();
    let foreign = Position { epoch: "k3Jx9a".parse().expect("an epoch"), offset: 0 };
    let reply = stage.answer(ada, &recover("world", foreign));
    let at = stage.position(ada, "world");
    assert_eq!(reply, [subscribed("world", at, r#","recovered":false,"replayed":0"#)]);
    stage.ends();
}

#[test]
fn position_after_the_end_is_not_recovered() {
    let mut stage = Stage::with(Settings::with_seed(1), Place::Embedded);
    let [ada, bob] = [(); 2].map(|()| stage.connect());
    let at = stage.position(bob, "world");
    let reply = stage.answer(ada, &recover("world", Position { offset: 1, ..at }));
    assert_eq!(reply, [subscribed("world", at, r#","recovered":false,"replayed":0"#)]);
    stage.ends();
}

#[test]
fn position_before_what_is_kept_is_not_recovered_and_nothing_of_it_is_replayed() {
    let mut stage = Stage::with(small(2, Retention::InUse), Place::Embedded);
    let [ada, bob] = [(); 2].map(|()| stage.connect());
    let at = stage.position(bob, "world");
    (0..3).for_each(|_| stage.says(bob, r#"{"action":"publish","topic":"world"}"#));
    let reply = stage.answer(ada, &recover("world", at));
    let end = Position { offset: 3, ..at };
    assert_eq!(reply, [subscribed("world", end, r#","recovered":false,"replayed":0"#)]);
    let carol = stage.connect();
    let reply = stage.answer(carol, &recover("world", Position { offset: 1, ..at }));
    assert_eq!(reply[0], subscribed("world", end, r#","recovered":true,"replayed":2"#));
    stage.ends();
}

#[test]
fn the_last_ones_are_replayed_whenever_they_are_asked_for() {
    let mut stage = Stage::with(small(2, Retention::Always), Place::Embedded);
    let ada = stage.connect();
    for text in ["one", "two", "three"] {
        stage.says(ada, &format!(r#"{{"action":"publish","topic":"world","message":"{text}"}}"#));
    }
    let last = r#"{"action":"subscribe","topic":"world","last":9}"#;
    let reply = stage.answer(ada, last);
    let [_, two, three] = &reply[..] else { panic!("{reply:?}") };
    assert!(two.contains(r#""offset":2,"message":"two""#) && three.contains(r#""offset":3,"message":"three""#));
    assert_eq!(stage.answer(ada, last), reply, "also to who listens already");
    stage.ends();
}

#[test]
fn where_a_position_is_gone_the_last_ones_come_if_they_are_asked_for() {
    let mut stage = Stage::with(small(2, Retention::Always), Place::Embedded);
    let [ada, bob] = [(); 2].map(|()| stage.connect());
    let at = stage.position(bob, "world");
    for text in ["one", "two", "three", "four"] {
        stage.says(bob, &format!(r#"{{"action":"publish","topic":"world","message":"{text}"}}"#));
    }
    let ask = |offset: u64, most: u32| {
        let after = json(Position { offset, ..at });
        format!(r#"{{"action":"subscribe","topic":"world","recover":{after},"or_last":{most}}}"#)
    };
    let gone = stage.answer(ada, &ask(1, 9));
    let [reply, three, four] = &gone[..] else { panic!("{gone:?}") };
    assert_eq!(*reply, subscribed("world", Position { offset: 4, ..at }, r#","recovered":false,"replayed":2"#));
    assert!(three.contains(r#""offset":3"#) && four.contains(r#""offset":4"#), "{gone:?}");
    let kept = stage.answer(ada, &ask(3, 1));
    assert_eq!(kept[0], subscribed("world", Position { offset: 4, ..at }, r#","recovered":true,"replayed":1"#));
    let fewer = stage.answer(ada, &ask(0, 1));
    assert_eq!((fewer.len(), &fewer[1]), (2, four));
    stage.ends();
}

#[test]
fn a_pattern_resumes_topic_by_topic_and_names_those_that_it_cannot() {
    let mut stage = Stage::with(small(2, Retention::Always), Place::Embedded);
    let [ada, bob] = [(); 2].map(|()| stage.connect());
    let [eu, us] = ["orders.eu", "orders.us"].map(|topic| stage.position(bob, topic));
    (0..3).for_each(|_| stage.says(bob, r#"{"action":"publish","topic":"orders.eu"}"#));
    stage.says(bob, r#"{"action":"publish","topic":"orders.us","message":"new"}"#);
    let each = format!(
        r#"{{"orders.eu":{},"orders.us":{},"orders.gone":{},"else":{}}}"#,
        json(eu),
        json(us),
        json(us),
        json(us)
    );
    let reply = stage.answer(ada, &format!(r#"{{"action":"subscribe","pattern":"orders.>","recover":{each}}}"#));
    let eu_gap = format!(
        r#"{{"event":"gap","topic":"orders.eu","epoch":"{}","offset":3,"reason":"not_recoverable"}}"#,
        eu.epoch
    );
    let expected = [
        r#"{"event":"subscribed","pattern":"orders.>","recovered":false,"replayed":1}"#.to_owned(),
        eu_gap,
        r#"{"event":"gap","topic":"orders.gone","reason":"not_recoverable"}"#.to_owned(),
        message("orders.us", us, 1, "new"),
    ];
    assert_eq!(reply, expected);
    stage.ends();
}

#[test]
fn what_was_missed_is_replayed_to_each_subscription_that_asks_for_it() {
    let (mut stage, at) = with_two_missed();
    let ada = stage.connect();
    assert_eq!(stage.answer(ada, &recover("a.b", at)).len(), 3, "the reply and two");
    for pattern in ["a.*", ">"] {
        let reply = stage.answer(ada, &recover_by_pattern(pattern, "a.b", at));
        let recovered = format!(r#"{{"event":"subscribed","pattern":"{pattern}","recovered":true,"replayed":2}}"#);
        assert_eq!(reply, [recovered, message("a.b", at, 1, "one"), message("a.b", at, 2, "two")]);
    }
    stage.ends();
}

#[test]
fn a_topic_that_the_first_of_several_subscriptions_resumes_comes_once_and_in_order() {
    let (mut stage, at) = with_two_missed();
    let [ada, bob] = [(); 2].map(|()| stage.connect());
    let publish = |text: &str| format!(r#"{{"action":"publish","topic":"a.b","message":"{text}"}}"#);
    stage.says(ada, &recover_by_pattern("a.*", "a.b", at));
    stage.says(bob, &publish("three"));
    stage.says(ada, r#"{"action":"subscribe","topic":"a.b"}"#);
    stage.says(bob, &publish("four"));
    stage.says(ada, &recover_by_pattern(">", "else", at));
    stage.says(bob, &publish("five"));
    let texts = ["one", "two", "three", "four", "five"];
    let messages: Vec<_> = (1..).zip(texts).map(|(offset, text)| message("a.b", at, offset, text)).collect();
    let mut heard = stage.hears(ada);
    heard.retain(|frame| frame.contains(r#""event":"message""#));
    assert_eq!(heard, messages);
    stage.ends();
}

#[test]
fn a_topic_that_only_a_pattern_hears_can_be_resumed_however_long_it_was_quiet() {
    for quiet in (0..1000).step_by(35) {
        let mut stage = Stage::with(Settings::with_seed(1), Place::Embedded);
        let [ada, bob] = [(); 2].map(|()| stage.connect());
        let at = stage.position(bob, "orders.eu");
        stage.says(bob, r#"{"action":"unsubscribe","topic":"orders.eu"}"#);
        stage.says(ada, r#"{"action":"subscribe","pattern":"orders.>"}"#);
        stage.says(bob, r#"{"action":"publish","topic":"orders.eu","message":"one"}"#);
        stage.wait(Duration::from_secs(quiet));
        stage.loses(ada);
        stage.wait(Duration::from_secs(119));
        let ada = stage.connect();
        let resume = recover_by_pattern("orders.>", "orders.eu", Position { offset: 1, ..at });
        let recovered = r#"{"event":"subscribed","pattern":"orders.>","recovered":true,"replayed":0}"#;
        assert_eq!(stage.answer(ada, &resume), [recovered], "after {quiet} s");
        stage.says(bob, r#"{"action":"publish","topic":"orders.eu","message":"two"}"#);
        assert_eq!(stage.hears(ada), [message("orders.eu", at, 2, "two")]);
        stage.ends();
    }
}

#[test]
fn who_resumes_by_a_pattern_at_the_last_moment_can_resume_again() {
    let mut stage = Stage::with(Settings::with_seed(1), Place::Embedded);
    let [ada, bob] = [(); 2].map(|()| stage.connect());
    let at = stage.position(bob, "a.b");
    stage.says(bob, r#"{"action":"unsubscribe","topic":"a.b"}"#);
    stage.wait(Duration::from_secs(239));
    let resume = recover_by_pattern("a.>", "a.b", at);
    let recovered = stage.answer(ada, &resume);
    stage.loses(ada);
    stage.wait(Duration::from_secs(119));
    let ada = stage.connect();
    assert_eq!(stage.answer(ada, &resume), recovered);
    assert!(recovered[0].contains(r#""recovered":true"#), "{recovered:?}");
    stage.ends();
}

#[test]
fn topics_that_only_a_pattern_hears_make_room_when_it_is_needed() {
    let mut stage = Stage::with(Settings { history_max_bytes: 5000, ..Settings::with_seed(1) }, Place::Embedded);
    let ada = stage.connect();
    stage.says(ada, r#"{"action":"subscribe","pattern":">"}"#);
    for number in 0..100 {
        stage.says(ada, &format!(r#"{{"action":"publish","topic":"order.{number}"}}"#));
        stage.wait(Duration::from_secs(60));
    }
    assert!(stage.memory().histories() > 5 && stage.memory().history_bytes() <= 5000);
    stage.ends();
}

#[test]
fn what_a_pattern_hears_can_be_resumed_from_however_little_room_there_is() {
    let mut stage = Stage::with(Settings { history_max_bytes: 1500, ..Settings::with_seed(1) }, Place::Embedded);
    let [ada, bob] = [(); 2].map(|()| stage.connect());
    stage.says(ada, r#"{"action":"subscribe","pattern":">"}"#);
    (0..20).for_each(|_| stage.says(bob, r#"{"action":"publish","topic":"world"}"#));
    assert!(stage.hears(ada).last().is_some_and(|last| last.contains(r#""offset":20"#)), "its epoch goes on");
    assert!(stage.memory().history_bytes() <= 1500);
    stage.ends();
}

#[test]
fn what_was_resumed_or_read_last_goes_last_when_room_is_needed_also_after_a_restart() {
    let publish = |topic: &str| format!(r#"{{"action":"publish","topic":"{topic}"}}"#);
    let settings = Settings { history_max_bytes: 2700, ..small(9, Retention::Always) };
    let mut stage = Stage::with(settings, Place::Embedded);
    let ada = stage.connect();
    ["one", "two", "three"].iter().for_each(|topic| stage.says(ada, &publish(topic)));
    let at = stage.saved().iter().find(|history| history.topic.as_str() == "one").map(|one| one.epoch);
    let at = Position { epoch: at.expect("the topic has a history"), offset: 0 };
    stage.says(ada, &recover_by_pattern(">", "one", at));
    stage.says(ada, r#"{"id":1,"action":"history","topic":"three"}"#);
    stage.restart(true);
    let ada = stage.connect();
    stage.says(ada, &publish("four"));
    stage.says(ada, &publish("five"));
    let left = stage.saved();
    let left: Vec<_> = left.iter().map(|history| history.topic.as_str()).collect();
    assert_eq!(left, ["five", "four", "one", "three"]);
    stage.ends();
}

#[test]
fn what_is_older_than_the_ttl_is_not_replayed() {
    let mut stage = Stage::with(Settings::with_seed(1), Place::Embedded);
    let ada = stage.connect();
    let at = stage.position(ada, "world");
    stage.says(ada, r#"{"action":"publish","topic":"world"}"#);
    stage.wait(Duration::from_secs(120));
    let bob = stage.connect();
    let reply = stage.answer(bob, &recover("world", at));
    let end = Position { offset: 1, ..at };
    assert_eq!(reply, [subscribed("world", end, r#","recovered":false,"replayed":0"#)]);
    stage.ends();
}

/// A stage with two publications to `a.b`, and the position before them.
fn with_two_missed() -> (Stage, Position) {
    let mut stage = Stage::with(small(9, Retention::Always), Place::Embedded);
    let host = stage.connect();
    let at = stage.position(host, "a.b");
    for text in ["one", "two"] {
        stage.says(host, &format!(r#"{{"action":"publish","topic":"a.b","message":"{text}"}}"#));
    }
    (stage, at)
}

/// A `subscribe` to a pattern that resumes one topic after a position.
fn recover_by_pattern(pattern: &str, topic: &str, after: Position) -> String {
    format!(r#"{{"action":"subscribe","pattern":"{pattern}","recover":{{"{topic}":{}}}}}"#, json(after))
}
