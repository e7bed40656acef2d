//! What really happened: all publications, in the order in which the hub gave them effect.

use crate::direct::Directs;
use hubcast_protocol::{Epoch, Position, Topic};
use std::collections::HashMap;

/// All publications to each topic.
#[derive(Debug)]
pub(crate) struct Record {
    topics: Vec<Topic>,
    logs: Vec<Log>,
    /// Number of losses of state. A server knows the idempotency keys of earlier servers back to the last loss.
    life: u64,
    pub(crate) directs: Directs,
}

/// The publications to one topic, with indexes to find them.
#[derive(Debug, Default)]
struct Log {
    entries: Vec<Entry>,
    by_position: HashMap<(String, u64), usize>,
    /// The last offset of each epoch.
    last: HashMap<String, u64>,
    by_text: HashMap<(u64, String), usize>,
}

/// One publication that took effect.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) text: String,
    pub(crate) position: Option<Position>,
    /// The client that published it with `echo: false`, so that it must not receive it.
    pub(crate) silent_for: Option<usize>,
}

impl Record {
    pub(crate) fn new(topics: Vec<Topic>) -> Self {
        let logs = topics.iter().map(|_| Log::default()).collect();
        Self { topics, logs, life: 0, directs: Directs::default() }
    }

    /// Adds a publication that took effect.
    ///
    /// # Errors
    /// If its offset is not the next one, or if the same publication took effect before.
    pub(crate) fn publish(&mut self, topic: &Topic, entry: Entry) -> Result<(), String> {
        let (life, topic) = (self.life, self.index(topic));
        let log = &mut self.logs[topic];
        let place = log.entries.len();
        if let Some(position) = entry.position {
            let epoch = position.epoch.as_str().to_owned();
            let last = log.last.insert(epoch.clone(), position.offset).unwrap_or(0);
            if position.offset != last + 1 {
                return Err(format!("offset {} of epoch {epoch} was given after {last}", position.offset));
            }
            log.by_position.insert((epoch, position.offset), place);
        }
        if log.by_text.insert((life, entry.text.clone()), place).is_some() {
            return Err(format!("{:?} took effect a second time", entry.text));
        }
        log.entries.push(entry);
        Ok(())
    }

    /// Records that the server has lost its idempotency keys: a keyed publication may take effect once more.
    pub(crate) fn forget_keys(&mut self) {
        self.life += 1;
    }

    pub(crate) fn topics(&self) -> &[Topic] {
        &self.topics
    }

    /// The index of a topic in the record.
    pub(crate) fn index(&self, topic: &Topic) -> usize {
        self.topics.iter().position(|known| known == topic).expect("only these topics are published to")
    }

    /// All publications to a topic.
    pub(crate) fn entries(&self, topic: usize) -> &[Entry] {
        &self.logs[topic].entries
    }

    /// The number of publications to each topic until now.
    pub(crate) fn mark(&self) -> Vec<usize> {
        self.logs.iter().map(|log| log.entries.len()).collect()
    }

    /// The index of the publication with this position.
    pub(crate) fn find(&self, topic: usize, position: Position) -> Option<usize> {
        self.logs[topic].by_position.get(&(position.epoch.as_str().to_owned(), position.offset)).copied()
    }

    /// The indexes of the publications with this text, in order. There are several if the server
    /// forgot a key meanwhile.
    pub(crate) fn find_text(&self, topic: usize, text: &str) -> impl Iterator<Item = usize> + Clone {
        let by_text = &self.logs[topic].by_text;
        (0..=self.life).filter_map(move |life| by_text.get(&(life, text.to_owned())).copied())
    }

    /// The index after the publication with this position. For offset 0 it is the index of the first publication of the
    /// epoch. If the record has no such publication, it is the end of the record.
    pub(crate) fn after(&self, topic: usize, position: Position) -> usize {
        let first = Position { offset: 1, ..position };
        match position.offset {
            0 => self.find(topic, first).unwrap_or(self.logs[topic].entries.len()),
            _ => self.find(topic, position).map_or(self.logs[topic].entries.len(), |place| place + 1),
        }
    }

    /// The last offset of an epoch; 0 if it has none.
    pub(crate) fn last_offset(&self, topic: usize, epoch: Epoch) -> u64 {
        self.logs[topic].last.get(epoch.as_str()).copied().unwrap_or(0)
    }
}
