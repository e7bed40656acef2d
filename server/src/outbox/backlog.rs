//! The backlog of a connection: what waits behind the frames of its outbox.
//!
//! It holds the publications of a slow reader whose subscriptions allow that some are left out. It also holds the rests
//! of replays and of answers to `history`, which are encoded only when the socket is ready for them; these are never
//! left out.
//!
//! The client learns of everything that is left out. A *segment* is a run of waiting publications of one topic and one
//! epoch, without anything of the topic between them that must go out. The server leaves out a segment from its oldest
//! publication on, so that one gap is enough for each segment. The gap takes the place of the last publication that was
//! left out. There the client gets a `gap` event: after everything of the topic that was sent before, and before
//! everything of it that follows. Joins and leaves (`events`) have no offsets; a `gap` of their own reports them.

mod events;
mod required;

use crate::encode::batch::{Batch, frame_cost, of_event};
use crate::encode::history_reply::HistoryReply;
use bytes::Bytes;
use events::{Events, NextEvent};
use hubcast_hub::Publication;
use hubcast_protocol::event::{Gap, GapReason};
use hubcast_protocol::{Dialect, Epoch, Event, Position, Slow, Topic};
pub(crate) use required::NextBytes;
use required::RequiredEntries;
use std::collections::{BTreeMap, HashMap, VecDeque};

/// A queue behind the frames of the outbox. Publications in it can still be left out.
///
/// Every segment is charged with the cost of its gap from its first publication on. So there is always room for the gap
/// when publications are left out.
#[derive(Debug, Default)]
pub(crate) struct Backlog {
    /// The queue, by kind of entry. Each entry has its place in the queue as a number.
    required: RequiredEntries,
    publications: BTreeMap<u64, QueuedPublication>,
    skipped: BTreeMap<u64, SkippedRange>,
    newest: u64,
    topics: HashMap<Topic, TopicBacklog>,
    /// Joins and leaves.
    events: Events,
    /// The place of the newest replay or answer to `history`. It may have publications of any topic, so no segment
    /// continues across it.
    replay: u64,
    /// Bytes that cannot be left out: frames that count, and a gap for each segment and each topic with events.
    reserved: usize,
    /// Bytes of the publications that can be left out.
    droppable: usize,
    left_out: LeftOut,
}

/// What was left out of a backlog.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct LeftOut {
    /// Publications to subscriptions that are `drop`, and to those that are `latest`.
    pub(crate) publications: [u64; 2],
    /// Gaps, as the client is told of them, in the same order.
    pub(crate) gaps: [u64; 2],
}

/// A publication that may be left out.
#[derive(Debug)]
struct QueuedPublication {
    publication: Publication,
    slow: Slow,
    /// Whether an earlier entry of the queue belongs to the same segment.
    continues: bool,
}

/// The publications of one segment that were left out, from `first` to `last`, both included. Without history a topic
/// has no offsets, and both are `None`.
#[derive(Debug)]
struct SkippedRange {
    topic: Topic,
    first: Option<Position>,
    last: Option<Position>,
}

/// The entries of one topic. All gaps come before all publications.
#[derive(Debug, Default)]
struct TopicBacklog {
    publications: VecDeque<u64>,
    /// The newest gap.
    skipped: Option<u64>,
    /// The epoch of the newest publication.
    epoch: Option<Epoch>,
    /// No segment continues across this place: here the topic has something that must go out.
    barrier: u64,
}

impl Backlog {
    /// Queues a frame that must go out. Returns whether it fits: at most `most` bytes may wait.
    pub(crate) fn push_frame(&mut self, bytes: Bytes, most: usize) -> bool {
        let fits = self.reserved + frame_cost(&bytes) <= most;
        if fits {
            self.reserved += frame_cost(&bytes);
            let place = self.next_place();
            self.required.push_charged(place, bytes);
            self.shrink_to(most);
        }
        fits
    }

    /// Queues a frame that must go out, such as a replay, without a limit.
    pub(crate) fn push_exempt(&mut self, bytes: Bytes) {
        self.replay = self.next_place();
        self.required.push_exempt(self.replay, bytes);
    }

    /// Queues the part of a replay that is not encoded yet.
    pub(crate) fn push_missed(&mut self, missed: Vec<Publication>) {
        self.replay = self.next_place();
        self.required.push_missed(self.replay, missed);
    }

    /// Queues the answer to a `history` request.
    pub(crate) fn push_history(&mut self, answer: HistoryReply) {
        self.replay = self.next_place();
        self.required.push_history(self.replay, answer);
    }

