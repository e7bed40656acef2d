//! Histories, keys and producers on their way out of a process and into the next one.

use super::{History, Memory};
use crate::Publication;
use crate::engine::{Outcome, Publisher};
use hubcast_protocol::request::MAX_SEQUENCE;
use hubcast_protocol::{Epoch, Payload, Position, Topic};
use std::time::{Duration, Instant};

/// What one process leaves to the next one, free of its clock: ages instead of times.
///
/// Time in which no process runs is for the caller to add to every age.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// No two of one topic; what was used last comes last.
    pub histories: Vec<HistorySnapshot>,
    /// Oldest first.
    pub keys: Vec<KeySnapshot>,
    /// No two of one name and scope; what was used last comes last.
    pub producers: Vec<ProducerSnapshot>,
}

/// One topic's history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HistorySnapshot {
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
pub struct KeySnapshot {
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
pub struct ProducerSnapshot {
    /// Who published with it first: whose it is, and whose share of the room it takes.
    pub by: Publisher,
    /// As the client library chose it.
    pub producer: Box<str>,
    /// Numbers up to this one are refused.
    pub floor: u64,
    /// Those that are remembered, in rising order.
    pub numbers: Vec<NumberSnapshot>,
}

/// One publication of a producer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NumberSnapshot {
    /// Its number.
    pub sequence: u64,
    /// A mark of the topic's name.
    pub topic: u32,
    /// What is answered to a repetition.
    pub outcome: Outcome,
    /// How long it is remembered yet.
    pub left: Duration,
}

impl HistorySnapshot {
    /// Why no process can have saved this, if none can.
    pub fn fault(&self) -> Option<&'static str> {
        let Self { epoch, last, entries, .. } = self;
        fault_of_position(Position { epoch: *epoch, offset: *last })
            .or((*last < entries.len() as u64).then_some("there are more publications than offsets for them"))
    }
}

impl KeySnapshot {
    /// Why no process can have saved this, if none can.
    pub fn fault(&self) -> Option<&'static str> {
        fault_of_outcome(&self.outcome)
    }
}

impl ProducerSnapshot {
    /// Why no process can have saved this, if none can.
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
    /// Every history, and every key and number whose window is open, as they are now.
    pub fn save(&self, now: Instant) -> Snapshot {
        let histories = self.histories.iter().map(|history| {
            let Position { epoch, offset: last } = history.position();
            let entries = history.entries();
            let entries =
                entries.map(|(at, publication)| (now.saturating_duration_since(at), publication.payload().clone()));
            HistorySnapshot { topic: history.topic().clone(), epoch, last, entries: entries.collect() }
        });
        let keys = self.keys.save_texts(now, |topic| self.rules.of(topic).key_window);
        Snapshot { histories: histories.collect(), keys, producers: self.keys.save_producers(now) }
    }

    /// Takes up what another process saved, as far as the rules here still keep it. A topic that has a history keeps its
    /// own, a key that was used here its outcome, and a producer that published here its numbers. What no process can
    /// have saved is left out.
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
        for (age, payload) in entries {
            let position = Some(history.next_position());
            let publication = Publication::counted(topic.clone(), payload, position, self.live.as_ref());
            // What is older than the clock can tell is over all the same.
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
