//! Histories, keys and producers on their way out of a process and into the next one.

use super::{History, Memory};
use crate::Publication;
use crate::engine::{Outcome, Publisher};
use hubcast_protocol::{Epoch, Payload, Position, Topic};
use std::time::{Duration, Instant};

/// What one process leaves to the next one, free of its clock: ages instead of times.
///
/// Time in which no process runs is for the caller to add to every age.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Saved {
    /// No two of one topic; what was used last comes last.
    pub histories: Vec<SavedHistory>,
    /// Oldest first.
    pub keys: Vec<SavedKey>,
    /// No two of one name and scope; what was used last comes last.
    pub producers: Vec<SavedProducer>,
}

/// One topic's history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SavedHistory {
    /// Whose history.
    pub topic: Topic,
    /// Which one; it stays the same, so that clients can resume.
    pub epoch: Epoch,
    /// The last offset given.
    pub last: u64,
    /// The last publications, oldest first, each with its age.
    pub entries: Vec<(Duration, Payload)>,
}

/// One idempotency key that a program chose.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SavedKey {
    /// Who used it: whose it is, and whose share of the room it takes.
    pub by: Publisher,
    /// Where it was used.
    pub topic: Topic,
    /// As the client chose it.
    pub key: Box<str>,
    /// What is answered to a repetition.
    pub outcome: Outcome,
    /// How long ago it was used.
    pub age: Duration,
}

/// The numbers of one client library.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SavedProducer {
    /// Who published with it first: whose it is, and whose share of the room it takes.
    pub by: Publisher,
    /// As the client library chose it.
    pub producer: Box<str>,
    /// Numbers up to this one are refused.
    pub floor: u64,
    /// Those that are remembered, in rising order.
    pub numbers: Vec<SavedNumber>,
}

/// One publication of a producer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SavedNumber {
    /// Its number.
    pub sequence: u64,
    /// A mark of the topic's name.
    pub topic: u32,
    /// What is answered to a repetition.
    pub outcome: Outcome,
    /// How long it is remembered yet.
    pub left: Duration,
}

impl Memory {
    /// Every history, and every key and number whose window is open, as they are now.
    pub fn save(&self, now: Instant) -> Saved {
        let histories = self.histories.iter().map(|history| {
            let Position { epoch, offset: last } = history.position();
            let entries = history.entries();
            let entries =
                entries.map(|(at, publication)| (now.saturating_duration_since(at), publication.payload().clone()));
            SavedHistory { topic: history.topic().clone(), epoch, last, entries: entries.collect() }
        });
        let keys = self.keys.save_texts(now, |topic| self.rules.of(topic).key_window);
        Saved { histories: histories.collect(), keys, producers: self.keys.save_producers(now) }
    }

    /// Takes up what another process saved, as far as the rules here still keep it. A topic that has a history keeps its
    /// own, a key that was used here its outcome, and a producer that published here its numbers.
    pub fn restore(&mut self, now: Instant, saved: Saved) {
        saved.histories.into_iter().for_each(|history| self.restore_history(now, history));
        saved.keys.into_iter().for_each(|key| self.restore_key(now, key));
        saved.producers.into_iter().for_each(|producer| self.keys.restore_producer(now, producer));
    }

    fn restore_history(&mut self, now: Instant, saved: SavedHistory) {
        let SavedHistory { topic, epoch, last, entries } = saved;
        let Some(before_first) = last.checked_sub(entries.len() as u64) else { return };
        let Some(rule) = self.rules.of(&topic).history.clone() else { return };
        if self.by_topic.contains_key(&topic) {
            return;
        }
        let mut history = History::new(now, topic.clone(), rule, epoch, before_first);
        let size = self.size(now);
        for (age, payload) in entries {
            let position = Some(history.next_position());
            let publication = Publication::counted(topic.clone(), payload, position, self.live.as_ref());
            history.push(now.checked_sub(age).unwrap_or(now), publication, size);
        }
        let id = self.histories.insert(history);
        self.by_topic.insert(topic, id);
        self.account(now, id);
    }

    fn restore_key(&mut self, now: Instant, saved: SavedKey) {
        let left = self.rules.of(&saved.topic).key_window.saturating_sub(saved.age);
        if !left.is_zero() {
            self.keys.restore_text(now, saved, left);
        }
    }
}
