//! What is shown: figures of the last looks at the server, and what the user has chosen. It has no clock and no screen.

use super::answers::{ClientInfo, Snapshot, TopicInfo};
use super::args::Sort;
use crate::commands::printable;
use std::cmp::Reverse;
use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

/// The state of `hubcast top`. [`Model::looked`] takes each answer of the server, and [`Model::pressed`] each key; the
/// rest tells what to show.
#[derive(Debug)]
pub(super) struct Model {
    /// The address of the server, without secrets.
    pub(super) address: String,
    pub(super) interval: Duration,
    pub(super) sort: Sort,
    pub(super) is_paused: bool,
    pub(super) mode: Mode,
    /// Only what contains this text is shown.
    pub(super) filter: String,
    /// Why the last look has failed.
    pub(super) fault: Option<String>,
    pub(super) figures: Option<Figures>,
    rows: usize,
    last: Option<(Instant, Snapshot)>,
    topics: Vec<Topic>,
    clients: Vec<Client>,
    pub(super) connections: Series,
    pub(super) publications: Series,
    pub(super) deliveries: Series,
    pub(super) memory: Series,
}

/// What keys do at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    /// They are commands.
    Commands,
    /// They are the text of the filter.
    Filter,
    /// The help is shown; any key ends it.
    Help,
}

/// A key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Key {
    Char(char),
    Enter,
    Escape,
    Backspace,
}

/// The figures of the whole server.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Figures {
    pub(super) server: String,
    pub(super) uptime: Duration,
    pub(super) workers: u64,
    pub(super) connections: u64,
    pub(super) topics: u64,
    /// In a second; `None` before the second look.
    pub(super) publications: Option<f64>,
    pub(super) deliveries: Option<f64>,
    pub(super) publications_in_all: u64,
    pub(super) deliveries_in_all: u64,
    /// The memory of the process in bytes, if the system tells it.
    pub(super) memory: Option<u64>,
    pub(super) history_bytes: u64,
    pub(super) waiting_bytes: u64,
    pub(super) is_complete: bool,
}

/// A topic. Its name has no character that steers a terminal.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Topic {
    pub(super) name: String,
    /// Publications in a second; `None` without a history, and before the second look.
    pub(super) rate: Option<f64>,
    pub(super) subscribers: u64,
    /// Publications in its history.
    pub(super) kept: u64,
    pub(super) offset: Option<u64>,
}

/// A client for which something waits. No text of it has a character that steers a terminal.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Client {
    pub(super) id: String,
    pub(super) user: String,
    pub(super) address: String,
    /// Bytes that wait for it.
    pub(super) outbox: u64,
    /// For how long its socket has taken nothing.
    pub(super) lag: Duration,
    pub(super) why: String,
}

/// The last values of a figure, the oldest first.
#[derive(Clone, Debug, Default)]
pub(super) struct Series(VecDeque<u64>);

impl Model {
    pub(super) fn new(address: &str, interval: Duration, sort: Sort, rows: u16) -> Self {
        Self {
            address: printable::line(address),
            interval,
            sort,
            is_paused: false,
            mode: Mode::Commands,
            filter: String::new(),
            fault: None,
            figures: None,
            rows: rows.into(),
            last: None,
            topics: Vec::new(),
            clients: Vec::new(),
            connections: Series::default(),
            publications: Series::default(),
            deliveries: Series::default(),
            memory: Series::default(),
        }
    }

    /// Takes what the server has answered at `now`, or why there is no answer. Then the figures before it stay.
    pub(super) fn looked(&mut self, now: Instant, answer: Result<Snapshot, String>) {
        let snapshot = match answer {
            Ok(snapshot) => snapshot,
            Err(why) => {
                self.fault = Some(printable::line(&why));
                return;
            }
        };
        self.fault = None;
        // A counter that has gone back is that of a server that was started anew.
        let before =
            self.last.take().filter(|(_, before)| before.stats.uptime_seconds <= snapshot.stats.uptime_seconds);
        let seconds = before.as_ref().map(|(then, _)| now.saturating_duration_since(*then).as_secs_f64());
        let rate = |before: Option<u64>, now: u64| {
            let grown = now.checked_sub(before?)?;
            seconds.filter(|seconds| *seconds > 0.0).map(|seconds| grown as f64 / seconds)
        };
        let (stats, old) = (&snapshot.stats, before.as_ref().map(|(_, before)| &before.stats));
        let figures = Figures {
            server: printable::line(&stats.server),
            uptime: Duration::from_secs(stats.uptime_seconds),
            workers: stats.workers,
            connections: stats.sessions,
            topics: stats.channels,
            publications: rate(old.map(|old| old.publications), stats.publications),
            deliveries: rate(old.map(|old| old.deliveries), stats.deliveries),
            publications_in_all: stats.publications,
            deliveries_in_all: stats.deliveries,
            memory: stats.memory_bytes,
            history_bytes: stats.history_bytes,
            waiting_bytes: stats.waiting_bytes,
            is_complete: snapshot.is_complete,
        };
        self.connections.push(figures.connections);
        self.memory.push(figures.memory.unwrap_or(figures.history_bytes + figures.waiting_bytes));
        if let (Some(publications), Some(deliveries)) = (figures.publications, figures.deliveries) {
            self.publications.push(whole(publications));
            self.deliveries.push(whole(deliveries));
        }
        self.figures = Some(figures);
        let before = before.map(|(_, before)| before).unwrap_or_default();
        let old: HashMap<_, _> = before.topics.iter().map(|topic| (&*topic.topic, topic)).collect();
        self.topics = snapshot.topics.iter().map(|now| topic(now, old.get(&*now.topic).copied(), rate)).collect();
        let old: HashMap<_, _> = before.clients.iter().map(|client| (&*client.client, client.waiting_bytes)).collect();
        self.clients = snapshot.clients.iter().map(|now| client(now, old.get(&*now.client).copied())).collect();
        self.last = Some((now, snapshot));
    }

