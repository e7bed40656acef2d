//! Idempotency keys that programs chose.

use super::Scope;
use super::names::Names;
use super::shares::{ShareRef, Shares};
use crate::engine::{Outcome, Publisher};
use hubcast_protocol::Topic;
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

/// Outcomes by scope, topic and key, each until its window ends, at most `most_bytes` in all. Beyond that, the
/// publisher with the most bytes loses its oldest key.
#[derive(Debug)]
pub(super) struct Texts {
    by_name: Names,
    list: BTreeMap<u64, Used>,
    last: u64,
    /// The end of each key's window.
    due: BTreeSet<(Instant, u64)>,
    shares: Shares,
    most_bytes: usize,
}

/// The full name of a key: its scope, its topic and its text.
#[derive(Debug)]
struct KeyName {
    scope: Scope,
    topic: Topic,
    key: Box<str>,
}

#[derive(Debug)]
struct Used {
    name: KeyName,
    outcome: Outcome,
    until: Instant,
    place: ShareRef,
}

/// A key that has not expired, as it is saved.
#[derive(Debug)]
pub(super) struct OpenKey<'a> {
    pub(super) by: &'a Publisher,
    pub(super) topic: &'a Topic,
    pub(super) key: &'a str,
    pub(super) outcome: Outcome,
    pub(super) left: Duration,
}

impl Texts {
    pub(super) fn new(most_bytes: usize) -> Self {
        let (list, due, shares) = (BTreeMap::new(), BTreeSet::new(), Shares::default());
        Self { by_name: Names::default(), list, last: 0, due, shares, most_bytes }
    }

    /// Returns the outcome of the publication that had this key, until its window ends.
    pub(super) fn find(&self, now: Instant, by: &Publisher, topic: &Topic, key: &str) -> Option<Outcome> {
        let used = &self.list[&self.id(by.user(), topic, key)?];
        (now < used.until).then_some(used.outcome)
    }

    pub(super) fn remember(&mut self, by: &Publisher, topic: Topic, key: &str, outcome: Outcome, until: Instant) {
        if let Some(before) = self.id(by.user(), &topic, key) {
            self.forget(before);
        }
        self.last += 1;
        let (id, name) = (self.last, KeyName { scope: by.scope(), topic, key: key.into() });
        let place = self.shares.add(by, id, name.cost());
        self.by_name.insert(name.parts(), id);
        self.due.insert((until, id));
        self.list.insert(id, Used { name, outcome, until, place });
        while self.shares.bytes() > self.most_bytes {
            let Some(oldest) = self.shares.oldest_of_largest() else { break };
            self.forget(oldest);
        }
    }

    /// All keys that have not expired, oldest first.
    pub(super) fn open(&self, now: Instant) -> impl Iterator<Item = OpenKey<'_>> {
        let open = self.list.values().filter(move |used| now < used.until);
        open.map(move |used| OpenKey {
            by: self.shares.publisher(used.place),
            topic: &used.name.topic,
            key: &used.name.key,
            outcome: used.outcome,
            left: used.until - now,
        })
    }

    /// The time when the next key expires.
    pub(super) fn next(&self) -> Option<Instant> {
        self.due.first().map(|(until, _)| *until)
    }

    /// Forgets at most `most` expired keys.
    pub(super) fn expire(&mut self, now: Instant, most: usize) {
        for _ in 0..most {
            let Some(&(_, id)) = self.due.first().filter(|(until, _)| *until <= now) else { return };
            self.forget(id);
        }
    }

    fn id(&self, user: Option<&str>, topic: &Topic, key: &str) -> Option<u64> {
        let parts = (user, topic, key);
        self.by_name.find(parts, |id| self.list[&id].name.parts() == parts)
    }

    fn forget(&mut self, id: u64) {
        let Some(used) = self.list.remove(&id) else { return };
        self.by_name.remove(used.name.parts(), id);
        self.due.remove(&(used.until, id));
        self.shares.remove(used.place, id, used.name.cost());
    }
}

impl KeyName {
    fn parts(&self) -> (Option<&str>, &Topic, &str) {
        (self.scope.as_deref(), &self.topic, &self.key)
    }

    /// Approximate bytes that a key takes.
    fn cost(&self) -> usize {
        self.topic.as_str().len() + self.key.len() + COST
    }
}

