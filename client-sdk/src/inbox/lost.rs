//! What a queue has dropped, as gaps for its reader.

use super::size::{self, QueueBounds};
use crate::machine::{Delivery, Gap, GapReason, Resumed};
use hubcast_protocol::{Position, Topic};
use std::collections::VecDeque;

/// The gaps for what was dropped since the reader last polled: at most one for the publications of a topic, and one for
/// its joins and leaves.
#[derive(Debug)]
pub(super) struct Lost {
    gaps: VecDeque<Gap>,
    /// The size of the gaps, and the most that they may have.
    bytes: usize,
    most_bytes: usize,
    /// The dropped `Resumed` events, joined into one.
    resumed: Option<Resumed>,
}

impl Lost {
    pub(super) fn new(bounds: QueueBounds) -> Self {
        Self { gaps: VecDeque::new(), bytes: 0, most_bytes: bounds.bytes / 16, resumed: None }
    }

    /// The next item for the reader.
    pub(super) fn next(&mut self) -> Option<Delivery> {
        if let Some(resumed) = self.resumed.take() {
            return Some(Delivery::Resumed(resumed));
        }
        let gap = Delivery::Gap(self.gaps.pop_front()?);
        self.bytes = self.bytes.saturating_sub(size::of(&gap));
        Some(gap)
    }

    /// Takes a delivery that is dropped, which is newer than all that were dropped before.
    pub(super) fn add(&mut self, delivery: Delivery) {
        if let Delivery::Resumed(resumed) = &delivery {
            let before = self.resumed.unwrap_or(Resumed { recovered: true, replayed: 0, position: None });
            self.resumed = Some(Resumed {
                recovered: before.recovered && resumed.recovered,
                replayed: before.replayed.saturating_add(resumed.replayed),
                position: resumed.position,
            });
        }
        if let Some(gap) = gap_of(delivery) {
            self.add_gap(gap);
        }
    }

    fn add_gap(&mut self, gap: Gap) {
        let is_of_the_same = |lost: &Gap| is_about_presence(lost) == is_about_presence(&gap) && lost.topic == gap.topic;
        match self.gaps.iter_mut().find(|lost| lost.topic.is_none() || is_of_the_same(lost)) {
            Some(lost) if lost.topic.is_none() => {}
            Some(lost) => join(lost, gap),
            None => {
                self.bytes += size::of(&Delivery::Gap(gap.clone()));
                self.gaps.push_back(gap);
                if self.gaps.len() > MOST_GAPS || self.gaps.len() > 1 && self.bytes > self.most_bytes {
                    self.gaps = [unknown(None, None)].into();
                    self.bytes = 0;
                }
            }
        }
    }
}

/// The gap that stands for a dropped delivery; `None` for one without publications.
pub(super) fn gap_of(delivery: Delivery) -> Option<Gap> {
    match delivery {
        Delivery::Message(message) => Some(Gap {
            epoch: message.epoch,
            from: message.offset,
            to: message.offset,
            ..unknown(Some(message.topic.clone()), message.position())
        }),
        Delivery::Gap(gap) if is_about_presence(&gap) => Some(gap),
        Delivery::Gap(gap) => Some(Gap { reason: GapReason::SlowReader, ..gap }),
        Delivery::Joined(member) | Delivery::Left(member) => {
            Some(Gap { reason: GapReason::MissedPresence, ..unknown(Some(member.topic), None) })
        }
        Delivery::Presence(Ok(presence)) => {
            Some(Gap { reason: GapReason::MissedPresence, ..unknown(Some(presence.topic), None) })
        }
        Delivery::Presence(Err(_)) | Delivery::Resumed(_) | Delivery::Ended(_) => None,
    }
}

/// Extends `gap` by a newer one that begins where it ends; `false` if it does not.
pub(super) fn join_adjacent(gap: &mut Gap, newer: &Gap) -> bool {
    let is_adjacent = gap.reason == newer.reason
        && (&gap.topic, gap.epoch) == (&newer.topic, newer.epoch)
        && gap.to.is_some_and(|to| newer.from == to.checked_add(1));
    if is_adjacent {
        (gap.to, gap.position) = (newer.to, newer.position);
    }
    is_adjacent
}

/// Makes one gap of two of the same topic. What lies between them was dropped before.
fn join(gap: &mut Gap, newer: Gap) {
    match (gap.from.zip(gap.to), newer.from.zip(newer.to)) {
        (Some(_), Some(_)) if gap.epoch == newer.epoch => (gap.to, gap.position) = (newer.to, newer.position),
        _ => *gap = Gap { reason: newer.reason, ..unknown(newer.topic, newer.position) },
    }
}

fn is_about_presence(gap: &Gap) -> bool {
    gap.reason == GapReason::MissedPresence
}

fn unknown(topic: Option<Topic>, position: Option<Position>) -> Gap {
    Gap { topic, epoch: None, from: None, to: None, position, reason: GapReason::SlowReader }
}

/// The most gaps. Beyond that, one gap without a topic stands for all.
const MOST_GAPS: usize = 64;