    /// Queues publications that must go out, encoded as `frames`. Returns whether there was room.
    pub(crate) fn push_required(&mut self, publications: &[Publication], frames: Bytes, most: usize) -> bool {
        let fits = self.push_frame(frames, most);
        for publication in publications.iter().filter(|_| fits) {
            if let Some(topic_backlog) = self.topics.get_mut(publication.topic()) {
                topic_backlog.barrier = self.newest;
            }
        }
        fits
    }

    /// Queues publications that may be left out. If there is no room, the oldest of all are left out; with
    /// [`Slow::Latest`], all that wait of the same topic are left out in any case. Returns whether there was room among
    /// `most` bytes for the gaps of the segments.
    pub(crate) fn push_publications(&mut self, publications: &[Publication], slow: Slow, most: usize) -> bool {
        let fits = self.reserved + self.price_of_segments(publications) <= most;
        if fits {
            for publication in publications {
                self.push_publication(publication, slow);
            }
            self.shrink_to(most);
        }
        fits
    }

    /// Queues a join or a leave that may be left out, oldest first. Returns whether there was room among `most` bytes
    /// for the gap of its topic.
    pub(crate) fn push_presence(&mut self, topic: &Topic, frame: Bytes, most: usize) -> bool {
        let price = self.events.price(topic);
        let fits = self.reserved + price <= most;
        if fits {
            self.reserved += price;
            let place = self.next_place();
            self.events.push(place, topic, frame);
            self.shrink_to(most);
        }
        fits
    }

    /// Bytes that count against the limit of the outbox.
    pub(crate) fn charged(&self) -> usize {
        self.reserved + self.droppable + self.events.bytes()
    }

    /// Bytes that do not count.
    pub(crate) fn exempt(&self) -> usize {
        self.required.exempt()
    }

    /// Bytes of memory that it uses, without the publications themselves.
    pub(crate) fn own_bytes(&self) -> usize {
        let waiting = self.publications.len() * PUBLICATION_OVERHEAD_BYTES;
        self.reserved + self.events.bytes() + self.required.own_exempt_bytes() + waiting
    }

    /// Leaves out all that may be left out. Returns whether there was anything.
    pub(crate) fn leave_out_all(&mut self) -> bool {
        let was = self.droppable + self.events.bytes() > 0;
        self.shrink_to(0);
        was
    }

    /// What was left out since the last call.
    pub(crate) fn take_left_out(&mut self) -> LeftOut {
        std::mem::take(&mut self.left_out)
    }

    /// Removes the next bytes to write; `None` when nothing waits any more.
    pub(crate) fn pop(&mut self, dialect: Dialect) -> Option<NextBytes> {
        loop {
            let frame = self.required.first();
            let publication = self.publications.keys().next().copied();
            let skipped = self.skipped.keys().next().copied();
            let first = [frame, publication, skipped, self.events.first()].into_iter().flatten().min();
            if first.is_none() || first == frame {
                let next = self.required.pop(dialect)?;
                self.reserved -= if next.charged { frame_cost(&next.bytes) } else { 0 };
                return Some(next);
            }
            let part = match first {
                _ if first == publication => self.pop_publication(dialect),
                _ if first == skipped => self.pop_skipped(dialect),
                _ => self.pop_event(dialect),
            };
            if let Some(bytes) = part {
                return Some(NextBytes { bytes, charged: true, ends_frame: true });
            }
        }
    }

    fn next_place(&mut self) -> u64 {
        self.newest += 1;
        self.newest
    }

    fn push_publication(&mut self, publication: &Publication, slow: Slow) {
        let (topic, place) = (publication.topic(), self.next_place());
        while slow == Slow::Latest
            && let Some(oldest) = self.topics.get(topic).and_then(|topic_backlog| topic_backlog.publications.front())
        {
            self.leave_out(*oldest);
        }
        let continues = self.continues(publication);
        self.reserved += if continues { 0 } else { price(topic) };
        self.droppable += cost(publication);
        let topic_backlog = self.topics.entry(topic.clone()).or_default();
        topic_backlog.publications.push_back(place);
        topic_backlog.epoch = epoch(publication);
        self.publications.insert(place, QueuedPublication { publication: publication.clone(), slow, continues });
    }

    /// Whether the newest segment of the topic continues with this publication.
    fn continues(&self, publication: &Publication) -> bool {
        self.topics.get(publication.topic()).is_some_and(|topic_backlog| {
            let last = topic_backlog.publications.back().or(topic_backlog.skipped.as_ref());
            last > Some(&topic_backlog.barrier.max(self.replay)) && topic_backlog.epoch == epoch(publication)
        })
    }

