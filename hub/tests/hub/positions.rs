//! The positions that clients know. A script names a position by a stand-in; the driver replaces it by a position that
//! a session has seen.

use crate::seen::Seen;
use hubcast_hub::{Input, Publication};
use hubcast_protocol::request::{Action, Start, Subscribe};
use hubcast_protocol::{Epoch, Event, Position, Topic, event::About};
use std::collections::BTreeMap;

/// For each topic, the last position that was seen in each epoch, oldest epoch first.
#[derive(Debug, Default)]
pub(crate) struct Positions {
    seen: BTreeMap<Topic, Vec<Position>>,
}

/// The epoch of a stand-in: the epoch seen last. The offset is the number of publications to go back from the last
/// position seen.
pub(crate) const SEEN: &str = "(seen)";
/// The epoch of a stand-in: the first epoch of the topic. The offset counts back, as for [`SEEN`].
pub(crate) const FIRST: &str = "(first)";
/// The epoch of a stand-in: the epoch seen last. The offset is the number of publications to go beyond the last
/// position seen.
pub(crate) const FUTURE: &str = "(future)";
/// An epoch that no hub of a script has.
pub(crate) const FOREIGN: &str = "k3Jx9a";

impl Positions {
    /// Records all positions in the effects that sessions get.
    pub(crate) fn learn(&mut self, seen: &[Seen]) {
        for seen in seen {
            match seen {
                Seen::Heard { publication, .. } => self.note(publication),
                Seen::Replayed { missed, .. } => missed.iter().for_each(|publication| self.note(publication)),
                Seen::Sent { event: Event::Subscribed(subscribed), .. } => {
                    if let (About::Topic(topic), Some(epoch), Some(offset)) =
                        (&subscribed.about, subscribed.epoch, subscribed.offset)
                    {
                        self.note_at(topic, Position { epoch, offset });
                    }
                }
                _ => {}
            }
        }
    }

    /// Replaces all stand-ins in an input.
    pub(crate) fn fill_in(&self, input: &mut Input) {
        let Input::Request { request: Ok(request), .. } = input else { return };
        match &mut request.action {
            Action::Subscribe(Subscribe { target, start, .. }) => match start {
                Start::After(after) | Start::AfterOrLast(after, _) => {
                    if let hubcast_protocol::Target::Topic(topic) = target {
                        self.complete(topic, after);
                    }
                }
                Start::AfterEach(each) => each.iter_mut().for_each(|(topic, after)| self.complete(topic, after)),
                Start::Live | Start::Last(_) => {}
            },
            Action::History(read) => {
                if let Some(since) = &mut read.since {
                    self.complete(&read.topic, since);
                }
            }
            _ => {}
        }
    }

    /// Replaces one stand-in. If no position of the topic was seen, it stays, and no hub knows its epoch.
    fn complete(&self, topic: &Topic, position: &mut Position) {
        let known = self.seen.get(topic).map_or(&[][..], Vec::as_slice);
        let (Some(first), Some(last)) = (known.first(), known.last()) else { return };
        let steps = position.offset;
        *position = match position.epoch.as_str() {
            SEEN => Position { epoch: last.epoch, offset: last.offset.saturating_sub(steps) },
            FIRST => Position { epoch: first.epoch, offset: first.offset.saturating_sub(steps) },
            FUTURE => Position { epoch: last.epoch, offset: last.offset + steps },
            _ => return,
        };
    }

    /// Records the position of a publication, if it has one.
    fn note(&mut self, publication: &Publication) {
        if let Some(position) = publication.position() {
            self.note_at(publication.topic(), position);
        }
    }

    /// Records a position.
    fn note_at(&mut self, topic: &Topic, position: Position) {
        let known = self.seen.entry(topic.clone()).or_default();
        match known.iter_mut().find(|known| known.epoch == position.epoch) {
            Some(known) => known.offset = known.offset.max(position.offset),
            None => known.push(position),
        }
    }
}

/// A stand-in for a position.
pub(crate) fn stand_in(epoch: &str, offset: u64) -> Position {
    let epoch: Epoch = epoch.parse().expect("it is short enough for an epoch");
    Position { epoch, offset }
}
