//! The last publications of one topic.

use crate::Publication;
use crate::rules::{HistoryPolicy, Retention};
use hubcast_protocol::{Epoch, Position, Topic};
use std::collections::VecDeque;
use std::ops::AddAssign;
use std::time::Instant;

/// The history of one topic: a bounded window of publications whose offsets have no gaps.
#[derive(Debug)]
pub(super) struct History {
    topic: Topic,
    rule: HistoryPolicy,
    /// The version of the rules from which it is.
    pub(super) rules_version: u32,
    epoch: Epoch,
    /// The last offset given. The entries are the publications up to and including it.
    last: u64,
    entries: VecDeque<HistoryEntry>,
    bytes: usize,
    /// Whether the topic has a subscriber by its name.
    pub(super) in_use: bool,
    /// When it was last in use, as far as is known: had a subscriber by name, was resumed from, or got a publication
    /// that counts as a use (see [`touch`](Self::touch)). If it is `unheard`, when a look-over last found no
    /// subscriber.
    used_at: Instant,
    /// Whether the last look-over found no subscriber, and it was not used since.
    unheard: bool,
    expires_at: Option<Instant>,
}

#[derive(Debug)]
struct HistoryEntry {
    at: Instant,
    publication: Publication,
}

/// The limit on the number of publications of a history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Size {
    OfTheRule,
    /// No limit on the number; only the bound on the bytes of all histories counts.
    Any,
}

/// Publications that a history has dropped because of its rule.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Dropped {
    /// They were older than the rule says.
    pub(crate) by_age: u64,
    /// There were more than the rule says.
    pub(crate) by_size: u64,
}

impl Dropped {
    /// All of them.
    pub(super) fn sum(self) -> u64 {
        self.by_age + self.by_size
    }
}

impl AddAssign for Dropped {
    fn add_assign(&mut self, more: Self) {
        self.by_age += more.by_age;
        self.by_size += more.by_size;
    }
}

impl History {
    /// A history that begins after the offset `last`: 0, unless another process saved the publications before it.
    pub(super) fn new(now: Instant, topic: Topic, rule: HistoryPolicy, epoch: Epoch, last: u64) -> Self {
        let entries = VecDeque::new();
        Self {
            topic,
            rule,
            rules_version: 0,
            epoch,
            last,
            entries,
            bytes: 0,
            in_use: false,
            used_at: now,
            unheard: false,
            expires_at: None,
        }
    }

    /// Takes another rule, from this version of the rules. What it drops is dropped with the next use.
    pub(super) fn follow(&mut self, rule: HistoryPolicy, rules_version: u32) {
        (self.rule, self.rules_version) = (rule, rules_version);
    }

    pub(super) fn topic(&self) -> &Topic {
        &self.topic
    }

    /// The end of the history.
    pub(super) fn position(&self) -> Position {
        Position { epoch: self.epoch, offset: self.last }
    }

    pub(super) fn next_position(&self) -> Position {
        Position { epoch: self.epoch, offset: self.last + 1 }
    }

    /// Bytes that can be given back: its publications and, if it has no subscriber by name, the history itself.
    pub(super) fn bytes(&self) -> usize {
        let itself = if self.in_use { 0 } else { HISTORY_COST + self.topic.as_str().len() };
        self.bytes + itself
    }

    /// Bytes of its publications.
    pub(super) fn publication_bytes(&self) -> usize {
        self.bytes
    }

    /// The number of its publications.
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Its publications, oldest first, each with the time when it was published.
    pub(super) fn entries(&self) -> impl Iterator<Item = (Instant, &Publication)> {
        self.entries.iter().map(|entry| (entry.at, &entry.publication))
    }

    /// Adds the publication at the next position. Then drops publications that are too many or too old.
    pub(super) fn push(&mut self, at: Instant, publication: Publication, size: Size) -> Dropped {
        self.last += 1;
        self.bytes += publication.bytes();
        self.entries.push_back(HistoryEntry { at, publication });
        self.trim(at, size)
    }

    /// Drops publications that are too many or too old.
    pub(super) fn trim(&mut self, now: Instant, size: Size) -> Dropped {
        self.trim_some(now, size, usize::MAX)
    }

