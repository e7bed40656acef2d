//! The format of the state file: a first line with the version, one line for each topic, idempotency key and producer,
//! and a last line that proves that the file is complete.

use hubcast_hub::engine::Outcome;
use hubcast_hub::{EntrySnapshot, HistorySnapshot, KeySnapshot, NumberSnapshot, ProducerSnapshot, Publisher, Snapshot};
use hubcast_protocol::event::Author;
use hubcast_protocol::{ClientId, Epoch, Payload, Position, Topic};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::io::{self, Write};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Why the file cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SnapshotError {
    #[error("it cannot be read: {0}")]
    Unreadable(io::Error),
    #[error("it does not begin as a file of histories does")]
    Foreign,
    #[error("it has version {0}, and this server reads versions {OLDEST} to {VERSION}")]
    Version(u32),
    #[error("its end is missing")]
    Truncated,
    #[error("its content is not what was written")]
    Changed,
    #[error("line {line} makes no sense: {fault}")]
    Senseless { line: usize, fault: serde_json::Error },
}

/// The part of the first line that every version has.
#[derive(Serialize, Deserialize)]
struct Heading {
    /// The version of the format.
    histories: u32,
}

/// The whole first line.
#[derive(Serialize, Deserialize)]
struct FirstLine {
    #[serde(flatten)]
    heading: Heading,
    /// When the file was written, in milliseconds since 1970.
    saved_at: u64,
}

/// A line between the first and the last. Ages are in milliseconds, at the time when the file was written.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Line<'a> {
    History {
        topic: Topic,
        epoch: Epoch,
        last: u64,
        /// Each with its age.
        #[serde(borrow)]
        entries: Vec<(u64, StoredPayload<'a>)>,
        /// The authors of the entries, if the topic's rule asks for them.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        authors: Vec<Option<StoredAuthor>>,
    },
    Key {
        #[serde(flatten)]
        by: Whose<'a>,
        topic: Topic,
        key: Cow<'a, str>,
        at: Option<Position>,
        receivers: u64,
        age: u64,
    },
    Producer {
        #[serde(flatten)]
        by: Whose<'a>,
        producer: Cow<'a, str>,
        floor: u64,
        numbers: Vec<Number>,
    },
}

/// Who published an entry, and when.
#[derive(Serialize, Deserialize)]
struct StoredAuthor {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    user: Option<Box<str>>,
    time: u64,
}

/// The publisher of a key. Version 2 does not have it.
#[derive(Serialize, Deserialize)]
struct Whose<'a> {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    user: Option<Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    client: Option<ClientId>,
}

/// One publication of a producer, with the milliseconds for which it is still remembered.
#[derive(Serialize, Deserialize)]
struct Number {
    sequence: u64,
    topic: u32,
    at: Option<Position>,
    receivers: u64,
    left: u64,
}