/// Approximate bytes of a key without its texts: its entries in the index, in the list, in the order of windows, and in
/// its publisher's share.
const COST: usize = 320;

#[cfg(test)]
mod tests {
    use super::*;
    use hubcast_protocol::ClientId;
    use proptest::collection::vec;
    use proptest::prelude::*;

    fn client(number: u8) -> Publisher {
        Publisher::Client(ClientId::from_random([number; 16]))
    }

    fn outcome(receivers: u64) -> Outcome {
        Outcome { position: None, receivers }
    }

    impl Texts {
        fn is_empty(&self) -> bool {
            self.by_name.is_empty() && self.list.is_empty() && self.due.is_empty() && self.shares.bytes() == 0
        }
    }

    #[test]
    fn a_key_that_is_used_again_is_not_forgotten_with_its_first_use() {
        let (mut texts, start, second) = (Texts::new(4096), Instant::now(), Duration::from_secs(1));
        let (ada, long, short) = (client(1), Topic::from("long"), Topic::from("short"));
        texts.remember(&ada, long.clone(), "k", outcome(1), start + 5 * second);
        texts.remember(&ada, short.clone(), "k", outcome(1), start + second);
        assert_eq!(texts.find(start + second, &ada, &short, "k"), None);
        texts.remember(&ada, short.clone(), "k", outcome(2), start + 6 * second);
        let open = texts.open(start + 4 * second).map(|open| (open.topic, open.outcome, open.left));
        let expected = [(&long, outcome(1), second), (&short, outcome(2), 2 * second)];
        assert_eq!(open.collect::<Vec<_>>(), expected);
        texts.expire(start + 5 * second, 9);
        assert_eq!(texts.find(start + 5 * second, &ada, &short, "k"), Some(outcome(2)));
        texts.expire(start + 6 * second, 9);
        assert!(texts.is_empty() && texts.next().is_none());
    }

    #[test]
    fn so_many_at_most_are_forgotten_at_once_and_what_is_left_is_still_due() {
        let (mut texts, now) = (Texts::new(usize::MAX), Instant::now());
        for number in 0..10 {
            texts.remember(&client(1), "t".into(), &number.to_string(), outcome(1), now);
        }
        texts.expire(now, 7);
        assert_eq!((texts.list.len(), texts.next()), (3, Some(now)));
    }

    /// A naive model: the keys as a list, and the publishers in the order in which their shares began.
    #[derive(Default)]
    struct Model {
        used: Vec<(u8, u8, u64)>,
        began: Vec<u8>,
    }

    impl Model {
        fn remember(&mut self, by: u8, key: u8, receivers: u64) {
            self.used.retain(|used| used.1 != key);
            self.tidy();
            self.used.push((by, key, receivers));
            if !self.began.contains(&by) {
                self.began.push(by);
            }
            while self.used.len() > ROOM {
                let count = |by: u8| self.used.iter().filter(|used| used.0 == by).count();
                let most = self.began.iter().map(|by| count(*by)).max();
                let largest = *self.began.iter().find(|by| Some(count(**by)) == most).unwrap();
                let oldest = self.used.iter().position(|used| used.0 == largest).unwrap();
                self.used.remove(oldest);
            }
            self.tidy();
        }

        fn tidy(&mut self) {
            let used = &self.used;
            self.began.retain(|by| used.iter().any(|used| used.0 == *by));
        }
    }

    const ROOM: usize = 5;

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(1000) })]

        #[test]
        fn whoever_has_the_most_loses_the_oldest(uses in vec((0..3u8, 0..9u8), 1..60)) {
            let (mut texts, mut model) = (Texts::new(ROOM * (COST + 2)), Model::default());
            let now = Instant::now();
            let until = now + Duration::from_secs(1);
            for (number, (by, key)) in uses.into_iter().enumerate() {
                let receivers = number as u64;
                texts.remember(&client(by), "t".into(), &key.to_string(), outcome(receivers), until);
                model.remember(by, key, receivers);
                let open: Vec<_> = texts.open(now).map(|open| (open.by.clone(), open.key.to_owned(), open.outcome)).collect();
                let used = model.used.iter().map(|(by, key, receivers)| (client(*by), key.to_string(), outcome(*receivers)));
                prop_assert_eq!(open, used.collect::<Vec<_>>());
            }
            texts.expire(until, usize::MAX);
            prop_assert!(texts.is_empty());
        }
    }
}
