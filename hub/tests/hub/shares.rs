//! How all histories share the bytes that they may use together: a topic with many bytes loses its own oldest
//! publications first.

use crate::alphabet::Place;
use crate::driver::Driver;
use crate::seen::Seen;
use crate::shares_model::{Deed, Shares, deeds};
use crate::stage::{id_of, keeping, small};
use hubcast_hub::{Evicted, HistoryPolicy, Hub, Input, Retention, SessionId, Settings, Snapshot, TopicPolicy};
use hubcast_protocol::event::Subscribed;
use hubcast_protocol::request::{Action, Publish, Start, Subscribe};
use hubcast_protocol::{Event, Pattern, Payload, Position, Request, Target, Topic};
use proptest::prelude::{ProptestConfig, prop_assert_eq, proptest};
use std::collections::HashMap;
use std::time::{Duration, Instant};

#[test]
fn who_publishes_200_mb_to_twenty_topics_costs_the_quiet_ones_nothing() {
    let mut driver = Driver::new(Settings::with_seed(1), Place::Embedded);
    driver.tell(Input::connect(ADA, id_of(ADA)));
    driver.tell(subscribe(pattern(">"), Start::Live));
    let quiet: Vec<_> = (0..100).map(|number| Topic::new(format!("quiet.{number}"))).collect();
    for topic in quiet.iter().flat_map(|topic| [topic; 20]) {
        driver.tell(publish(topic.clone(), "small".into()));
    }
    let much = Payload::from("x".repeat(60_000).as_str());
    for number in 0..200_000_000 / 60_000 {
        driver.tell(publish(Topic::new(format!("loud.{}", number % 20)), much.clone()));
        assert!(driver.memory().history_bytes() <= Settings::with_seed(1).history_max_bytes);
    }

    let saved = driver.memory().save(driver.now()).histories;
    let epochs: HashMap<_, _> = saved.iter().map(|saved| (saved.topic.clone(), saved.epoch)).collect();
    for topic in quiet {
        let start = Start::After(Position { epoch: epochs[&topic], offset: 0 });
        let seen = driver.tell(subscribe(topic.into(), start));
        assert_eq!(seen.iter().find_map(resumed), Some((Some(true), Some(20))));
    }
    let loud = saved.iter().filter(|saved| saved.topic.as_str().starts_with("loud"));
    assert!(loud.clone().all(|saved| saved.last >= 166), "no loud one began anew");
    let counts: Vec<_> = loud.map(|saved| saved.entries.len()).collect();
    assert!(counts.len() == 20 && counts.iter().all(|count| (50..60).contains(count)), "each as much: {counts:?}");
    assert!(driver.memory().evicted().publications > 0);
    assert_eq!(driver.memory().evicted().histories, 0);
}

#[test]
fn the_topic_furthest_above_its_share_loses_its_oldest_and_keeps_its_epoch() {
    let mut driver =
        Driver::new(Settings { history_max_bytes: 1_000_000, ..small(100, Retention::Always) }, Place::Embedded);
    driver.tell(Input::connect(ADA, id_of(ADA)));
    let mut say = |topic: &str, times: usize| {
        for _ in 0..times {
            driver.tell(publish(topic.into(), "x".repeat(10_000).as_str().into()));
        }
        let saved = driver.memory().save(driver.now()).histories;
        let mut kept: Vec<_> = saved.into_iter().map(|saved| (saved.topic, saved.last, saved.entries.len())).collect();
        kept.sort();
        kept
    };
    let kept = |topic: &str, last, count| (Topic::from(topic), last, count);
    say("first", 30);
    assert_eq!(say("large", 60), [kept("first", 30, 30), kept("large", 60, 60)]);
    let then = say("new", 20);
    assert_eq!(
        then,
        [kept("first", 30, 30), kept("large", 60, 48), kept("new", 20, 20)],
        "the first is unused longest"
    );
    let then = say("new", 60);
    assert_eq!(then, [kept("first", 30, 30), kept("large", 60, 34), kept("new", 80, 34)], "its own oldest go too");
}