    /// The most that the new segments of these publications can be charged, in bytes.
    fn price_of_segments(&self, publications: &[Publication]) -> usize {
        let goes_on = |one: &Publication, next: &Publication| one.topic() == next.topic() && epoch(one) == epoch(next);
        let firsts = publications.chunk_by(goes_on).map(|segment| &segment[0]);
        firsts.filter(|first| !self.continues(first)).map(|first| price(first.topic())).sum()
    }

    /// Leaves out the oldest publications and events until at most `most` bytes wait, or none of them is left.
    fn shrink_to(&mut self, most: usize) {
        while self.charged() > most {
            match (self.publications.keys().next().copied(), self.events.oldest()) {
                (Some(publication), event) if event.is_none_or(|event| publication < event) => {
                    self.leave_out(publication);
                }
                (_, Some(_)) => self.events.leave_out(),
                (_, None) => return,
            }
        }
    }

    /// Leaves out the publication at a place, which must be the first of its topic in the queue.
    fn leave_out(&mut self, place: u64) {
        let Some(QueuedPublication { publication, slow, continues }) = self.publications.remove(&place) else { return };
        let policy = usize::from(slow == Slow::Latest);
        self.left_out.publications[policy] += 1;
        self.droppable -= cost(&publication);
        let (topic, last) = (publication.topic(), publication.position());
        let Some(topic_backlog) = self.topics.get_mut(topic) else { return };
        topic_backlog.publications.pop_front();
        let before = topic_backlog.skipped.replace(place).filter(|_| continues);
        let before = before.and_then(|before| self.skipped.remove(&before));
        self.left_out.gaps[policy] += u64::from(before.is_none());
        let first = before.map_or(last, |before| before.first);
        self.skipped.insert(place, SkippedRange { topic: topic.clone(), first, last });
    }

    fn pop_publication(&mut self, dialect: Dialect) -> Option<Bytes> {
        let (_, QueuedPublication { publication, .. }) = self.publications.pop_first()?;
        self.droppable -= cost(&publication);
        if let Some(topic_backlog) = self.topics.get_mut(publication.topic()) {
            topic_backlog.publications.pop_front();
        }
        self.shorten_segment(publication.topic());
        Some(Batch::new(publication).get(dialect).clone())
    }

    /// Removes a gap; `None` in the plain dialect, which has no gap event.
    fn pop_skipped(&mut self, dialect: Dialect) -> Option<Bytes> {
        let (place, SkippedRange { topic, first, last }) = self.skipped.pop_first()?;
        match self.topics.get_mut(&topic).filter(|topic_backlog| topic_backlog.skipped == Some(place)) {
            Some(topic_backlog) => {
                topic_backlog.skipped = None;
                self.shorten_segment(&topic);
            }
            // No publication of this segment waits; a newer segment of the topic has begun.
            None => self.reserved -= price(&topic),
        }
        let (from, to) = (first.map(|first| first.offset), last.map(|last| last.offset));
        let epoch = first.map(|first| first.epoch);
        of_event(&Event::Gap(Gap { topic, from, to, epoch, offset: None, reason: GapReason::SlowConsumer }), dialect)
    }

    /// Removes a join, a leave, or the gap of some that were left out.
    fn pop_event(&mut self, dialect: Dialect) -> Option<Bytes> {
        let (next, price) = self.events.pop()?;
        self.reserved -= price;
        match next {
            NextEvent::Event(frame) => Some(frame),
            NextEvent::Skipped(topic) => of_event(&Event::Gap(Gap::of_presence(topic)), dialect),
        }
    }

    /// Updates the oldest segment of a topic after its first entry was removed: the next entry is now its first.
    fn shorten_segment(&mut self, topic: &Topic) {
        let Some(topic_backlog) = self.topics.get(topic) else { return };
        let next = topic_backlog.publications.front().and_then(|next| self.publications.get_mut(next));
        if next.is_none() && topic_backlog.skipped.is_none() {
            self.topics.remove(topic);
        }
        match next.filter(|next| next.continues) {
            Some(next) => next.continues = false,
            None => self.reserved -= price(topic),
        }
    }
}

fn epoch(publication: &Publication) -> Option<Epoch> {
    publication.position().map(|position| position.epoch)
}

/// Cost of a publication while it waits here, in bytes.
fn cost(publication: &Publication) -> usize {
    publication.payload().as_plain().len() + publication.topic().as_str().len() + 128
}

/// Cost of a segment besides its publications, in bytes: its gap, and the bookkeeping of its topic.
fn price(topic: &Topic) -> usize {
    topic.as_str().len() + 256
}

/// Approximate bytes of memory for the entry of a publication, besides the publication itself.
const PUBLICATION_OVERHEAD_BYTES: usize = 96;

#[cfg(test)]
mod tests;