    /// Drops at most `may_drop` publications that are too many or too old.
    pub(super) fn trim_some(&mut self, now: Instant, size: Size, may_drop: usize) -> Dropped {
        let most = if size == Size::OfTheRule { self.rule.size } else { usize::MAX };
        let mut dropped = Dropped::default();
        for _ in 0..may_drop {
            match self.entries.front() {
                Some(_) if self.entries.len() > most => dropped.by_size += 1,
                Some(oldest) if oldest.at + self.rule.ttl <= now => dropped.by_age += 1,
                _ => break,
            }
            self.drop_oldest();
        }
        dropped
    }

    pub(super) fn drop_oldest(&mut self) {
        if let Some(oldest) = self.entries.pop_front() {
            self.bytes -= oldest.publication.bytes();
        }
        if self.entries.is_empty() {
            self.entries = VecDeque::new();
        }
    }

    /// Drops all publications. Returns how many there were.
    pub(super) fn clear(&mut self) -> usize {
        self.bytes = 0;
        std::mem::take(&mut self.entries).len()
    }

    /// Notes a use, if a publication has subscribers or the rule is [`Retention::Always`]. A publication without a
    /// subscriber does not prolong an unused history.
    pub(super) fn touch(&mut self, now: Instant, has_subscribers: bool) {
        if has_subscribers || self.rule.keep == Retention::Always {
            (self.used_at, self.unheard) = (now, false);
        }
    }

    /// Notes that the last subscriber by name is gone.
    pub(super) fn release(&mut self, now: Instant) {
        self.in_use = false;
        (self.used_at, self.unheard) = (now, false);
    }

    /// All publications after a position; `None` if some of them may be missing.
    pub(super) fn since(&self, after: Position) -> Option<Vec<Publication>> {
        let missed = usize::try_from(self.last.checked_sub(after.offset)?).ok()?;
        (after.epoch == self.epoch && missed <= self.entries.len()).then(|| self.last(missed))
    }

    /// At most `limit` publications after a position of this epoch, from the first one that is still kept.
    pub(super) fn from(&self, after: Position, limit: usize) -> Vec<Publication> {
        let wanted = usize::try_from(self.last.saturating_sub(after.offset)).unwrap_or(usize::MAX);
        let skip = self.entries.len().saturating_sub(wanted);
        self.entries.iter().skip(skip).take(limit).map(|entry| entry.publication.clone()).collect()
    }

    /// The last `count` publications, oldest first.
    pub(super) fn last(&self, count: usize) -> Vec<Publication> {
        let skip = self.entries.len().saturating_sub(count);
        self.entries.iter().skip(skip).map(|entry| entry.publication.clone()).collect()
    }

    /// Called when a look-over is due. Returns whether the history is unused for so long that no client can resume from
    /// it. Returns `None`, and changes nothing, if `has_subscribers` does not answer.
    ///
    /// A subscriber by a pattern may have left at any time since the last look-over. So a history without subscribers
    /// is kept for one more `ttl` after the first look-over that finds none.
    pub(super) fn is_expired(
        &mut self,
        now: Instant,
        has_subscribers: impl FnOnce(&Topic) -> Option<bool>,
    ) -> Option<bool> {
        if self.in_use || self.used_at + self.rule.ttl > now {
            return Some(false);
        }
        let was_unheard = std::mem::replace(&mut self.unheard, !has_subscribers(&self.topic)?);
        self.used_at = now;
        Some(was_unheard && self.unheard)
    }

    /// Plans a look-over, not before `earliest`, unless one is planned already. Returns the time of the new one.
    pub(super) fn schedule_expiry(&mut self, earliest: Instant) -> Option<Instant> {
        if self.expires_at.is_some() {
            return None;
        }
        let oldest = self.entries.front().map(|entry| entry.at);
        let unused = (!self.in_use).then_some(self.used_at);
        let at = oldest.into_iter().chain(unused).min()? + self.rule.ttl;
        self.expires_at = Some(at.max(earliest));
        self.expires_at
    }

    /// The time of its planned look-over.
    pub(super) fn expires_at(&self) -> Option<Instant> {
        self.expires_at
    }

    /// Notes that the planned look-over is done.
    pub(super) fn take_expiry(&mut self) {
        self.expires_at = None;
    }
}

/// Approximate bytes of a history without publications, with its entry in the index.
const HISTORY_COST: usize = 448;
