//! Idempotency keys and producers, as transcripts of frames.

use crate::alphabet::Place;
use crate::stage::{Stage, repeated};
use hubcast_hub::{SessionId, Settings};
use std::time::Duration;

#[test]
fn hundreds_of_thousands_of_keys_of_others_do_not_make_one_key_forgotten() {
    is_remembered_among_others(r#""key":"order-17""#, text);
}

#[test]
fn hundreds_of_thousands_of_producers_of_others_do_not_make_one_forgotten() {
    is_remembered_among_others(&numbered("the producer of Ada", 7), |number| {
        numbered(&format!("producer {number:09}"), 1)
    });
}

/// Publishes with a key, lets four other sessions use 300,000 keys, and publishes with the first key again. The
/// publication must take effect once.
fn is_remembered_among_others(key: &str, of_others: impl Fn(usize) -> String) {
    let (mut stage, ada, bob) = cast();
    let first = stage.answer(ada, &publish("paid", key));
    assert_eq!(stage.hears(bob).len(), 1);
    let others = [(); 4].map(|()| stage.connect());
    for number in 0..300_000 {
        let key = of_others(number);
        stage.says(others[number % 4], &format!(r#"{{"action":"publish","topic":"else",{key}}}"#));
    }
    assert_eq!(stage.answer(ada, &publish("paid", key)), repeated(&first));
    assert_eq!(stage.hears(bob), [""; 0]);
    stage.ends();
}

#[test]
fn what_a_producer_numbers_is_delivered_once_and_answered_the_same_also_after_a_reconnect() {
    let (mut stage, ada, bob) = cast();
    let publishes = [1, 2].map(|sequence| publish("paid", &numbered("the producer of Ada", sequence)));
    let first = [r#"{"event":"published","id":1,"topic":"world","offset":1,"receivers":1}"#.to_owned()];
    assert_eq!(stage.answer(ada, &publishes[0]), first);
    stage.answer(ada, &publishes[1]);
    assert_eq!(stage.hears(bob).len(), 2);
    stage.loses(ada);
    let ada = stage.connect();
    assert_eq!(stage.answer(ada, &publishes[0]), repeated(&first));
    assert_eq!(stage.hears(bob), [""; 0]);
    stage.wait(Duration::from_secs(120));
    stage.answer(ada, &publishes[0]);
    assert_eq!(stage.hears(bob).len(), 1, "the window is over");
    stage.ends();
}

#[test]
fn a_number_below_the_last_ones_of_its_producer_is_refused_and_a_lower_one_within_them_is_new() {
    let (mut stage, ada, bob) = cast();
    let say = |sequence| publish("paid", &numbered("the producer of Ada", sequence));
    for sequence in (1..=256).map(|number| 2 * number) {
        stage.says(ada, &say(sequence));
    }
    assert_eq!((stage.hears(ada).len(), stage.hears(bob).len()), (256, 256));
    let refused = r#"{"event":"error","id":1,"code":"sequence_too_old","reason":"this sequence is below the last ones of its producer: whether it was published is not known","retry":false}"#;
    assert_eq!(stage.answer(ada, &say(1)), [refused], "it would be pushed out at once");
    assert_eq!(
        stage.answer(ada, &say(3)),
        [r#"{"event":"published","id":1,"topic":"world","offset":257,"receivers":1}"#]
    );
    assert_eq!(stage.answer(ada, &say(2)), [refused], "the one before made room");
    assert_eq!(
        stage.answer(ada, &say(4)),
        [r#"{"event":"published","id":1,"topic":"world","offset":2,"receivers":1,"duplicate":true}"#]
    );
    assert_eq!(stage.hears(bob).len(), 1, "of all these one took effect");
    stage.ends();
}

#[test]
fn a_number_that_is_used_with_another_topic_is_refused() {
    let (mut stage, ada, _) = cast();
    let key = numbered("the producer of Ada", 7);
    stage.answer(ada, &publish("paid", &key));
    let refused = r#"{"event":"error","id":1,"code":"invalid_request","reason":"this sequence was used with another topic","retry":false}"#;
    let other = format!(r#"{{"id":1,"action":"publish","topic":"other",{key}}}"#);
    assert_eq!(stage.answer(ada, &other), [refused]);
    stage.ends();
}

#[test]
fn two_users_with_the_same_key_do_not_take_each_others_effect() {
    let (mut stage, nobody, bob) = cast();
    for key in [r#""key":"order-17""#, &numbered("the producer of all", 7)] {
        let [ada, eve] = ["ada", "eve"].map(|user| stage.connect_as(user));
        for (publisher, delivered) in [(ada, 1), (eve, 1), (nobody, 1), (ada, 0), (eve, 0), (nobody, 0)] {
            stage.answer(publisher, &publish("paid", key));
            assert_eq!(stage.hears(bob).len(), delivered);
        }
        let again = stage.connect_as("ada");
        stage.answer(again, &publish("paid", key));
        assert_eq!(stage.hears(bob), [""; 0], "a key is the user's, on whatever connection");
    }
    stage.ends();
}

#[test]
fn a_restart_keeps_the_keys_and_producers_of_each_user() {
    let (mut stage, nobody, bob) = cast();
    let keys = [text(17), numbered("the producer of all", 7)];
    let ada = stage.connect_as("ada");
    let answers =
        keys.clone().map(|key| [ada, nobody].map(|publisher| stage.answer(publisher, &publish("paid", &key))));
    assert_eq!(stage.hears(bob).len(), 4);
    stage.wait(Duration::from_secs(60));
    stage.restart(true);
    let [bob, nobody] = [(); 2].map(|()| stage.connect());
    stage.position(bob, "world");
    let [ada, eve] = ["ada", "eve"].map(|user| stage.connect_as(user));
    for (key, first) in keys.iter().zip(answers) {
        let again = [ada, nobody].map(|publisher| stage.answer(publisher, &publish("paid", key)));
        assert_eq!(again, first.map(|first| repeated(&first)));
        assert_eq!(stage.hears(bob), [""; 0]);
        stage.answer(eve, &publish("paid", key));
        assert_eq!(stage.hears(bob).len(), 1, "what others used is new to her");
    }
    stage.wait(Duration::from_secs(60));
    for key in &keys {
        stage.answer(ada, &publish("paid", key));
        assert_eq!(stage.hears(bob).len(), 1, "its window is over, with the time before the restart");
    }
    stage.ends();
}

#[test]
fn what_a_lost_session_left_behind_has_the_keys_of_its_user() {
    let mut stage = Stage::with(Settings::with_seed(1), Place::Elsewhere);
    let ada = stage.connect_as("ada");
    let waiting = publish("paid", r#""key":"order-17""#);
    stage.says(ada, &publish("first", r#""key":"order-16""#));
    stage.says(ada, &waiting);
    stage.loses(ada);
    (0..2).for_each(|_| stage.engine_answers());
    let bob = stage.connect();
    stage.says(bob, r#"{"action":"subscribe","topic":"world"}"#);
    stage.engine_answers();
    stage.hears(bob);
    let ada = stage.connect_as("ada");
    stage.says(ada, &waiting);
    stage.engine_answers();
    assert_eq!(stage.hears(ada).len(), 1);
    assert_eq!(stage.hears(bob), [""; 0], "it took effect after the client had left");
    stage.ends();
}

/// A stage with two sessions, Ada and Bob. Bob subscribes to the topic `world`.
fn cast() -> (Stage, SessionId, SessionId) {
    let mut stage = Stage::with(Settings::with_seed(1), Place::Embedded);
    let [ada, bob] = [(); 2].map(|()| stage.connect());
    stage.position(bob, "world");
    (stage, ada, bob)
}

/// The frame that publishes a message to `world` with a key.
fn publish(message: &str, key: &str) -> String {
    format!(r#"{{"id":1,"action":"publish","topic":"world","message":"{message}",{key}}}"#)
}

/// A text key, as part of a frame.
fn text(number: usize) -> String {
    format!(r#""key":"key {number}""#)
}

/// A producer and a sequence number, as part of a frame.
fn numbered(producer: &str, sequence: u64) -> String {
    format!(r#""producer":"{producer}","sequence":{sequence}"#)
}
