//! Idempotency keys that were used.

use crate::engine::Outcome;
use crate::sparse::release_map;
use hubcast_protocol::Topic;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Outcomes by topic and key, each for its window, and at most so many and so many bytes in all: the oldest go first.
#[derive(Debug, Default)]
pub(super) struct Keys {
    outcomes: HashMap<Used, Remembered>,
    /// In the order in which they came, each with the end of its window.
    order: VecDeque<(Instant, Used)>,
    /// Bytes that `order` counts for.
    bytes: usize,
}

/// A key where it was used. Cloning shares both texts.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Used {
    topic: Topic,
    key: Arc<str>,
}

#[derive(Debug)]
struct Remembered {
    outcome: Outcome,
    until: Instant,
}

impl Keys {
    /// What became of the publication that had this key, while its window is open.
    pub(super) fn find(&self, now: Instant, topic: &Topic, key: &str) -> Option<Outcome> {
        let remembered = self.outcomes.get(&Used { topic: topic.clone(), key: key.into() })?;
        (now < remembered.until).then_some(remembered.outcome)
    }

    pub(super) fn remember(&mut self, now: Instant, topic: Topic, key: &str, outcome: Outcome, window: Duration) {
        self.expire(now);
        let (until, used) = (now + window, Used { topic, key: key.into() });
        self.bytes += used.cost();
        self.order.push_back((until, used.clone()));
        self.outcomes.insert(used, Remembered { outcome, until });
        while self.order.len() > MOST || self.bytes > MOST_BYTES {
            self.forget_oldest();
        }
    }

    /// Keys whose window is open, oldest first, each with its outcome and how long its window still is.
    pub(super) fn open(&self, now: Instant) -> impl Iterator<Item = (&Topic, &str, Outcome, Duration)> {
        // What was used again has an entry for each use, of which only the last can be open.
        let open = self.order.iter().filter(move |(until, ..)| now < *until);
        open.filter_map(move |(until, used)| {
            let Used { topic, key } = used;
            let outcome = self.find(now, topic, key)?;
            Some((topic, &**key, outcome, *until - now))
        })
    }

    /// When the oldest key's window is over.
    pub(super) fn next(&self) -> Option<Instant> {
        self.order.front().map(|(until, ..)| *until)
    }

    /// Forgets keys whose window is over, up to the first one whose window is not.
    pub(super) fn expire(&mut self, now: Instant) {
        while self.order.front().is_some_and(|(until, ..)| *until <= now) {
            self.forget_oldest();
        }
    }

    fn forget_oldest(&mut self) {
        let Some((until, used)) = self.order.pop_front() else { return };
        self.bytes -= used.cost();
        // It may have been used again since its window was over.
        if self.outcomes.get(&used).is_some_and(|remembered| remembered.until == until) {
            self.outcomes.remove(&used);
            release_map(&mut self.outcomes);
        }
    }
}

impl Used {
    /// What it takes to remember it: its texts, and its places in the map and in the order.
    fn cost(&self) -> usize {
        self.topic.as_str().len() + self.key.len() + 192
    }
}

/// Keys that are remembered at once.
const MOST: usize = 65_536;

/// Bytes that they may take: enough for [`MOST`] of the usual length.
const MOST_BYTES: usize = 16 * 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: Outcome = Outcome { position: None, receivers: 1 };
    const SECOND: Outcome = Outcome { position: None, receivers: 2 };

    #[test]
    fn a_key_that_is_used_again_is_not_forgotten_with_its_first_use() {
        let (mut keys, start, second) = (Keys::default(), Instant::now(), Duration::from_secs(1));
        let (long, short) = (Topic::from("long"), Topic::from("short"));
        keys.remember(start, long.clone(), "k", FIRST, 5 * second);
        keys.remember(start, short.clone(), "k", FIRST, second);
        assert_eq!(keys.find(start + second, &short, "k"), None);
        keys.remember(start + 4 * second, short.clone(), "k", SECOND, 2 * second);
        let open: Vec<_> =
            keys.open(start + 4 * second).map(|(topic, _, outcome, left)| (topic, outcome, left)).collect();
        assert_eq!(open, [(&long, FIRST, second), (&short, SECOND, 2 * second)]);
        keys.expire(start + 5 * second);
        assert_eq!(keys.find(start + 5 * second, &long, "k"), None);
        assert_eq!(keys.find(start + 5 * second, &short, "k"), Some(SECOND));
        keys.expire(start + 6 * second);
        assert!(keys.outcomes.is_empty() && keys.next().is_none());
    }

    #[test]
    fn so_many_keys_are_remembered_and_the_oldest_are_forgotten_first() {
        let (mut keys, now, topic) = (Keys::default(), Instant::now(), Topic::from("t"));
        for number in 0..=MOST {
            keys.remember(now, topic.clone(), &number.to_string(), FIRST, Duration::from_secs(1));
        }
        assert_eq!((keys.outcomes.len(), keys.order.len()), (MOST, MOST));
        assert_eq!(keys.find(now, &topic, "0"), None);
        assert_eq!(keys.find(now, &topic, "1"), Some(FIRST));
    }

    #[test]
    fn of_long_keys_fewer_are_remembered() {
        let (mut keys, now, topic) = (Keys::default(), Instant::now(), Topic::from("t".repeat(1024)));
        for number in 0..MOST {
            keys.remember(now, topic.clone(), &format!("{number:0>256}"), FIRST, Duration::from_secs(1));
        }
        assert!(
            keys.bytes <= MOST_BYTES && keys.order.len() == MOST_BYTES / (1024 + 256 + 192),
            "{}",
            keys.order.len()
        );
        keys.expire(now + Duration::from_secs(1));
        assert_eq!((keys.bytes, keys.outcomes.len()), (0, 0));
    }
}
