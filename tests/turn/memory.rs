//! The limit on what waits in the whole server, and the cache of encoded replays.

use crate::stage::Stage;
use hubcast_hub::{TopicPolicy, TopicRule, TopicRules};
use hubcast_protocol::Event;
use hubcast_protocol::event::GapReason;
use hubcast_server::Config;
use std::time::Duration;

/// A server with two workers and three readers, each with a topic of its own: 400 KB wait for the first, 300 KB for the
/// second and 200 KB for the third. The limit is one megabyte, and an eighth more for what the allocator needs.
fn three_readers(slow: &str) -> (Stage, usize, [usize; 3]) {
    let mut stage = Stage::new(2, Config { max_waiting: 1_125_000, rules: without_history(), ..Config::default() });
    let publisher = stage.connect(0, usize::MAX);
    let readers = [(1, 8), (0, 6), (1, 4)].map(|(worker, count)| {
        let reader = stage.connect(worker, usize::MAX);
        stage.say(reader, &format!(r#"{{"action":"subscribe","topic":"n.{reader}","slow":"{slow}"}}"#));
        stage.settle();
        stage.end(reader).fill();
        (0..count).for_each(|_| stage.publish(publisher, &format!("n.{reader}"), 50_000));
        stage.pass(A_WHILE);
        reader
    });
    (stage, publisher, readers)
}

#[test]
fn of_all_who_wait_only_the_one_with_most_is_closed_when_it_is_too_much() {
    let (mut stage, publisher, [first, second, third]) = three_readers("disconnect");
    assert!((850_000..1_000_000).contains(&stage.server.waiting()), "{}", stage.server.waiting());
    (0..3).for_each(|_| stage.publish(publisher, &format!("n.{third}"), 50_000));
    stage.pass(A_WHILE);
    [first, second, third].iter().for_each(|reader| stage.end(*reader).give_room(1 << 20));
    stage.settle();
    let closed = [first, second, third].map(|reader| stage.closed_with(reader));
    assert_eq!(closed, [Some(4002), None, None]);
    assert_eq!([second, third].map(|reader| stage.messages(reader)), [6, 7]);
}

#[test]
fn of_all_who_wait_only_the_one_with_most_misses_something_where_it_allows_that() {
    let (mut stage, publisher, [first, second, third]) = three_readers("drop");
    (0..3).for_each(|_| stage.publish(publisher, &format!("n.{third}"), 50_000));
    stage.pass(A_WHILE);
    [first, second, third].iter().for_each(|reader| stage.end(*reader).give_room(1 << 20));
    stage.settle();
    let missed = [first, second, third].map(|reader| {
        assert_eq!(stage.closed_with(reader), None);
        let is_gap = |event: &Event| matches!(event, Event::Gap(gap) if gap.reason == GapReason::SlowConsumer);
        stage.events(reader).iter().any(is_gap)
    });
    assert_eq!(missed, [true, false, false]);
    assert_eq!([second, third].map(|reader| stage.messages(reader)), [6, 7]);
}

#[test]
fn what_is_kept_for_those_who_missed_the_same_stays_bounded_and_is_forgotten() {
    let mut stage = Stage::new(1, Config::default());
    let publisher = stage.connect(0, usize::MAX);
    let topics = 100;
    for topic in 0..topics {
        stage.listen(0, &format!("t.{topic}"));
        (0..3).for_each(|_| stage.publish(publisher, &format!("t.{topic}"), 20_000));
    }
    stage.settle();
    let crowd: Vec<usize> = (0..topics).map(|_| stage.connect(0, usize::MAX)).collect();
    stage.settle();
    let mut most = 0;
    for (topic, newcomer) in crowd.iter().enumerate() {
        // One subscribes in every turn, so that the cache is not dropped because no client asks.
        stage.say(*newcomer, &format!(r#"{{"action":"subscribe","topic":"t.{topic}","last":3}}"#));
        stage.take_turn(0);
        most = most.max(stage.server.load(0).replay_cache);
    }
    assert!((900_000..1_200_000).contains(&most), "{most} bytes were kept");
    stage.settle();
    assert!(crowd.iter().all(|newcomer| stage.messages(*newcomer) == 3));
    stage.say(publisher, r#"{"id":1,"action":"ping"}"#);
    stage.settle();
    assert_eq!(stage.server.load(0).replay_cache, 0);
}

/// Rules without history. Bytes that a history keeps anyway would not count as waiting.
fn without_history() -> TopicRules {
    let policy = TopicPolicy { history: None, ..TopicPolicy::default() };
    TopicRules { list: vec![TopicRule { pattern: ">".parse().expect("it is a pattern"), policy }] }
}

/// Longer than the pause of a publisher whose receiver's outbox is nearly full.
const A_WHILE: Duration = Duration::from_millis(500);
