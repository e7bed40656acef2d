//! What waits for a reader that is behind, where its subscriptions allow that something is left out.
//!
//! Nothing is left out without a word: each topic's hole is told by a `gap` event before the next publication of the
//! topic that does go out, or at the end.

use crate::frames::{Frames, of_event};
use bytes::Bytes;
use hubcast_hub::Publication;
use hubcast_protocol::event::{Gap, GapReason};
use hubcast_protocol::{Dialect, Epoch, Event, Slow, Topic};
use std::collections::{BTreeMap, HashMap};

/// A queue behind the outbox, in which publications may still be taken back.
#[derive(Debug, Default)]
pub(crate) struct Lag {
    /// By the order in which they came.
    items: BTreeMap<u64, Item>,
    next: u64,
    /// Of each topic with [`Slow::Latest`], the one that waits.
    latest: HashMap<Topic, u64>,
    holes: HashMap<Topic, Hole>,
    /// Bytes that count against what may wait.
    bytes: usize,
}

#[derive(Debug)]
enum Item {
    /// Must go out.
    Frame { bytes: Bytes, counted: bool },
    /// May be left out.
    Publication(Publication),
}

/// Publications of one topic that were left out: all between the two, and both.
#[derive(Clone, Copy, Debug)]
struct Hole {
    epoch: Option<Epoch>,
    from: Option<u64>,
    to: Option<u64>,
}

impl Lag {
    /// Queues what must go out.
    pub(crate) fn push_frame(&mut self, bytes: Bytes, counted: bool) {
        self.bytes += if counted { bytes.len() } else { 0 };
        self.push(Item::Frame { bytes, counted });
    }

    /// Queues what may be left out. With [`Slow::Latest`] it takes the place of the one before.
    pub(crate) fn push_publication(&mut self, publication: Publication, slow: Slow) {
        self.bytes += cost(&publication);
        let topic = (slow == Slow::Latest).then(|| publication.topic().clone());
        let before = topic.as_ref().and_then(|topic| self.latest.remove(topic));
        if let Some(before) = before {
            self.leave_out(before);
        }
        let order = self.push(Item::Publication(publication));
        if let Some(topic) = topic {
            self.latest.insert(topic, order);
        }
    }

    /// Leaves out the oldest publications until no more than `most` bytes wait; says whether that was enough.
    pub(crate) fn shrink_to(&mut self, most: usize) -> bool {
        while self.bytes > most {
            let droppable = |(order, item): (&u64, &Item)| matches!(item, Item::Publication(_)).then_some(*order);
            let Some(oldest) = self.items.iter().find_map(droppable) else { return false };
            self.leave_out(oldest);
        }
        true
    }

    /// Bytes that count against what may wait.
    pub(crate) fn len(&self) -> usize {
        self.bytes
    }

    /// Takes the next piece to be written, with whether it counts; `None` when nothing waits any more.
    pub(crate) fn pop(&mut self, dialect: Dialect) -> Option<(Bytes, bool)> {
        loop {
            let Some((_, item)) = self.items.first_key_value() else { return self.pop_hole(dialect) };
            let topic = match item {
                Item::Frame { .. } => None,
                Item::Publication(publication) => Some(publication.topic().clone()),
            };
            if let Some(topic) = topic
                && let Some(hole) = self.holes.remove(&topic)
            {
                match self.close(topic, hole, dialect) {
                    Some(gap) => return Some((gap, true)),
                    None => continue,
                }
            }
            let (order, item) = self.items.pop_first()?;
            return Some(match item {
                Item::Frame { bytes, counted } => {
                    self.bytes -= if counted { bytes.len() } else { 0 };
                    (bytes, counted)
                }
                Item::Publication(publication) => {
                    self.forget(order, &publication);
                    (Frames::new(publication).get(dialect).clone(), true)
                }
            });
        }
    }

    fn push(&mut self, item: Item) -> u64 {
        self.next += 1;
        self.items.insert(self.next, item);
        self.next
    }

    fn leave_out(&mut self, order: u64) {
        let Some(Item::Publication(publication)) = self.items.remove(&order) else { return };
        self.forget(order, &publication);
        let (epoch, offset) = match publication.position() {
            Some(position) => (Some(position.epoch), Some(position.offset)),
            None => (None, None),
        };
        let topic = publication.topic();
        match self.holes.get_mut(topic) {
            Some(hole) if hole.epoch == epoch => hole.to = offset,
            // What was left out of the epoch before cannot be asked for any more.
            Some(hole) => *hole = Hole { epoch, from: offset, to: offset },
            None => {
                self.bytes += hole_cost(topic);
                self.holes.insert(topic.clone(), Hole { epoch, from: offset, to: offset });
            }
        }
    }

