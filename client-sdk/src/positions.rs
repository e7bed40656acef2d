//! The positions up to which a program has taken the items of one subscription.

use crate::machine::{Delivery, Gap, GapReason};
use hubcast_protocol::{Position, Topic};
use std::collections::{BTreeMap, HashMap};

/// The position of each topic, as of the last item that the program has taken; of more than `most` topics, only of
/// those with the latest items.
#[derive(Clone, Debug)]
pub(crate) struct Positions {
    /// The topic of the subscription; `None` for a pattern and for the private topics.
    topic: Option<Topic>,
    /// The positions, and how many items had been taken when each was set.
    reached: HashMap<Topic, (Position, u64)>,
    taken: u64,
    most: usize,
}

impl Positions {
    pub(crate) fn new(topic: Option<Topic>, most: usize) -> Self {
        Self { topic, reached: HashMap::new(), taken: 0, most: most.max(1) }
    }

    /// Sets the position of the subscription's own topic; does nothing under a pattern.
    pub(crate) fn begin(&mut self, position: Option<Position>) {
        if let Some(topic) = self.topic.clone() {
            self.set(&topic, position);
        }
    }

    /// Takes an item into account that the program gets now.
    pub(crate) fn take(&mut self, delivery: &Delivery) {
        match delivery {
            Delivery::Message(message) => self.set(&message.topic, message.position()),
            Delivery::Gap(Gap { reason: GapReason::MissedPresence, .. }) => {}
            Delivery::Gap(Gap { topic: Some(topic), position, .. }) => self.set(topic, *position),
            Delivery::Resumed(resumed) => self.begin(resumed.position),
            // After a gap of any topic, the positions are still right: what came later has moved them.
            Delivery::Gap(_) | Delivery::Joined(_) | Delivery::Left(_) | Delivery::Presence(_) | Delivery::Ended(_) => {
            }
        }
    }

    pub(crate) fn set(&mut self, topic: &Topic, position: Option<Position>) {
        self.taken += 1;
        let Some(position) = position else {
            self.reached.remove(topic);
            return;
        };
        match self.reached.get_mut(topic) {
            Some(reached) => *reached = (position, self.taken),
            None => _ = self.reached.insert(topic.clone(), (position, self.taken)),
        }
        if self.reached.len() > self.most {
            self.forget_half();
        }
    }

    /// The position in the subscription's own topic.
    pub(crate) fn of_topic(&self) -> Option<Position> {
        self.topic.as_ref().and_then(|topic| self.reached.get(topic)).map(|(position, _)| *position)
    }

    pub(crate) fn all(&self) -> BTreeMap<Topic, Position> {
        self.reached.iter().map(|(topic, (position, _))| (topic.clone(), *position)).collect()
    }

    /// Forgets the half of the topics whose last items are oldest; by halves, so that this is rarely needed.
    fn forget_half(&mut self) {
        let mut taken: Vec<u64> = self.reached.values().map(|(_, taken)| *taken).collect();
        let middle = taken.len() / 2;
        let (_, &mut median, _) = taken.select_nth_unstable(middle);
        self.reached.retain(|_, (_, taken)| *taken > median);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(offset: u64) -> Position {
        Position { epoch: "e".parse().unwrap(), offset }
    }

    #[test]
    fn of_many_topics_those_taken_last_are_kept() {
        let mut positions = Positions::new(None, 2);
        for (topic, offset) in [("a", 1), ("b", 1), ("a", 2), ("c", 1)] {
            positions.set(&topic.into(), Some(at(offset)));
        }
        assert_eq!(positions.all(), BTreeMap::from([("c".into(), at(1))]));
    }

    #[test]
    fn a_gap_of_presence_moves_nothing() {
        let mut positions = Positions::new(Some("a".into()), 2);
        positions.begin(Some(at(4)));
        let mut gap = Gap {
            topic: Some("a".into()),
            epoch: None,
            from: None,
            to: None,
            position: None,
            reason: GapReason::MissedPresence,
        };
        positions.take(&Delivery::Gap(gap.clone()));
        assert_eq!(positions.of_topic(), Some(at(4)));
        gap.reason = GapReason::NotRecoverable;
        positions.take(&Delivery::Gap(gap));
        assert_eq!(positions.of_topic(), None);
    }
}
