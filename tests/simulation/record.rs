//! What really happened: everything published, in the order in which the hub made it so.

use crate::direct::Directs;
use hubcast_protocol::{Epoch, Position, Topic};
use std::collections::HashMap;

/// Everything published to each topic.
#[derive(Debug)]
pub(crate) struct Record {
    topics: Vec<Topic>,
    logs: Vec<Log>,
    /// Counts the crashes: a server remembers the keys of those before it up to the last crash.
    life: u64,
    pub(crate) directs: Directs,
}

#[derive(Debug, Default)]
struct Log {
    entries: Vec<Entry>,
    by_position: HashMap<(String, u64), usize>,
    /// Where an epoch's last publication stands.
    last: HashMap<String, u64>,
    by_text: HashMap<(u64, String), usize>,
}

/// One publication that took effect.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) text: String,
    pub(crate) position: Option<Position>,
    /// Who published it, when it was not to come back to that connection.
    pub(crate) silent_for: Option<usize>,
}

impl Record {
    pub(crate) fn new(topics: Vec<Topic>) -> Self {
        let logs = topics.iter().map(|_| Log::default()).collect();
        Self { topics, logs, life: 0, directs: Directs::default() }
    }

    /// Writes down a publication that took effect.
    ///
    /// # Errors
    /// When its place is not the next one, or when it took effect before.
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

    /// The server that knew which keys were used is gone and has left nothing: from now on they may take effect once more.
    pub(crate) fn forget_keys(&mut self) {
        self.life += 1;
    }

    pub(crate) fn topics(&self) -> &[Topic] {
        &self.topics
    }

    pub(crate) fn index(&self, topic: &Topic) -> usize {
        self.topics.iter().position(|known| known == topic).expect("only these topics are published to")
    }

    pub(crate) fn entries(&self, topic: usize) -> &[Entry] {
        &self.logs[topic].entries
    }

    /// How much was published to each topic until now.
    pub(crate) fn mark(&self) -> Vec<usize> {
        self.logs.iter().map(|log| log.entries.len()).collect()
    }

    pub(crate) fn find(&self, topic: usize, position: Position) -> Option<usize> {
        self.logs[topic].by_position.get(&(position.epoch.as_str().to_owned(), position.offset)).copied()
    }

    /// Where publications with this text stand, in order: more than one if a key was forgotten meanwhile.
    pub(crate) fn find_text(&self, topic: usize, text: &str) -> impl Iterator<Item = usize> + Clone {
        let by_text = &self.logs[topic].by_text;
        (0..=self.life).filter_map(move |life| by_text.get(&(life, text.to_owned())).copied())
    }

    /// The place after a position; before the first one of its epoch that is where the epoch begins.
    pub(crate) fn after(&self, topic: usize, position: Position) -> usize {
        let first = Position { offset: 1, ..position };
        match position.offset {
            0 => self.find(topic, first).unwrap_or(self.logs[topic].entries.len()),
            _ => self.find(topic, position).map_or(self.logs[topic].entries.len(), |place| place + 1),
        }
    }

    pub(crate) fn last_offset(&self, topic: usize, epoch: Epoch) -> u64 {
        self.logs[topic].last.get(epoch.as_str()).copied().unwrap_or(0)
    }
}
