//! Joins and leaves that wait for one slow reader.

use super::price;
use bytes::Bytes;
use hubcast_protocol::Topic;
use std::collections::{BTreeMap, HashMap};

/// Joins and leaves that may be left out, and the gaps that replace them. A topic has at most one gap, at the place of
/// its last event that was left out. A client that gets such a gap asks for the members again.
#[derive(Debug, Default)]
pub(super) struct Events {
    /// By place in the queue.
    waiting: BTreeMap<u64, (Topic, Bytes)>,
    skipped: BTreeMap<u64, Topic>,
    topics: HashMap<Topic, TopicEvents>,
    /// Cost of all events that wait, in bytes.
    bytes: usize,
}

/// The events that wait of one topic.
#[derive(Debug, Default)]
struct TopicEvents {
    count: usize,
    skipped: Option<u64>,
}

/// The next entry of the queue.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum NextEvent {
    Event(Bytes),
    /// Some events of this topic were left out.
    Skipped(Topic),
}

impl Events {
    /// Queues one event. Its `place` must be larger than all before.
    pub(super) fn push(&mut self, place: u64, topic: &Topic, frame: Bytes) {
        self.bytes += cost(topic, &frame);
        self.topics.entry(topic.clone()).or_default().count += 1;
        self.waiting.insert(place, (topic.clone(), frame));
    }

    /// The charge for the gap of a topic, in bytes; 0 if the topic has an entry here and is charged already.
    pub(super) fn price(&self, topic: &Topic) -> usize {
        if self.topics.contains_key(topic) { 0 } else { price(topic) }
    }

    /// Bytes that may be left out.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// The place of the oldest event that may be left out.
    pub(super) fn oldest(&self) -> Option<u64> {
        self.waiting.keys().next().copied()
    }

    /// The place of the next entry.
    pub(super) fn first(&self) -> Option<u64> {
        self.oldest().into_iter().chain(self.skipped.keys().next().copied()).min()
    }

    /// Leaves out the oldest event.
    pub(super) fn leave_out(&mut self) {
        let Some((place, (topic, frame))) = self.waiting.pop_first() else { return };
        self.bytes -= cost(&topic, &frame);
        let of_topic = self.topics.entry(topic.clone()).or_default();
        of_topic.count -= 1;
        if let Some(before) = of_topic.skipped.replace(place) {
            self.skipped.remove(&before);
        }
        self.skipped.insert(place, topic);
    }

    /// Removes the next entry. Returns it with the bytes that need not be charged any more.
    pub(super) fn pop(&mut self) -> Option<(NextEvent, usize)> {
        let first = self.first()?;
        let (topic, next) = match self.skipped.remove(&first) {
            Some(topic) => (topic.clone(), NextEvent::Skipped(topic)),
            None => {
                let (_, (topic, frame)) = self.waiting.pop_first()?;
                self.bytes -= cost(&topic, &frame);
                (topic, NextEvent::Event(frame))
            }
        };
        let of_topic = self.topics.get_mut(&topic)?;
        match next {
            NextEvent::Event(_) => of_topic.count -= 1,
            NextEvent::Skipped(_) => of_topic.skipped = None,
        }
        let is_over = of_topic.count == 0 && of_topic.skipped.is_none();
        if is_over {
            self.topics.remove(&topic);
        }
        Some((next, if is_over { price(&topic) } else { 0 }))
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.skipped.is_empty() && self.topics.is_empty() && self.bytes == 0
    }
}

/// Cost of one event while it waits here, in bytes.
fn cost(topic: &Topic, frame: &Bytes) -> usize {
    topic.as_str().len() + frame.len() + 128
}
