//! The file of histories: a line that says what it is, a line for each topic and for each idempotency key, and a line
//! that proves it complete.

use hubcast_hub::engine::Outcome;
use hubcast_hub::{Saved, SavedHistory, SavedKey};
use hubcast_protocol::{Epoch, Payload, Position, Topic};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::io::{self, Write};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Why the file cannot be taken up.
#[derive(Debug, thiserror::Error)]
pub(super) enum Damage {
    #[error("it cannot be read: {0}")]
    Unreadable(io::Error),
    #[error("it does not begin as a file of histories does")]
    Foreign,
    #[error("it has version {0}, and this server reads version {VERSION}")]
    Version(u32),
    #[error("its end is missing")]
    Truncated,
    #[error("its content is not what was written")]
    Changed,
    #[error("line {line} makes no sense: {fault}")]
    Senseless { line: usize, fault: serde_json::Error },
}

/// The first line, as every version begins.
#[derive(Serialize, Deserialize)]
struct Heading {
    /// The version of the format.
    histories: u32,
}

/// The rest of the first line.
#[derive(Serialize, Deserialize)]
struct Header {
    #[serde(flatten)]
    heading: Heading,
    /// Milliseconds since 1970.
    saved_at: u64,
}

/// A line between the first and the last. An age is in milliseconds, as it was when the file was written.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Line<'a> {
    History {
        topic: Topic,
        epoch: Epoch,
        last: u64,
        /// Each with its age.
        #[serde(borrow)]
        entries: Vec<(u64, Message<'a>)>,
    },
    Key {
        topic: Topic,
        key: Cow<'a, str>,
        at: Option<Position>,
        receivers: u64,
        age: u64,
    },
}

/// A payload. JSON is written as a string, for it keeps its line breaks.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Message<'a> {
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

/// Writes what the next run is to go on with.
pub(super) fn write(out: &mut impl Write, now: SystemTime, saved: &Saved) -> io::Result<()> {
    let mut out = Summed { out, sum: EMPTY_SUM };
    write_line(&mut out, &Header { heading: Heading { histories: VERSION }, saved_at: unix_millis(now) })?;
    saved.histories.iter().try_for_each(|history| write_line(&mut out, &Line::of_history(history)))?;
    saved.keys.iter().try_for_each(|key| write_line(&mut out, &Line::of_key(key)))?;
    let end = End { checksum: out.sum };
    write_line(&mut out, &end)
}

fn write_line(mut out: &mut impl Write, line: &impl Serialize) -> io::Result<()> {
    serde_json::to_writer(&mut out, line)?;
    out.write_all(b"\n")
}

