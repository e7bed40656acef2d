//! Histories on their way out of a process and into the next one.

use super::{History, Memory};
use crate::Publication;
use hubcast_protocol::{Epoch, Payload, Position, Topic};
use std::time::{Duration, Instant};

/// One topic's history, free of this process's clock.
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

impl Memory {
    /// Every history as it is now.
    pub fn save(&self, now: Instant) -> Vec<SavedHistory> {
        let saved = self.histories.iter().map(|history| {
            let Position { epoch, offset: last } = history.position();
            let entries = history.entries();
            let entries =
                entries.map(|(at, publication)| (now.saturating_duration_since(at), publication.payload().clone()));
            SavedHistory { topic: history.topic().clone(), epoch, last, entries: entries.collect() }
        });
        saved.collect()
    }

    /// Takes up a history that another process saved. A topic that has one keeps its own.
    pub fn restore(&mut self, now: Instant, saved: SavedHistory) {
        let SavedHistory { topic, epoch, last, entries } = saved;
        let Some(before_first) = last.checked_sub(entries.len() as u64) else { return };
        let Some(rule) = self.rules.of(&topic).history.clone() else { return };
        if self.by_topic.contains_key(&topic) {
            return;
        }
        let mut history = History::new(now, topic.clone(), rule, epoch, before_first);
        for (age, payload) in entries {
            let publication = Publication::new(topic.clone(), payload, Some(history.next_position()));
            history.push(now.checked_sub(age).unwrap_or(now), publication);
        }
        let id = self.histories.insert(history);
        self.by_topic.insert(topic, id);
        self.settle(now, id);
    }
}
