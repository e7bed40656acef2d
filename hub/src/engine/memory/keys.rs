//! Idempotency keys that were used.

use crate::engine::Outcome;
use hubcast_protocol::Topic;
use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

/// Outcomes by topic and key, each for its window, and at most so many in all: the oldest go first.
#[derive(Debug, Default)]
pub(super) struct Keys {
    outcomes: HashMap<(Topic, Box<str>), Remembered>,
    /// In the order in which they came.
    order: VecDeque<(Instant, Topic, Box<str>)>,
}

#[derive(Debug)]
struct Remembered {
    outcome: Outcome,
    until: Instant,
}

impl Keys {
    /// What became of the publication that had this key, while its window is open.
    pub(super) fn find(&self, now: Instant, topic: &Topic, key: &str) -> Option<Outcome> {
        let remembered = self.outcomes.get(&(topic.clone(), key.into()))?;
        (now < remembered.until).then_some(remembered.outcome)
    }

    pub(super) fn remember(&mut self, now: Instant, topic: Topic, key: Box<str>, outcome: Outcome, window: Duration) {
        self.expire(now);
        let until = now + window;
        self.order.push_back((until, topic.clone(), key.clone()));
        self.outcomes.insert((topic, key), Remembered { outcome, until });
        if self.order.len() > MOST {
            self.forget_oldest();
        }
    }

    /// Forgets keys whose window is over, up to the first one whose window is not.
    pub(super) fn expire(&mut self, now: Instant) {
        while self.order.front().is_some_and(|(until, ..)| *until <= now) {
            self.forget_oldest();
        }
    }

    fn forget_oldest(&mut self) {
        let Some((until, topic, key)) = self.order.pop_front() else { return };
        let used = (topic, key);
        // It may have been used again since its window was over.
        if self.outcomes.get(&used).is_some_and(|remembered| remembered.until == until) {
            self.outcomes.remove(&used);
        }
    }
}

/// Keys that are remembered at once.
const MOST: usize = 65_536;
