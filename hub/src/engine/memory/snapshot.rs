//! Snapshots: histories, keys and producers as one process saves them and the next one restores them.

use super::{History, Memory};
use crate::Publication;
use crate::engine::{Outcome, Publisher};
use hubcast_protocol::event::Author;
use hubcast_protocol::request::MAX_SEQUENCE;
use hubcast_protocol::{Epoch, Payload, Position, Topic};
use std::time::{Duration, Instant};

/// Everything that one process saves for the next one. It contains ages and not times, because the next process has
/// another clock.
///
/// The caller must add the time in which no process ran to every age.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// At most one for each topic, in the order of their last use.
    pub histories: Vec<HistorySnapshot>,
    /// Oldest first.
    pub keys: Vec<KeySnapshot>,
    /// At most one for each name and scope, in the order of their last use.
    pub producers: Vec<ProducerSnapshot>,
}

/// One topic's history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HistorySnapshot {
    /// The topic.
    pub topic: Topic,
    /// The epoch. It stays the same, so that clients can resume.
    pub epoch: Epoch,
    /// The last offset given.
    pub last: u64,
    /// The last publications, oldest first.
    pub entries: Vec<EntrySnapshot>,
}

/// One publication of a history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntrySnapshot {
    /// The time since it was published.
    pub age: Duration,
    /// The payload.
    pub payload: Payload,
    /// Who published it and when, if the topic's rule asked for that.
    pub author: Option<Author>,
}

/// One idempotency key that a program chose.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeySnapshot {
    /// The publisher: the key is in its scope, and takes from its share of the memory.
    pub by: Publisher,
    /// The topic that it was used with.
    pub topic: Topic,
    /// The text, as the client chose it.
    pub key: Box<str>,
    /// The outcome to answer to a repetition.
    pub outcome: Outcome,
    /// The time since it was used.
    pub age: Duration,
}

/// The numbers of one producer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProducerSnapshot {
    /// The publisher that used it first: the producer is in its scope, and takes from its share of the memory.
    pub by: Publisher,
    /// The name, as the client library chose it.
    pub producer: Box<str>,
    /// The highest number that was pushed out. Numbers up to it are refused.
    pub floor: u64,
    /// The remembered numbers, in rising order.
    pub numbers: Vec<NumberSnapshot>,
}

/// One number of a producer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NumberSnapshot {
    /// Its number.
    pub sequence: u64,
    /// The hash of the topic's name.
    pub topic: u32,
    /// The outcome to answer to a repetition.
    pub outcome: Outcome,
    /// The time for which it is still remembered.
    pub left: Duration,
}

impl EntrySnapshot {
    /// A publication without its author.
    pub fn new(age: Duration, payload: Payload) -> Self {
        Self { age, payload, author: None }
    }
}

impl HistorySnapshot {
    /// Returns why no process can have saved this; `None`: it is valid.
    pub fn fault(&self) -> Option<&'static str> {
        let Self { epoch, last, entries, .. } = self;
        fault_of_position(Position { epoch: *epoch, offset: *last })
            .or((*last < entries.len() as u64).then_some("there are more publications than offsets for them"))
    }
}

impl KeySnapshot {
    /// Returns why no process can have saved this; `None`: it is valid.
    pub fn fault(&self) -> Option<&'static str> {
        fault_of_outcome(&self.outcome)
    }
}

impl ProducerSnapshot {
    /// Returns why no process can have saved this; `None`: it is valid.
    pub fn fault(&self) -> Option<&'static str> {
        let is_number = |number: &NumberSnapshot| (1..=MAX_SEQUENCE).contains(&number.sequence);
        if self.floor > MAX_SEQUENCE || !self.numbers.iter().all(is_number) {
            return Some("a sequence is from 1 to 2^53");
        }
        if !self.numbers.is_sorted_by(|one, next| one.sequence < next.sequence) {
            return Some("the numbers of a producer rise");
        }
        self.numbers.iter().find_map(|number| fault_of_outcome(&number.outcome))
    }
}

fn fault_of_outcome(outcome: &Outcome) -> Option<&'static str> {
    if outcome.receivers > u64::from(u32::MAX) {
        return Some("no publication has so many receivers");
    }
    outcome.position.and_then(fault_of_position)
}

fn fault_of_position(position: Position) -> Option<&'static str> {
    if position.offset > Position::MAX_OFFSET {
        Some("no history has an offset above 2^53")
    } else if position.epoch.as_str().is_empty() {
        Some("an epoch is not empty")
    } else {
        None
    }
}

impl Memory {
    /// Saves every history, and every key and number that has not expired, as of now.
    pub fn save(&self, now: Instant) -> Snapshot {
        let histories = self.histories.iter().map(|history| {
            let Position { epoch, offset: last } = history.position();
            let entries = history.entries();
            let entries = entries.map(|(at, publication)| EntrySnapshot {
                age: now.saturating_duration_since(at),
                payload: publication.payload().clone(),
                author: publication.author().cloned(),
            });
            HistorySnapshot { topic: history.topic().clone(), epoch, last, entries: entries.collect() }
        });
        let keys = self.keys.save_texts(now, |topic| self.rules.of(topic).key_window);
        Snapshot { histories: histories.collect(), keys, producers: self.keys.save_producers(now) }
    }

    /// Adds what another process saved, as far as the rules here still keep it. Where both have an entry, this engine's
    /// own counts: the history of a topic, the outcome of a key, the numbers of a producer. An entry that no process
    /// can have saved is left out.
    pub fn restore(&mut self, now: Instant, saved: Snapshot) {
        let Snapshot { histories, keys, producers } = saved;
        let histories = histories.into_iter().filter(|history| history.fault().is_none());
        histories.for_each(|history| self.restore_history(now, history));
        keys.into_iter().filter(|key| key.fault().is_none()).for_each(|key| self.restore_key(now, key));
        let longest = self.rules.longest_key_window();
        let producers = producers.into_iter().filter(|producer| producer.fault().is_none());
        producers.for_each(|producer| self.keys.restore_producer(now, producer, longest));
    }

    fn restore_history(&mut self, now: Instant, saved: HistorySnapshot) {
        let HistorySnapshot { topic, epoch, last, entries } = saved;
        let before_first = last.saturating_sub(entries.len() as u64);
        let Some(rule) = self.rules.of(&topic).history.clone() else { return };
        if self.by_topic.contains_key(&topic) {
            return;
        }
        let ttl = rule.ttl;
        let mut history = History::new(now, topic.clone(), rule, epoch, before_first);
        let size = self.size(now);
        for EntrySnapshot { age, payload, author } in entries {
            let position = Some(history.next_position());
            let publication =
                Publication::counted(topic.clone(), payload, position, author.map(Box::new), self.live.as_ref());
            // An age beyond the range of the clock is expired anyway, and so is an age of one `ttl`.
            let at = now.checked_sub(age).or_else(|| now.checked_sub(ttl));
            history.push(at.unwrap_or(now), publication, size);
        }
        let id = self.histories.insert(history);
        self.by_topic.insert(topic, id);
        self.account(now, id);
    }

    fn restore_key(&mut self, now: Instant, saved: KeySnapshot) {
        let left = self.rules.of(&saved.topic).key_window.saturating_sub(saved.age);
        if !left.is_zero() {
            self.keys.restore_text(now, saved, left);
        }
    }
}
