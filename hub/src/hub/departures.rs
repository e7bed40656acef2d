//! Members whose connection was lost and whose leave is not told yet.

use crate::Identity;
use hubcast_protocol::{ClientId, Topic};
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::Instant;

/// Everyone who may be back soon, by topic. Going and coming back cost the same however many there are.
#[derive(Debug, Default)]
pub(super) struct Departures {
    by_topic: HashMap<Topic, Departing>,
    /// By time and number.
    due: BTreeMap<(Instant, u64), Topic>,
    last: u64,
}

/// One who may be back soon.
#[derive(Debug)]
pub(super) struct Departure {
    pub(super) until: Instant,
    pub(super) client: ClientId,
    pub(super) identity: Option<Box<Identity>>,
}

/// Those of one topic.
#[derive(Debug, Default)]
struct Departing {
    /// By number, in the order in which they were lost.
    all: BTreeMap<u64, Departure>,
    by_user: HashMap<Box<str>, VecDeque<u64>>,
}

impl Departures {
    /// When the next leave is to be told.
    pub(super) fn next(&self) -> Option<Instant> {
        self.due.keys().next().map(|(at, _)| *at)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.by_topic.is_empty() && self.due.is_empty()
    }

    pub(super) fn insert(&mut self, topic: Topic, departure: Departure) {
        self.last += 1;
        let number = self.last;
        self.due.insert((departure.until, number), topic.clone());
        let departing = self.by_topic.entry(topic).or_default();
        if let Some(identity) = &departure.identity {
            departing.by_user.entry(identity.user.clone()).or_default().push_back(number);
        }
        departing.all.insert(number, departure);
    }

    /// Forgets the oldest departure of this user; says whether there was one.
    pub(super) fn cancel(&mut self, topic: &Topic, user: &str) -> bool {
        let departing = self.by_topic.get(topic);
        let Some(number) = departing.and_then(|departing| departing.by_user.get(user)?.front().copied()) else {
            return false;
        };
        if let Some(departure) = self.take(topic, number) {
            self.due.remove(&(departure.until, number));
        }
        true
    }

    /// Takes one departure whose time is over.
    pub(super) fn take_overdue(&mut self, now: Instant) -> Option<(Topic, Departure)> {
        let due = self.due.first_entry().filter(|due| due.key().0 <= now)?;
        let ((_, number), topic) = due.remove_entry();
        let departure = self.take(&topic, number)?;
        Some((topic, departure))
    }

    /// How many may be back in a topic.
    pub(super) fn count(&self, topic: &Topic) -> usize {
        self.by_topic.get(topic).map_or(0, |departing| departing.all.len())
    }

    /// Those who may be back in a topic, in the order in which they were lost.
    pub(super) fn of(&self, topic: &Topic) -> impl Iterator<Item = &Departure> {
        self.by_topic.get(topic).into_iter().flat_map(|departing| departing.all.values())
    }

    fn take(&mut self, topic: &Topic, number: u64) -> Option<Departure> {
        let departing = self.by_topic.get_mut(topic)?;
        let departure = departing.all.remove(&number)?;
        if let Some(user) = departure.identity.as_ref().map(|identity| &identity.user)
            && let Some(theirs) = departing.by_user.get_mut(user)
        {
            theirs.retain(|other| *other != number);
            if theirs.is_empty() {
                departing.by_user.remove(user);
            }
        }
        if departing.all.is_empty() {
            self.by_topic.remove(topic);
        }
        Some(departure)
    }
}
