//! A property test: a client that asks for little is answered within a few turns, whatever the other clients do.

use crate::stage::Stage;
use hubcast_hub::{PresencePolicy, TopicPolicy, TopicRule, TopicRules};
use hubcast_server::Config;
use proptest::prelude::*;
use std::time::Duration;

/// What a client does that makes the server work.
#[derive(Clone, Copy, Debug)]
enum Flood {
    /// Publishes to a crowd. The receivers alternate, so that the server cannot join publications into one batch.
    Publish,
    /// Asks for a history of some size.
    History,
    /// Asks for the members of a topic.
    Presence,
    /// Subscribes to a topic and unsubscribes again.
    ComeAndGo,
    /// Sends pings, which cost almost nothing.
    Ping,
}

/// Any flood; publications are the most frequent ones.
fn flood() -> impl Strategy<Value = Flood> {
    use Flood::{ComeAndGo, History, Ping, Presence, Publish};
    prop_oneof![3 => Just(Publish), 1 => Just(History), 1 => Just(Presence), 1 => Just(ComeAndGo), 1 => Just(Ping)]
}

impl Flood {
    /// The request with this number.
    fn request(self, number: usize) -> String {
        let crowd = format!("crowd.{}", number % 3);
        match self {
            Self::Publish => format!(r#"{{"action":"publish","topic":"{crowd}","message":"{number}"}}"#),
            Self::History => format!(r#"{{"id":1,"action":"history","topic":"{crowd}"}}"#),
            Self::Presence => format!(r#"{{"id":1,"action":"presence","topic":"{crowd}"}}"#),
            Self::ComeAndGo => {
                let action = ["subscribe", "unsubscribe"][number % 2];
                format!(r#"{{"action":"{action}","topic":"crowd.2"}}"#)
            }
            Self::Ping => r#"{"id":1,"action":"ping"}"#.to_owned(),
        }
    }
}

/// A request that costs little.
fn small() -> impl Strategy<Value = &'static str> {
    prop_oneof![
        Just(r#"{"id":"small","action":"ping"}"#),
        Just(r#"{"id":"small","action":"subscribe","topic":"quiet"}"#),
        Just(r#"{"id":"small","action":"publish","topic":"quiet","message":"little"}"#),
        Just(r#"{"id":"small","action":"history","topic":"quiet"}"#),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn who_asks_for_little_is_answered_within_a_turn_for_each_who_asks_for_much(
        workers in 1..=3_usize,
        floods in prop::collection::vec((0..3_usize, flood(), 300..900_usize), 1..6),
        asks in prop::collection::vec((0..3_usize, small(), 0..12_usize), 1..6),
    ) {
        let presence = Some(PresencePolicy { events: true, grace: Duration::ZERO });
        let policy = TopicPolicy { presence, ..TopicPolicy::default() };
        let rules = TopicRules { list: vec![TopicRule { pattern: "crowd.*".parse().expect("it is a pattern"), policy }] };
        let mut stage = Stage::new(workers, Config { rules, ..Config::default() });
        for number in 0..60 {
            let listener = stage.listen(number % workers, "crowd.0");
            // The receivers of each topic differ.
            let topic = 1 + number / 30;
            stage.say(listener, &format!(r#"{{"action":"subscribe","topic":"crowd.{topic}"}}"#));
        }
        stage.listen(0, "quiet");
        let flooders: Vec<_> = floods.iter().map(|(worker, ..)| stage.connect(worker % workers, usize::MAX)).collect();
        let quiet: Vec<_> = asks.iter().map(|(worker, ..)| stage.connect(worker % workers, usize::MAX)).collect();
        stage.settle();
        for (flooder, (_, flood, count)) in flooders.iter().zip(&floods) {
            (0..*count).for_each(|number| stage.say(*flooder, &flood.request(number)));
        }
        for ((worker, small, polls), asker) in asks.iter().zip(&quiet) {
            (0..*polls).for_each(|poll| _ = stage.server.poll(poll % workers));
            let worker = worker % workers;
            let before = stage.server.turns(worker);
            stage.say(*asker, small);
            while !stage.is_answered(*asker) {
                prop_assert!(stage.server.poll(worker), "nothing is ready, and there is no answer to {small}");
            }
            let turns = stage.server.turns(worker) - before;
            prop_assert!(turns <= 2 + floods.len() as u64, "{turns} turns until {small} was answered");
        }
    }
}