/// Reads what the last run left, older by the time since it was written.
pub(super) fn read(text: &[u8], now: SystemTime) -> Result<Saved, Damage> {
    let first = text.split(|byte| *byte == b'\n').next().unwrap_or_default();
    match serde_json::from_slice(first) {
        Err(_) => return Err(Damage::Foreign),
        Ok(Heading { histories: VERSION }) => {}
        Ok(Heading { histories }) => return Err(Damage::Version(histories)),
    }
    let lines = text.strip_suffix(b"\n").ok_or(Damage::Truncated)?;
    let end = lines.iter().rposition(|byte| *byte == b'\n').ok_or(Damage::Truncated)? + 1;
    let told: End = serde_json::from_slice(&lines[end..]).map_err(|_| Damage::Truncated)?;
    if told.checksum != sum(EMPTY_SUM, &text[..end]) {
        return Err(Damage::Changed);
    }
    let header: Header = serde_json::from_slice(first).map_err(|fault| Damage::Senseless { line: 1, fault })?;
    // A clock that was set back meanwhile makes nothing younger.
    let downtime = Duration::from_millis(unix_millis(now).saturating_sub(header.saved_at));
    let lines = text[..end].split(|byte| *byte == b'\n').enumerate().skip(1).filter(|(_, line)| !line.is_empty());
    let mut saved = Saved::default();
    for (index, line) in lines {
        let line = serde_json::from_slice(line).and_then(|line: Line<'_>| line.enter(&mut saved, downtime));
        line.map_err(|fault| Damage::Senseless { line: index + 1, fault })?;
    }
    Ok(saved)
}

impl<'a> Line<'a> {
    fn of_history(history: &'a SavedHistory) -> Self {
        let SavedHistory { topic, epoch, last, entries } = history;
        let entries = entries.iter().map(|(age, payload)| (millis(*age), Message::of(payload))).collect();
        Self::History { topic: topic.clone(), epoch: *epoch, last: *last, entries }
    }

    fn of_key(used: &'a SavedKey) -> Self {
        let SavedKey { topic, key, outcome: Outcome { position, receivers }, age } = used;
        let (key, age) = (Cow::Borrowed(&**key), millis(*age));
        Self::Key { topic: topic.clone(), key, at: *position, receivers: *receivers, age }
    }

    /// Adds what it says, older by `downtime`.
    fn enter(self, saved: &mut Saved, downtime: Duration) -> serde_json::Result<()> {
        let age_now = |age| Duration::from_millis(age).saturating_add(downtime);
        match self {
            Self::History { topic, epoch, last, entries } => {
                let entries = entries.into_iter().map(|(age, message)| Ok((age_now(age), message.payload()?)));
                let entries = entries.collect::<serde_json::Result<_>>()?;
                saved.histories.push(SavedHistory { topic, epoch, last, entries });
            }
            Self::Key { topic, key, at, receivers, age } => {
                let outcome = Outcome { position: at, receivers };
                saved.keys.push(SavedKey { topic, key: key.into(), outcome, age: age_now(age) });
            }
        }
        Ok(())
    }
}

impl<'a> Message<'a> {
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

/// Adds up what goes by.
struct Summed<W> {
    out: W,
    sum: u64,
}

impl<W: Write> Write for Summed<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.out.write(bytes)?;
        self.sum = sum(self.sum, &bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// FNV-1a of 64 bits (Fowler, Noll and Vo): no byte can change alone without a change to it.
fn sum(sum: u64, bytes: &[u8]) -> u64 {
    bytes.iter().fold(sum, |sum, byte| (sum ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01B3))
}

fn unix_millis(time: SystemTime) -> u64 {
    millis(time.duration_since(UNIX_EPOCH).unwrap_or_default())
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Version 1 had no keys.
const VERSION: u32 = 2;
const EMPTY_SUM: u64 = 0xCBF2_9CE4_8422_2325;

#[cfg(test)]
mod tests {
    use super::*;

    fn saved() -> Saved {
        let json = |text: &str| Payload::from_json(serde_json::from_str(text).unwrap()).unwrap();
        let entries = vec![
            (Duration::from_millis(90_000), "with \"quotes\",\n lines, é and \u{1F642}".into()),
            (Duration::from_millis(1), json("{\"a\" :\r\n [1.000000000000000000001]}")),
            (Duration::ZERO, json("null")),
        ];
        let histories = vec![
            SavedHistory { topic: "prices.tea".into(), epoch: "k3Jx9a".parse().unwrap(), last: 45, entries },
            SavedHistory { topic: "".into(), epoch: "p0Wq2z".parse().unwrap(), last: u64::MAX, entries: Vec::new() },
        ];
        let key = |topic: &str, key: &str, offset: Option<u64>, age| {
            let position = offset.map(|offset| Position { epoch: "k3Jx9a".parse().unwrap(), offset });
            let outcome = Outcome { position, receivers: 3 };
            SavedKey { topic: topic.into(), key: key.into(), outcome, age: Duration::from_millis(age) }
        };
        let keys = vec![key("prices.tea", "with \"quotes\",\n lines and é", Some(45), 90_000), key("", "", None, 0)];
        Saved { histories, keys }
    }

    fn saved_at() -> SystemTime {
        UNIX_EPOCH + Duration::from_millis(1_790_000_000_123)
    }

    fn written() -> Vec<u8> {
        let mut text = Vec::new();
        write(&mut text, saved_at(), &saved()).unwrap();
        text
    }

    /// What is said of a file.
    fn damage(text: &[u8]) -> String {
        read(text, saved_at()).unwrap_err().to_string()
    }

    #[test]
    fn what_was_written_is_read_again_to_the_byte() {
        assert_eq!(read(&written(), saved_at()).unwrap(), saved());
        let mut nothing = Vec::new();
        write(&mut nothing, saved_at(), &Saved::default()).unwrap();
        assert_eq!(read(&nothing, saved_at()).unwrap(), Saved::default());
    }

    #[test]
    fn there_is_a_line_for_each_topic_and_each_key_and_two_around_them() {
        assert_eq!(written().split_inclusive(|byte| *byte == b'\n').count(), 6);
    }

    #[test]
    fn the_time_without_a_server_counts_and_a_clock_set_back_does_not() {
        let hour = Duration::from_secs(3600);
        let ages = |now| {
            let saved = read(&written(), now).unwrap();
            [saved.histories[0].entries[1].0, saved.keys[0].age]
        };
        let before = [1, 90_000].map(Duration::from_millis);
        assert_eq!(ages(saved_at() + hour), before.map(|age| age + hour));
        assert_eq!(ages(saved_at() - hour), before);
    }

    #[test]
    fn a_file_that_ends_early_is_noticed_wherever_it_ends() {
        let text = written();
        for length in 0..text.len() {
            assert!(read(&text[..length], saved_at()).is_err(), "{length} of {} bytes were taken up", text.len());
        }
        let line_ends = text.iter().enumerate().filter(|(_, byte)| **byte == b'\n').map(|(at, _)| at + 1);
        let said: Vec<_> = line_ends.map(|end| read(&text[..end], saved_at()).map_err(|why| why.to_string())).collect();
        assert_eq!(said[..5], vec![Err("its end is missing".to_owned()); 5]);
        assert_eq!(said[5], Ok(saved()));
    }

    #[test]
    fn a_changed_byte_is_noticed_wherever_it_is() {
        let text = written();
        for place in 0..text.len() {
            let mut changed = text.clone();
            changed[place] ^= 1;
            assert!(read(&changed, saved_at()).is_err(), "byte {place} was changed");
        }
    }

    #[test]
    fn what_is_no_file_of_histories_is_told_apart() {
        for text in ["", "\n", "garbage", "{}\n", "{\"saved_at\":1}\n", "\0\0\0\0"] {
            assert_eq!(damage(text.as_bytes()), "it does not begin as a file of histories does", "{text:?}");
        }
        for (version, rest) in [(1, "saved_at\":1}"), (3, "written\":\"in a way that is not invented yet\"}")] {
            let said = damage(format!("{{\"histories\":{version},\"{rest}\n").as_bytes());
            assert_eq!(said, format!("it has version {version}, and this server reads version 2"));
        }
    }

    #[test]
    fn a_line_that_makes_no_sense_is_named() {
        let mut text = b"{\"histories\":2,\"saved_at\":1}\n{\"history\":{\"topic\":7}}\n".to_vec();
        let end = End { checksum: sum(EMPTY_SUM, &text) };
        write_line(&mut text, &end).unwrap();
        assert!(damage(&text).starts_with("line 2 makes no sense: invalid type: integer `7`"), "{}", damage(&text));
    }
}