/// A payload. JSON is written as a string, so that its line breaks are kept.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum StoredPayload<'a> {
    #[serde(borrow)]
    Text(Cow<'a, str>),
    #[serde(borrow)]
    Json(Cow<'a, str>),
}

/// The last line.
#[derive(Serialize, Deserialize, PartialEq)]
struct End {
    checksum: u64,
}

/// Writes the state for the next run.
pub(crate) fn write(out: &mut impl Write, now: SystemTime, saved: &Snapshot) -> io::Result<()> {
    let mut out = ChecksumWriter { out, sum: EMPTY_SUM };
    write_line(&mut out, &FirstLine { heading: Heading { histories: VERSION }, saved_at: unix_millis(now) })?;
    saved.histories.iter().try_for_each(|history| write_line(&mut out, &Line::of_history(history)))?;
    saved.keys.iter().try_for_each(|key| write_line(&mut out, &Line::of_key(key)))?;
    saved.producers.iter().try_for_each(|producer| write_line(&mut out, &Line::of_producer(producer)))?;
    let end = End { checksum: out.sum };
    write_line(&mut out, &end)
}

fn write_line(mut out: &mut impl Write, line: &impl Serialize) -> io::Result<()> {
    serde_json::to_writer(&mut out, line)?;
    out.write_all(b"\n")
}

/// Reads the state of the previous run. All ages grow by the time since the file was written.
pub(crate) fn read(text: &[u8], now: SystemTime) -> Result<Snapshot, SnapshotError> {
    let first = text.split(|byte| *byte == b'\n').next().unwrap_or_default();
    match serde_json::from_slice(first) {
        Err(_) => return Err(SnapshotError::Foreign),
        Ok(Heading { histories: OLDEST..=VERSION }) => {}
        Ok(Heading { histories }) => return Err(SnapshotError::Version(histories)),
    }
    let lines = text.strip_suffix(b"\n").ok_or(SnapshotError::Truncated)?;
    let end = lines.iter().rposition(|byte| *byte == b'\n').ok_or(SnapshotError::Truncated)? + 1;
    let trailer: End = serde_json::from_slice(&lines[end..]).map_err(|_| SnapshotError::Truncated)?;
    if trailer.checksum != sum(EMPTY_SUM, &text[..end]) {
        return Err(SnapshotError::Changed);
    }
    let header: FirstLine =
        serde_json::from_slice(first).map_err(|fault| SnapshotError::Senseless { line: 1, fault })?;
    // If the clock was set back meanwhile, nothing becomes younger.
    let downtime = Duration::from_millis(unix_millis(now).saturating_sub(header.saved_at));
    let lines = text[..end].split(|byte| *byte == b'\n').enumerate().skip(1).filter(|(_, line)| !line.is_empty());
    let mut saved = Snapshot::default();
    for (index, line) in lines {
        let line = serde_json::from_slice(line).and_then(|line: Line<'_>| line.enter(&mut saved, downtime));
        line.map_err(|fault| SnapshotError::Senseless { line: index + 1, fault })?;
    }
    Ok(saved)
}

impl<'a> Line<'a> {
    fn of_history(history: &'a HistorySnapshot) -> Self {
        let HistorySnapshot { topic, epoch, last, entries } = history;
        let authors = match entries.iter().any(|entry| entry.author.is_some()) {
            true => entries.iter().map(|entry| entry.author.clone().map(StoredAuthor::from)).collect(),
            false => Vec::new(),
        };
        let entries = entries.iter().map(|entry| (millis(entry.age), StoredPayload::of(&entry.payload))).collect();
        Self::History { topic: topic.clone(), epoch: *epoch, last: *last, entries, authors }
    }

    fn of_key(used: &'a KeySnapshot) -> Self {
        let KeySnapshot { by, topic, key, outcome: Outcome { position, receivers }, age } = used;
        let (by, key, age) = (Whose::of(by), Cow::Borrowed(&**key), millis(*age));
        Self::Key { by, topic: topic.clone(), key, at: *position, receivers: *receivers, age }
    }

    fn of_producer(saved: &'a ProducerSnapshot) -> Self {
        let ProducerSnapshot { by, producer, floor, numbers } = saved;
        let numbers = numbers.iter().map(|number| {
            let NumberSnapshot { sequence, topic, outcome: Outcome { position, receivers }, left } = *number;
            Number { sequence, topic, at: position, receivers, left: millis(left) }
        });
        let (by, producer, numbers) = (Whose::of(by), Cow::Borrowed(&**producer), numbers.collect());
        Self::Producer { by, producer, floor: *floor, numbers }
    }

    /// Adds the content of the line to `saved`, with ages that are `downtime` larger.
    fn enter(self, saved: &mut Snapshot, downtime: Duration) -> serde_json::Result<()> {
        let age_now = |age| Duration::from_millis(age).saturating_add(downtime);
        match self {
            Self::History { topic, epoch, last, entries, authors } => {
                let mut authors = authors.into_iter();
                let entries = entries.into_iter().map(|(age, message)| {
                    let author = authors.next().flatten().map(Author::from);
                    Ok(EntrySnapshot { age: age_now(age), payload: message.payload()?, author })
                });
                let entries = entries.collect::<serde_json::Result<_>>()?;
                let history = HistorySnapshot { topic, epoch, last, entries };
                possible(history.fault())?;
                saved.histories.push(history);
            }
            Self::Key { by, topic, key, at, receivers, age } => {
                let outcome = Outcome { position: at, receivers };
                let key = KeySnapshot { by: by.into(), topic, key: key.into(), outcome, age: age_now(age) };
                possible(key.fault())?;
                saved.keys.push(key);
            }
            Self::Producer { by, producer, floor, numbers } => {
                let numbers = numbers.into_iter().map(|number| {
                    let Number { sequence, topic, at, receivers, left } = number;
                    let outcome = Outcome { position: at, receivers };
                    let left = Duration::from_millis(left).saturating_sub(downtime);
                    NumberSnapshot { sequence, topic, outcome, left }
                });
                let (by, producer, numbers) = (by.into(), producer.into(), numbers.collect());
                let producer = ProducerSnapshot { by, producer, floor, numbers };
                possible(producer.fault())?;
                saved.producers.push(producer);
            }
        }
        Ok(())
    }
}

impl<'a> Whose<'a> {
    fn of(by: &'a Publisher) -> Self {
        match by {
            Publisher::User(user) => Self { user: Some(Cow::Borrowed(user)), client: None },
            Publisher::Client(client) => Self { user: None, client: Some(*client) },
        }
    }
}

impl From<Whose<'_>> for Publisher {
    fn from(Whose { user, client }: Whose<'_>) -> Self {
        match (user, client) {
            (Some(user), _) => Self::User(user.into()),
            (None, Some(client)) => Self::Client(client),
            (None, None) => Self::Client(ClientId::from_random([0; 16])),
        }
    }
}

impl From<Author> for StoredAuthor {
    fn from(Author { user, time }: Author) -> Self {
        Self { user, time }
    }
}

impl From<StoredAuthor> for Author {
    fn from(StoredAuthor { user, time }: StoredAuthor) -> Self {
        Self { user, time }
    }
}

impl<'a> StoredPayload<'a> {
    fn of(payload: &'a Payload) -> Self {
        match payload {
            Payload::Text(text) => Self::Text(Cow::Borrowed(text)),
            Payload::Json(json) => Self::Json(Cow::Borrowed(json.get())),
        }
    }

    fn payload(self) -> serde_json::Result<Payload> {
        match self {
            Self::Text(text) => Ok(Payload::Text(text.into())),
            Self::Json(json) => {
                let json = RawValue::from_string(json.into_owned())?;
                Payload::from_json(&json).map_err(serde::de::Error::custom)
            }
        }
    }
}

/// Refuses a value that no server writes, even if the line is complete.
fn possible(fault: Option<&'static str>) -> serde_json::Result<()> {
    fault.map_or(Ok(()), |fault| Err(serde::de::Error::custom(fault)))
}

/// A writer that computes a checksum of all bytes.
struct ChecksumWriter<W> {
    out: W,
    sum: u64,
}

impl<W: Write> Write for ChecksumWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.out.write(bytes)?;
        self.sum = sum(self.sum, &bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// FNV-1a of 64 bits (Fowler, Noll and Vo): a change of one byte always changes the sum.
fn sum(sum: u64, bytes: &[u8]) -> u64 {
    bytes.iter().fold(sum, |sum, byte| (sum ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01B3))
}

/// These lines with the last line that makes a file of them.
#[cfg(feature = "fuzzing")]
pub(crate) fn with_checksum(lines: &[u8]) -> Vec<u8> {
    let mut file = lines.to_vec();
    if !file.ends_with(b"\n") {
        file.push(b'\n');
    }
    let end = End { checksum: sum(EMPTY_SUM, &file) };
    write_line(&mut file, &end).expect("a vector takes all");
    file
}

fn unix_millis(time: SystemTime) -> u64 {
    millis(time.duration_since(UNIX_EPOCH).unwrap_or_default())
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Version 2 had no publishers of keys, and no producers.
const VERSION: u32 = 3;
/// Version 1 had no keys.
const OLDEST: u32 = 2;
const EMPTY_SUM: u64 = 0xCBF2_9CE4_8422_2325;

#[cfg(test)]
mod tests;