    fn forget(&mut self, order: u64, publication: &Publication) {
        self.bytes -= cost(publication);
        if self.latest.get(publication.topic()) == Some(&order) {
            self.latest.remove(publication.topic());
        }
    }

    fn pop_hole(&mut self, dialect: Dialect) -> Option<(Bytes, bool)> {
        while let Some(topic) = self.holes.keys().next().cloned() {
            let hole = self.holes.remove(&topic)?;
            if let Some(gap) = self.close(topic, hole, dialect) {
                return Some((gap, true));
            }
        }
        None
    }

    /// Writes what tells of a hole; `None` in the plain dialect, which has no word for it.
    fn close(&mut self, topic: Topic, hole: Hole, dialect: Dialect) -> Option<Bytes> {
        self.bytes -= hole_cost(&topic);
        let Hole { from, to, .. } = hole;
        let gap = Gap { topic, from, to, epoch: None, offset: None, reason: GapReason::SlowConsumer };
        of_event(&Event::Gap(gap), dialect)
    }
}

/// What a publication costs while it waits here.
fn cost(publication: &Publication) -> usize {
    publication.payload().as_plain().len() + 128
}

fn hole_cost(topic: &Topic) -> usize {
    topic.as_str().len() + 128
}

#[cfg(test)]
mod tests {
    use super::*;
    use hubcast_protocol::{Position, typed};

    fn publication(topic: &str, offset: u64) -> Publication {
        let position = Position { epoch: Epoch::from_random(7), offset };
        Publication::new(topic.into(), offset.to_string().as_str().into(), Some(position))
    }

    /// What comes out, as "topic:offset" or "topic:from-to" for a gap.
    fn drain(lag: &mut Lag) -> Vec<String> {
        let mut seen = Vec::new();
        while let Some((frame, _)) = lag.pop(Dialect::Typed) {
            let text = std::str::from_utf8(&frame[2..]).unwrap();
            seen.push(match typed::decode_event(text) {
                Ok(Event::Message(message)) => format!("{}:{}", message.topic, message.offset.unwrap()),
                Ok(Event::Gap(gap)) => format!("{}:{}-{}", gap.topic, gap.from.unwrap(), gap.to.unwrap()),
                _ => text.to_owned(),
            });
        }
        assert_eq!(lag.len(), 0);
        assert!(lag.items.is_empty() && lag.latest.is_empty() && lag.holes.is_empty());
        seen
    }

    #[test]
    fn the_oldest_are_left_out_first_and_the_hole_is_told_before_what_follows() {
        let mut lag = Lag::default();
        for offset in 1..=5 {
            lag.push_publication(publication("a", offset), Slow::Drop);
            lag.push_publication(publication("b", offset), Slow::Drop);
        }
        let one = cost(&publication("a", 1));
        assert!(lag.shrink_to(lag.len() - 4 * one + 2 * hole_cost(&"a".into())));
        assert_eq!(drain(&mut lag), ["a:1-2", "a:3", "b:1-2", "b:3", "a:4", "b:4", "a:5", "b:5"]);
    }

    #[test]
    fn only_the_newest_of_each_topic_waits_with_latest() {
        let mut lag = Lag::default();
        for offset in 1..=1000 {
            lag.push_publication(publication("a", offset), Slow::Latest);
        }
        lag.push_publication(publication("b", 1), Slow::Latest);
        assert!(lag.len() < 1000);
        assert_eq!(drain(&mut lag), ["a:1-999", "a:1000", "b:1"]);
    }

    #[test]
    fn what_must_go_out_keeps_its_place_and_is_never_left_out() {
        let mut lag = Lag::default();
        lag.push_publication(publication("a", 1), Slow::Drop);
        lag.push_frame(Bytes::from_static(b"\x81\x02hi"), true);
        lag.push_publication(publication("a", 2), Slow::Drop);
        assert!(!lag.shrink_to(0));
        assert_eq!(drain(&mut lag), ["hi", "a:1-2"]);
    }
}
