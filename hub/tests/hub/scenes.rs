//! Sessions, subscriptions, delivery and limits, as transcripts of frames.

use crate::alphabet::Place;
use crate::stage::{Stage, id_of};
use hubcast_hub::{Input, Limits, SessionId, Settings};
use hubcast_protocol::{ClientId, Slow};
use std::time::Duration;

#[test]
fn a_session_is_welcomed_with_its_id_and_the_limits() {
    let mut stage = Stage::with(Settings { server: "hubcast/x".into(), ..Settings::with_seed(1) }, Place::Embedded);
    let (session, client) = (SessionId(1), ClientId::from_random([7; 16]));
    stage.tell(Input::connect(session, client));
    let welcome = concat!(
        r#"{"event":"welcome","client":"07070707-0707-4707-8707-070707070707","server":"hubcast/x","ping":25000,"#,
        r#""limits":{"message":65536,"topic":1024,"subscriptions":1000}}"#
    );
    assert_eq!(stage.hears(session), [welcome]);
}

#[test]
fn a_publication_reaches_the_subscribers_and_the_publisher_learns_how_many() {
    let mut stage = Stage::new();
    let [ada, bob] = [(); 2].map(|()| stage.connect());
    for session in [ada, bob] {
        let reply = stage.answer(session, r#"{"id":1,"action":"subscribe","topic":"world"}"#);
        assert_eq!(reply, [r#"{"event":"subscribed","id":1,"topic":"world"}"#]);
    }
    let heard = r#"{"event":"message","topic":"world","message":"hi"}"#;
    let published = r#"{"event":"published","id":2,"topic":"world","receivers":2}"#;
    assert_eq!(stage.answer(ada, r#"{"id":2,"action":"publish","topic":"world","message":"hi"}"#), [heard, published]);
    assert_eq!(stage.hears(bob), [heard]);
    stage.ends();
}

#[test]
fn a_session_gets_one_copy_whatever_matches() {
    let mut stage = Stage::new();
    let ada = stage.connect();
    for target in [r#""topic":"a.b""#, r#""pattern":"a.*""#, r#""pattern":">""#, r#""pattern":"*.b""#] {
        stage.says(ada, &format!(r#"{{"action":"subscribe",{target}}}"#));
    }
    stage.hears(ada);
    let heard = stage.answer(ada, r#"{"action":"publish","topic":"a.b","message":1}"#);
    assert_eq!(heard, [r#"{"event":"message","topic":"a.b","message":1}"#]);
    stage.ends();
}

#[test]
fn subscribing_twice_is_undone_by_unsubscribing_once() {
    let mut stage = Stage::new();
    let ada = stage.connect();
    stage.says(ada, r#"{"action":"subscribe","topic":"a"}"#);
    stage.says(ada, r#"{"action":"subscribe","topic":"a"}"#);
    stage.says(ada, r#"{"action":"unsubscribe","topic":"a"}"#);
    stage.hears(ada);
    let published = r#"{"event":"published","id":1,"topic":"a","receivers":0}"#;
    assert_eq!(stage.answer(ada, r#"{"id":1,"action":"publish","topic":"a"}"#), [published]);
    stage.ends();
}

#[test]
fn with_echo_false_everyone_but_the_publisher_hears_it_and_is_counted() {
    let mut stage = Stage::new();
    let [ada, bob] = [(); 2].map(|()| stage.connect());
    for session in [ada, bob] {
        stage.says(session, r#"{"action":"subscribe","topic":"a"}"#);
        stage.hears(session);
    }
    let published = r#"{"event":"published","id":1,"topic":"a","receivers":1}"#;
    assert_eq!(stage.answer(ada, r#"{"id":1,"action":"publish","topic":"a","echo":false}"#), [published]);
    assert_eq!(stage.hears(bob), [r#"{"event":"message","topic":"a","message":""}"#]);
    stage.ends();
}

#[test]
fn a_direct_message_needs_no_subscription_and_no_pattern_overhears_it() {
    let mut stage = Stage::new();
    let [ada, eve] = [(); 2].map(|()| stage.connect());
    stage.says(eve, r#"{"action":"subscribe","pattern":">"}"#);
    stage.hears(eve);
    let topic = id_of(ada);
    let refused = stage.answer(eve, &format!(r#"{{"id":1,"action":"subscribe","topic":"{topic}"}}"#));
    assert_eq!(codes(&refused), ["forbidden"]);
    let published = stage.answer(eve, &format!(r#"{{"id":2,"action":"publish","topic":"{topic}","message":"psst"}}"#));
    assert_eq!(published, [format!(r#"{{"event":"published","id":2,"topic":"{topic}","receivers":1}}"#)]);
    assert_eq!(stage.hears(ada), [format!(r#"{{"event":"message","topic":"{topic}","message":"psst"}}"#)]);
    stage.ends();
}

#[test]
fn the_owner_of_a_private_topic_can_stop_listening_and_begin_again() {
    let mut stage = Stage::new();
    let ada = stage.connect();
    let topic = id_of(ada);
    let publish = format!(r#"{{"action":"publish","topic":"{topic}"}}"#);
    stage.says(ada, &format!(r#"{{"action":"unsubscribe","topic":"{topic}"}}"#));
    stage.hears(ada);
    assert_eq!(stage.answer(ada, &publish), [""; 0]);
    stage.says(ada, &format!(r#"{{"action":"subscribe","topic":"{topic}"}}"#));
    stage.hears(ada);
    assert_eq!(stage.answer(ada, &publish), [format!(r#"{{"event":"message","topic":"{topic}","message":""}}"#)]);
    stage.ends();
}

#[test]
fn nobody_listens_to_the_topic_of_a_user_or_of_an_id_in_upper_case() {
    let mut stage = Stage::new();
    let ada = stage.connect();
    for topic in ["@ada".to_owned(), id_of(ada).to_string().to_uppercase()] {
        let refused = stage.answer(ada, &format!(r#"{{"id":1,"action":"subscribe","topic":"{topic}"}}"#));
        assert_eq!(codes(&refused), ["forbidden"], "{topic}");
        let published = stage.answer(ada, &format!(r#"{{"id":2,"action":"publish","topic":"{topic}"}}"#));
        assert_eq!(published, [format!(r#"{{"event":"published","id":2,"topic":"{topic}","receivers":0}}"#)]);
    }
    stage.ends();
}

#[test]
fn a_limit_refuses_and_the_session_goes_on() {
    let limits = Limits { topic: 36, subscriptions: 2, requests_per_second: None };
    let mut stage = Stage::with(Settings { limits, ..Settings::with_seed(1) }, Place::Embedded);
    let ada = stage.connect();
    let mut code_of = |target: &str| {
        let reply = stage.answer(ada, &format!(r#"{{"id":1,"action":"subscribe",{target}}}"#));
        codes(&reply).join(" ")
    };
    let (just, over) = ("t".repeat(36), "t".repeat(37));
    assert_eq!(code_of(&format!(r#""topic":"{over}""#)), "invalid_topic");
    assert_eq!(code_of(&format!(r#""pattern":"{over}""#)), "invalid_pattern");
    assert_eq!(code_of(&format!(r#""topic":"{just}""#)), "");
    assert_eq!(code_of(r#""pattern":"*""#), "");
    assert_eq!(code_of(r#""topic":"one more""#), "limit_exceeded");
    assert_eq!(code_of(r#""pattern":"*""#), "", "twice is the same as once");
    assert_eq!(code_of(&format!(r#""topic":"{}""#, id_of(ada))), "", "the own id does not count");
    let refused = stage.answer(ada, &format!(r#"{{"id":2,"action":"publish","topic":"{over}"}}"#));
    assert_eq!(codes(&refused), ["invalid_topic"]);
    assert_eq!(stage.answer(ada, r#"{"id":3,"action":"ping"}"#), [r#"{"event":"pong","id":3}"#]);
    stage.ends();
}

#[test]
fn who_asks_too_often_is_refused_then_closed_and_who_slows_down_goes_on() {
    let limits = Limits { requests_per_second: Some(2), ..Limits::default() };
    let mut stage = Stage::with(Settings { limits, ..Settings::with_seed(1) }, Place::Embedded);
    let [ada, bob] = [(); 2].map(|()| stage.connect());
    let ping = r#"{"id":1,"action":"ping"}"#;
    for session in [ada, bob] {
        for expected in [false, false, true, true] {
            let reply = stage.answer(session, ping);
            assert_eq!(codes(&reply) == ["rate_limited"], expected, "{reply:?}");
        }
    }
    assert_eq!(stage.answer(ada, ping), ["close 4003 too many requests"]);
    assert_eq!(stage.answer(ada, ping), [""; 0], "once");
    stage.wait(Duration::from_millis(1500));
    assert_eq!(stage.answer(bob, ping), [r#"{"event":"pong","id":1}"#]);
    stage.ends();
}

#[test]
fn who_is_disconnected_learns_when_to_come_back_before_the_close() {
    let mut stage = Stage::new();
    let [ada, bob] = [(); 2].map(|()| stage.connect());
    stage.disconnect(ada, Some(1834));
    stage.disconnect(bob, None);
    let closing = r#"{"event":"closing","code":1012,"reason":"restarting","reconnect_in_ms":1834}"#;
    assert_eq!(stage.hears(ada), [closing, "close 1012 restarting"]);
    let closing = r#"{"event":"closing","code":1012,"reason":"restarting"}"#;
    assert_eq!(stage.hears(bob), [closing, "close 1012 restarting"]);
    stage.ends();
}

#[test]
fn requests_behind_an_open_question_wait_and_are_answered_in_order() {
    let mut stage = Stage::forgetful(Place::Elsewhere);
    let ada = stage.connect();
    stage.says(ada, r#"{"id":1,"action":"subscribe","topic":"a"}"#);
    stage.says(ada, r#"{"id":2,"action":"ping"}"#);
    stage.says(ada, r#"{"id":3,"action":"nonsense"}"#);
    stage.says(ada, r#"{"id":4,"action":"publish","topic":"a"}"#);
    stage.says(ada, r#"{"id":5,"action":"unsubscribe","topic":"a"}"#);
    assert_eq!(stage.hears(ada), [""; 0]);
    stage.engine_answers();
    let [subscribed, pong, error] = &stage.hears(ada)[..] else { panic!("three answers come before the publish") };
    assert_eq!(subscribed, r#"{"event":"subscribed","id":1,"topic":"a"}"#);
    assert_eq!(pong, r#"{"event":"pong","id":2}"#);
    assert_eq!(codes(std::slice::from_ref(error)), ["unknown_action"]);
    stage.engine_answers();
    let message = r#"{"event":"message","topic":"a","message":""}"#;
    let published = r#"{"event":"published","id":4,"topic":"a","receivers":1}"#;
    let unsubscribed = r#"{"event":"unsubscribed","id":5,"topic":"a"}"#;
    assert_eq!(stage.hears(ada), [message, published, unsubscribed]);
    stage.ends();
}

#[test]
fn so_many_requests_wait_behind_an_open_question_and_more_are_refused_at_once() {
    let mut stage = Stage::forgetful(Place::Elsewhere);
    let [ada, bob] = [(); 2].map(|()| stage.connect());
    stage.says(ada, r#"{"id":"first","action":"subscribe","topic":"a"}"#);
    let ping = |id: usize| format!(r#"{{"id":{id},"action":"ping"}}"#);
    (1..=256).for_each(|id| stage.says(ada, &ping(id)));
    assert_eq!(stage.hears(ada), [""; 0]);
    for id in [257, 258] {
        let refused = stage.answer(ada, &ping(id));
        assert!(
            refused[0].starts_with(&format!(r#"{{"event":"error","id":{id},"code":"unavailable","#)),
            "{refused:?}"
        );
        assert!(refused[0].ends_with(r#""retry":true}"#), "{refused:?}");
    }
    assert_eq!(stage.answer(bob, &ping(1)), [r#"{"event":"pong","id":1}"#], "others are not held up");
    stage.engine_answers();
    let subscribed = r#"{"event":"subscribed","id":"first","topic":"a"}"#.to_owned();
    let pongs = (1..=256).map(|id| format!(r#"{{"event":"pong","id":{id}}}"#));
    assert_eq!(stage.hears(ada), [subscribed].into_iter().chain(pongs).collect::<Vec<_>>());
    assert_eq!(stage.answer(ada, &ping(259)), [r#"{"event":"pong","id":259}"#]);
    stage.ends();
}

#[test]
fn an_answer_to_one_who_has_gone_delivers_and_does_not_reach_who_has_the_name_now() {
    let mut stage = Stage::forgetful(Place::Elsewhere);
    let [ada, bob] = [(); 2].map(|()| stage.connect());
    stage.says(bob, r#"{"action":"subscribe","topic":"a"}"#);
    stage.engine_answers();
    stage.hears(bob);
    stage.says(ada, r#"{"id":1,"action":"publish","topic":"a"}"#);
    stage.says(ada, r#"{"id":2,"action":"subscribe","topic":"a"}"#);
    stage.says(ada, r#"{"id":3,"action":"publish","topic":"a","message":"last words"}"#);
    stage.closed(ada);
    stage.tell(Input::connect(ada, ClientId::from_random([7; 16])));
    stage.hears(ada);
    stage.engine_answers();
    stage.engine_answers();
    let expected = ["", "last words"].map(|text| format!(r#"{{"event":"message","topic":"a","message":"{text}"}}"#));
    assert_eq!(stage.hears(bob), expected);
    assert_eq!(stage.hears(ada), [""; 0]);
    stage.ends();
}

#[test]
fn what_a_subscription_wants_when_too_slow_goes_with_each_delivery() {
    let mut stage = Stage::new();
    let [ada, bob] = [(); 2].map(|()| stage.connect());
    let own = id_of(ada);
    let subscribe = |stage: &mut Stage, rest: &str| stage.says(ada, &format!(r#"{{"action":"subscribe",{rest}}}"#));
    let policy = |stage: &mut Stage, topic: &str| {
        stage.says(bob, &format!(r#"{{"action":"publish","topic":"{topic}"}}"#));
        stage.receivers().iter().map(|receiver| receiver.slow).collect::<Vec<_>>()
    };
    assert_eq!(policy(&mut stage, &own.to_string()), [Slow::Disconnect]);
    subscribe(&mut stage, &format!(r#""topic":"{own}","slow":"latest""#));
    assert_eq!(policy(&mut stage, &own.to_string()), [Slow::Latest]);
    subscribe(&mut stage, r#""pattern":"a.*","slow":"drop""#);
    assert_eq!(policy(&mut stage, "a.b"), [Slow::Drop]);
    subscribe(&mut stage, r#""topic":"a.b","slow":"latest""#);
    assert_eq!(policy(&mut stage, "a.b"), [Slow::Latest], "the topic's counts");
    subscribe(&mut stage, r#""topic":"a.b""#);
    assert_eq!(policy(&mut stage, "a.b"), [Slow::Disconnect], "what was said last counts");
    assert!(!stage.may_skip(ada));
    stage.says(ada, r#"{"action":"unsubscribe","topic":"a.b"}"#);
    assert!(stage.may_skip(ada), "all that it subscribed to may be left out");
    stage.says(ada, r#"{"action":"unsubscribe","pattern":"a.*"}"#);
    assert!(!stage.may_skip(ada), "it subscribed to nothing");
    stage.ends();
}

/// The error codes in these frames.
fn codes(frames: &[String]) -> Vec<&str> {
    let after_code = |frame: &'_ String| frame.find(r#""code":""#).map(|at| at + r#""code":""#.len());
    frames.iter().filter_map(|frame| after_code(frame).and_then(|at| frame[at..].split('"').next())).collect()
}
