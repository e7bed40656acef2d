//! Members whose connection was lost, and whose `leave` event is not sent yet.

use crate::sparse::release_map;
use crate::{Identity, MemberName};
use hubcast_protocol::{ClientId, Topic};
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Instant;

/// All grace periods, by topic. Adding and cancelling one cost the same however many there are.
#[derive(Debug, Default)]
pub(super) struct GracePeriods {
    by_topic: HashMap<Topic, TopicGrace>,
    /// Keyed by time and number.
    due: BTreeMap<(Instant, u64), Topic>,
    last: u64,
}

/// A member whose connection was lost and may soon be back.
#[derive(Debug)]
pub(super) struct GracePeriod {
    pub(super) until: Instant,
    pub(super) client: ClientId,
    pub(super) identity: Option<Arc<Identity>>,
}

/// The grace periods of one topic.
#[derive(Debug, Default)]
struct TopicGrace {
    /// Keyed by number, in the order in which the connections were lost.
    all: BTreeMap<u64, GracePeriod>,
    by_name: HashMap<MemberName, VecDeque<u64>>,
}

impl GracePeriods {
    /// When the next `leave` event is due.
    pub(super) fn next(&self) -> Option<Instant> {
        self.due.keys().next().map(|(at, _)| *at)
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.due.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.by_topic.is_empty() && self.due.is_empty()
    }

    /// Adds a grace period. If there are too many, returns the one that would end first, whose `leave` is to be sent
    /// now.
    pub(super) fn insert(&mut self, topic: Topic, period: GracePeriod) -> Option<(Topic, GracePeriod)> {
        self.last += 1;
        let number = self.last;
        self.due.insert((period.until, number), topic.clone());
        let waiting = self.by_topic.entry(topic).or_default();
        if let Some(identity) = &period.identity {
            waiting.by_name.entry(identity.name.clone()).or_default().push_back(number);
        }
        waiting.all.insert(number, period);
        if self.due.len() > MAX_GRACE_PERIODS { self.take_first() } else { None }
    }

    /// Takes this member's oldest grace period, if it has one.
    pub(super) fn cancel(&mut self, topic: &Topic, name: &MemberName) -> Option<GracePeriod> {
        let number = *self.by_topic.get(topic)?.by_name.get(name)?.front()?;
        let period = self.take(topic, number)?;
        self.due.remove(&(period.until, number));
        Some(period)
    }

    /// Takes one grace period that has ended.
    pub(super) fn take_overdue(&mut self, now: Instant) -> Option<(Topic, GracePeriod)> {
        self.next().filter(|at| *at <= now)?;
        self.take_first()
    }

    /// The number of grace periods in a topic.
    pub(super) fn count(&self, topic: &Topic) -> usize {
        self.by_topic.get(topic).map_or(0, |waiting| waiting.all.len())
    }

    /// The grace periods of a topic, in the order in which the connections were lost.
    pub(super) fn of(&self, topic: &Topic) -> impl Iterator<Item = &GracePeriod> {
        self.by_topic.get(topic).into_iter().flat_map(|waiting| waiting.all.values())
    }

    fn take_first(&mut self) -> Option<(Topic, GracePeriod)> {
        let ((_, number), topic) = self.due.pop_first()?;
        let period = self.take(&topic, number)?;
        Some((topic, period))
    }

    fn take(&mut self, topic: &Topic, number: u64) -> Option<GracePeriod> {
        let waiting = self.by_topic.get_mut(topic)?;
        let period = waiting.all.remove(&number)?;
        if let Some(name) = period.identity.as_ref().map(|identity| &identity.name)
            && let Some(theirs) = waiting.by_name.get_mut(name)
        {
            if let Ok(place) = theirs.binary_search(&number) {
                theirs.remove(place);
            }
            if theirs.is_empty() {
                waiting.by_name.remove(name);
            }
        }
        if waiting.all.is_empty() {
            self.by_topic.remove(topic);
            release_map(&mut self.by_topic);
        }
        Some(period)
    }
}

/// The most grace periods at once, in all topics together: about 50 MB, and up to 64 MB of what members say of
/// themselves.
const MAX_GRACE_PERIODS: usize = 65_536;

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn lost(until: Instant, number: u32) -> GracePeriod {
        let client = ClientId::from_random(u128::from(number).to_be_bytes());
        GracePeriod { until, client, identity: Some(Identity::user("ada").into()) }
    }

    #[test]
    fn who_is_back_leaves_nothing_that_is_due() {
        let (mut grace, now, topic) = (GracePeriods::default(), Instant::now(), Topic::from("t"));
        for number in 0..2 {
            grace.insert(topic.clone(), lost(now + Duration::from_secs(number.into()), number));
        }
        for number in 0..2 {
            let until = now + Duration::from_secs(number);
            assert_eq!(grace.next(), Some(until));
            let back = grace.cancel(&topic, &MemberName::User("ada".into()));
            assert_eq!(back.map(|period| period.until), Some(until));
        }
        assert!(grace.is_empty() && grace.cancel(&topic, &MemberName::User("ada".into())).is_none());
    }

    #[test]
    fn where_too_many_may_be_back_the_first_is_given_up() {
        let (mut grace, now, topic) = (GracePeriods::default(), Instant::now(), Topic::from("t"));
        for number in 0..=65_536 {
            let until = now + Duration::from_millis(number.into());
            let given_up = grace.insert(topic.clone(), lost(until, number));
            assert_eq!(given_up.map(|(_, period)| period.until), (number == 65_536).then_some(now));
        }
        assert_eq!(grace.count(&topic), MAX_GRACE_PERIODS);
        while grace.take_overdue(now + Duration::from_secs(66)).is_some() {}
        assert!(grace.is_empty());
    }
}