#[test]
fn of_topics_within_the_least_share_the_one_unused_longest_goes() {
    let mut driver =
        Driver::new(Settings { history_max_bytes: 100_000, ..small(100, Retention::Always) }, Place::Embedded);
    driver.tell(Input::connect(ADA, id_of(ADA)));
    for topic in ["one", "two", "three"] {
        for _ in 0..4 {
            driver.tell(publish(topic.into(), "x".repeat(10_000).as_str().into()));
        }
    }
    let left: Vec<_> = driver.memory().save(driver.now()).histories.into_iter().map(|saved| saved.topic).collect();
    assert_eq!(left, ["two", "three"].map(Topic::from));
    assert_eq!(driver.memory().evicted(), Evicted { publications: 4, histories: 1 });
}

#[test]
fn what_a_rule_drops_is_not_evicted() {
    let history = Some(HistoryPolicy { size: 2, ttl: Duration::from_secs(1), keep: Retention::Always });
    let mut driver = Driver::new(keeping(TopicPolicy { history, ..TopicPolicy::default() }), Place::Embedded);
    driver.tell(Input::connect(ADA, id_of(ADA)));
    (0..5).for_each(|_| _ = driver.tell(publish("world".into(), "small".into())));
    driver.wait(Duration::from_secs(60));
    assert_eq!((driver.memory().histories(), driver.memory().evicted()), (0, Evicted::default()));
}

#[test]
fn another_process_with_fewer_bytes_takes_up_small_histories_whole_and_the_end_of_large_ones() {
    let mut driver = Driver::new(small(100, Retention::Always), Place::Embedded);
    driver.tell(Input::connect(ADA, id_of(ADA)));
    for (topic, times) in [("small", 3), ("large", 80)] {
        (0..times).for_each(|_| _ = driver.tell(publish(topic.into(), "x".repeat(10_000).as_str().into())));
    }
    let Snapshot { histories, keys, producers } = driver.memory().save(driver.now());
    let mut hub = Hub::new(Settings { seed: 2, history_max_bytes: 500_000, ..small(100, Retention::Always) });
    hub.restore(driver.now(), Snapshot { histories: histories.clone(), keys, producers });
    let restored = hub.save(driver.now()).histories;
    assert_eq!(restored[0], histories[0]);
    assert_eq!((restored[1].epoch, restored[1].last), (histories[1].epoch, 80));
    assert_eq!(restored[1].entries, histories[1].entries[80 - restored[1].entries.len()..]);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn histories_share_their_bytes_as_the_naive_rule_says((most_bytes, deeds) in deeds()) {
        let (mut shares, now) = (Shares::new(most_bytes), Instant::now());
        for deed in deeds {
            let deed: Deed = deed;
            shares.perform(now, deed);
            prop_assert_eq!(shares.in_the_hub(now), shares.in_the_model(), "after {:?}", deed);
        }
    }
}

/// The only session of these tests.
const ADA: SessionId = SessionId(1);

/// The pattern with this text, as a target.
fn pattern(text: &str) -> Target {
    text.parse::<Pattern>().expect("a pattern").into()
}

/// A subscribe of Ada.
fn subscribe(target: Target, start: Start) -> Input {
    ask(Subscribe { start, ..Subscribe::live(target) })
}

/// A publication of Ada, which does not get it itself.
fn publish(topic: Topic, payload: Payload) -> Input {
    ask(Publish { topic, payload, echo: false, key: None })
}

/// A request of Ada.
fn ask(action: impl Into<Action>) -> Input {
    Input::Request { session: ADA, request: Ok(Request::from(action.into())) }
}

/// `recovered` and `replayed` in the reply to a subscribe.
fn resumed(seen: &Seen) -> Option<(Option<bool>, Option<u32>)> {
    match seen {
        Seen::Sent { event: Event::Subscribed(Subscribed { recovered, replayed, .. }), .. } => {
            Some((*recovered, *replayed))
        }
        _ => None,
    }
}
