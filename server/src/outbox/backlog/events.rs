//! What waits of joins and leaves.

use super::price;
use bytes::Bytes;
use hubcast_protocol::Topic;
use std::collections::{BTreeMap, HashMap};

/// Joins and leaves that may be left out, and holes in their place: at most one for a topic, where the last one stood.
/// Who reads of the hole asks who is there.
#[derive(Debug, Default)]
pub(super) struct Events {
    /// By place in the queue.
    waiting: BTreeMap<u64, (Topic, Bytes)>,
    holes: BTreeMap<u64, Topic>,
    topics: HashMap<Topic, Trail>,
    /// What all that waits costs.
    bytes: usize,
}

/// What waits of one topic.
#[derive(Debug, Default)]
struct Trail {
    count: usize,
    hole: Option<u64>,
}

/// What is next.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    Event(Bytes),
    /// Some of this topic were left out.
    Hole(Topic),
}

impl Events {
    /// Queues one; it is the newest of all.
    pub(super) fn push(&mut self, place: u64, topic: &Topic, frame: Bytes) {
        self.bytes += cost(topic, &frame);
        self.topics.entry(topic.clone()).or_default().count += 1;
        self.waiting.insert(place, (topic.clone(), frame));
    }

    /// What a topic is charged with that has nothing here: its hole.
    pub(super) fn price(&self, topic: &Topic) -> usize {
        if self.topics.contains_key(topic) { 0 } else { price(topic) }
    }

    /// Bytes that may be left out.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// The place of the oldest that may be left out.
    pub(super) fn oldest(&self) -> Option<u64> {
        self.waiting.keys().next().copied()
    }

    /// The place of what is next.
    pub(super) fn first(&self) -> Option<u64> {
        self.oldest().into_iter().chain(self.holes.keys().next().copied()).min()
    }

    /// Leaves out the oldest.
    pub(super) fn leave_out(&mut self) {
        let Some((place, (topic, frame))) = self.waiting.pop_first() else { return };
        self.bytes -= cost(&topic, &frame);
        let trail = self.topics.entry(topic.clone()).or_default();
        trail.count -= 1;
        if let Some(before) = trail.hole.replace(place) {
            self.holes.remove(&before);
        }
        self.holes.insert(place, topic);
    }

    /// Takes what is next out, and says what does not have to be charged any more.
    pub(super) fn pop(&mut self) -> Option<(Next, usize)> {
        let first = self.first()?;
        let (topic, next) = match self.holes.remove(&first) {
            Some(topic) => (topic.clone(), Next::Hole(topic)),
            None => {
                let (_, (topic, frame)) = self.waiting.pop_first()?;
                self.bytes -= cost(&topic, &frame);
                (topic, Next::Event(frame))
            }
        };
        let trail = self.topics.get_mut(&topic)?;
        match next {
            Next::Event(_) => trail.count -= 1,
            Next::Hole(_) => trail.hole = None,
        }
        let is_over = trail.count == 0 && trail.hole.is_none();
        if is_over {
            self.topics.remove(&topic);
        }
        Some((next, if is_over { price(&topic) } else { 0 }))
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.holes.is_empty() && self.topics.is_empty() && self.bytes == 0
    }
}

/// What one costs while it waits here.
fn cost(topic: &Topic, frame: &Bytes) -> usize {
    topic.as_str().len() + frame.len() + 128
}