    /// Takes a key. Returns `false` if the program is to end.
    pub(super) fn pressed(&mut self, key: Key) -> bool {
        match (self.mode, key) {
            (Mode::Commands, Key::Char('q')) => return false,
            (Mode::Commands, Key::Char('?')) => self.mode = Mode::Help,
            (Mode::Commands, Key::Char('s')) => self.sort = self.sort.next(),
            (Mode::Commands, Key::Char('/')) => self.mode = Mode::Filter,
            (Mode::Commands, Key::Char('p')) => self.is_paused = !self.is_paused,
            (Mode::Commands, Key::Escape) => self.filter.clear(),
            (Mode::Help, _) | (Mode::Filter, Key::Enter) => self.mode = Mode::Commands,
            (Mode::Filter, Key::Char(c)) if self.filter.len() < LONGEST_FILTER => {
                // What is shown is escaped, so the text to look for is too.
                printable::push_line(c.encode_utf8(&mut [0; 4]), &mut self.filter);
            }
            (Mode::Commands, _) | (Mode::Filter, Key::Char(_)) => {}
            (Mode::Filter, Key::Backspace) => _ = self.filter.pop(),
            (Mode::Filter, Key::Escape) => {
                self.filter.clear();
                self.mode = Mode::Commands;
            }
        }
        true
    }

    /// Whether slow clients are to be shown first.
    pub(super) fn puts_clients_first(&self) -> bool {
        matches!(self.sort, Sort::Outbox | Sort::Lag)
    }

    /// The topics to show, the first one first, and how many there are with the filter.
    pub(super) fn topics(&self) -> (Vec<&Topic>, usize) {
        let mut topics: Vec<_> = self.topics.iter().filter(|topic| topic.name.contains(&self.filter)).collect();
        let found = topics.len();
        topics.sort_by(|a, b| {
            let rate = b.rate.unwrap_or(-1.0).total_cmp(&a.rate.unwrap_or(-1.0));
            let subscribers = b.subscribers.cmp(&a.subscribers);
            let order = match self.sort {
                Sort::Subscribers => subscribers.then(rate),
                _ => rate.then(subscribers),
            };
            order.then_with(|| a.name.cmp(&b.name))
        });
        topics.truncate(self.rows);
        (topics, found)
    }

    /// The slow clients to show, the first one first, and how many there are with the filter.
    pub(super) fn clients(&self) -> (Vec<&Client>, usize) {
        let is_found = |client: &&Client| {
            [&client.id, &client.user, &client.address].iter().any(|text| text.contains(&self.filter))
        };
        let mut clients: Vec<_> = self.clients.iter().filter(is_found).collect();
        let found = clients.len();
        clients.sort_by_key(|client| match self.sort {
            Sort::Lag => (Reverse(u128::from(client.outbox.min(1))), Reverse(client.lag.as_millis()), &client.id),
            _ => (Reverse(client.outbox.into()), Reverse(client.lag.as_millis()), &client.id),
        });
        clients.truncate(self.rows);
        (clients, found)
    }
}

impl Series {
    fn push(&mut self, value: u64) {
        if self.0.len() == MOST_VALUES {
            self.0.pop_front();
        }
        self.0.push_back(value);
    }

    /// The last values, at most so many.
    pub(super) fn last(&self, most: usize) -> Vec<u64> {
        self.0.iter().skip(self.0.len().saturating_sub(most)).copied().collect()
    }
}

fn topic(now: &TopicInfo, before: Option<&TopicInfo>, rate: impl Fn(Option<u64>, u64) -> Option<f64>) -> Topic {
    // Offsets are dense within an epoch, so their growth is the number of publications.
    let before = before.filter(|before| before.epoch == now.epoch).and_then(|before| before.offset);
    Topic {
        name: printable::line(&now.topic),
        rate: now.offset.and_then(|offset| rate(before, offset)),
        subscribers: now.subscribers,
        kept: now.publications,
        offset: now.offset,
    }
}

fn client(now: &ClientInfo, before: Option<u64>) -> Client {
    let lag = Duration::from_millis(now.behind_ms);
    // An outbox that is full goes up and down by single messages.
    let little = now.waiting_bytes / 50;
    let why = match before {
        _ if lag >= STALLED => "takes nothing",
        Some(before) if before > now.waiting_bytes + little => "catches up",
        Some(before) if before + little < now.waiting_bytes => "falls behind",
        _ => "reads slowly",
    };
    Client {
        id: printable::line(&now.client),
        user: printable::line(now.user.as_deref().unwrap_or("-")),
        address: printable::line(now.address.as_deref().unwrap_or("-")),
        outbox: now.waiting_bytes,
        lag,
        why: why.to_owned(),
    }
}

/// A rate as a whole number.
fn whole(rate: f64) -> u64 {
    Duration::try_from_secs_f64(rate).map_or(0, |rate| rate.as_secs() + u64::from(rate.subsec_millis() >= 500))
}

/// From so long on, a socket that takes nothing is not only slow.
const STALLED: Duration = Duration::from_secs(2);
/// Values that are kept for the charts.
const MOST_VALUES: usize = 300;
/// The longest filter, in bytes.
const LONGEST_FILTER: usize = 200;

#[cfg(test)]
pub(super) mod tests;
