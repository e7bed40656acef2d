//! The file of a recording: JSON lines, of which the first one is a header.
//!
//! Each further line is an event in the form of those that a server sends, a `message` or a `gap`, with the time since
//! the start. A reader passes over fields and events that it does not know.

use super::client::moment;
use super::listen::body::Body;
use super::listen::told::on_one_line;
use hubcast_protocol::Payload;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// The first line.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Header {
    /// The version of the format.
    recording: u32,
    /// When the recording began, in UTC by RFC 3339.
    start: String,
    /// The address of the server, without what may be secret in it.
    server: String,
}

/// What a line tells.
#[derive(Debug, PartialEq)]
pub(crate) enum Recorded {
    /// A message.
    Message {
        /// The topic that it was published to.
        topic: String,
        /// The message, with its text as it was sent.
        payload: Payload,
    },
    /// Messages that the recording does not have.
    Gap(Gap),
    /// Something that is newer than this program.
    Unknown,
}

/// Messages that were published and not recorded.
#[derive(Debug, Deserialize, PartialEq)]
pub(crate) struct Gap {
    topic: Option<String>,
    pattern: Option<String>,
    from: Option<u64>,
    to: Option<u64>,
    #[serde(default)]
    reason: String,
}

/// What each line has.
#[derive(Deserialize)]
struct Kind {
    at_us: u64,
    event: String,
}

#[derive(Deserialize)]
struct Message {
    topic: String,
    message: Body,
}

impl Header {
    /// The header of a recording that begins now.
    pub(crate) fn new(server: &str) -> Self {
        Self { recording: VERSION, start: moment::now(), server: server.to_owned() }
    }

    /// Reads the first line.
    ///
    /// # Errors
    /// When it is no header, or that of a newer format.
    pub(crate) fn read(line: &str) -> Result<Self, String> {
        let header: Self =
            serde_json::from_str(line).map_err(|error| format!("this is not the beginning of a recording: {error}"))?;
        match header.recording {
            VERSION => Ok(header),
            version => Err(format!("the recording has version {version}, and this program reads version {VERSION}")),
        }
    }

    /// The line, with its end.
    pub(crate) fn line(&self) -> String {
        on_one_line(self) + "\n"
    }

    /// Where and when it was recorded.
    pub(crate) fn origin(&self) -> String {
        format!("recorded at {} from {}", self.start, self.server)
    }
}

impl Gap {
    /// What is missing, for people.
    pub(crate) fn told(&self) -> String {
        let of = match (&self.topic, &self.pattern) {
            (Some(topic), _) => format!(" of {topic:?}"),
            (None, Some(pattern)) => format!(" of the pattern {pattern:?}"),
            (None, None) => String::new(),
        };
        let which = match (self.from, self.to) {
            (Some(from), Some(to)) if from == to => format!("message {from}"),
            (Some(from), Some(to)) => format!("messages {from} to {to}"),
            _ => "messages".to_owned(),
        };
        let why = match self.reason.is_empty() {
            true => String::new(),
            false => format!(" ({})", self.reason.replace('_', " ")),
        };
        format!("the recording has a gap: {which}{of} may be missing{why}")
    }
}

/// The line of an event that came so long after the start, with its end.
pub(crate) fn line(at: Duration, event: &impl Serialize) -> String {
    let at_us = u64::try_from(at.as_micros()).unwrap_or(u64::MAX);
    // Not by flattening: a flattened event cannot hold the raw JSON of a message.
    let event = on_one_line(event);
    format!("{{\"at_us\":{at_us},{}\n", event.strip_prefix('{').unwrap_or(&event))
}

/// Reads a line after the first one: how long after the start it is, and what it tells.
///
/// # Errors
/// When it is no line of a recording.
pub(crate) fn read(line: &str) -> Result<(Duration, Recorded), String> {
    let wrong = |error: serde_json::Error| format!("this is no line of a recording: {error}");
    let Kind { at_us, event } = serde_json::from_str(line).map_err(wrong)?;
    let recorded = match event.as_str() {
        "message" => {
            let Message { topic, message: Body(payload) } = serde_json::from_str(line).map_err(wrong)?;
            if payload.as_plain() == "null" && !matches!(payload, Payload::Text(_)) {
                return Err("null cannot be a message".to_owned());
            }
            Recorded::Message { topic, payload }
        }
        "gap" => Recorded::Gap(serde_json::from_str(line).map_err(wrong)?),
        _ => Recorded::Unknown,
    };
    Ok((Duration::from_micros(at_us), recorded))
}

const VERSION: u32 = 1;

#[cfg(test)]
mod tests {
    use super::*;
    use hubcast_protocol::{Event, event};

    #[test]
    fn a_message_is_read_as_it_was_written_to_the_last_digit() {
        for json in ["{ \"a\":\n1.000000000000000000001 }", "\"text \\u001b\\\"\"", "[]", "true"] {
            let payload = serde_json::from_str::<Body>(json).unwrap().0;
            let (epoch, offset) = (Some("e".parse().unwrap()), Some(7));
            let message = event::Message { topic: "a.b".into(), epoch, offset, payload, user: None, time: None };
            let line = line(Duration::from_micros(1_500_000), &Event::Message(message));
            assert!(line.starts_with("{\"at_us\":1500000,\"event\":\"message\",\"topic\":\"a.b\""), "{line}");
            assert_eq!(line.matches('\n').count(), 1);
            let (at, recorded) = read(&line).unwrap();
            let Recorded::Message { topic, payload } = recorded else { panic!("{recorded:?}") };
            assert_eq!((at.as_micros(), topic.as_str()), (1_500_000, "a.b"));
            assert_eq!(payload, serde_json::from_str::<Body>(&json.replace('\n', " ")).unwrap().0);
        }
    }

    #[test]
    fn a_header_says_which_format_follows() {
        let line = Header::new("ws://a.example/socket").line();
        assert!(line.starts_with("{\"recording\":1,\"start\":\"20"), "{line}");
        assert!(Header::read(&line).is_ok());
        assert!(Header::read("{\"recording\":2,\"start\":\"\",\"server\":\"\"}").unwrap_err().contains("version 2"));
        assert!(Header::read("{\"event\":\"message\"}").is_err());
    }

    #[test]
    fn what_is_no_line_is_refused_and_what_is_newer_is_passed_over() {
        for wrong in
            ["", "{", "[]", "{\"event\":\"message\",\"topic\":\"a\",\"message\":1}", "{\"at_us\":-1,\"event\":\"gap\"}"]
        {
            assert!(read(wrong).is_err(), "{wrong}");
        }
        let no_message = "{\"at_us\":1,\"event\":\"message\",\"topic\":\"a\",\"message\":null}";
        assert!(read(no_message).is_err());
        assert_eq!(read("{\"at_us\":1,\"event\":\"thunder\"}").unwrap().1, Recorded::Unknown);
    }

    #[test]
    fn a_gap_is_told_with_all_that_is_known_of_it() {
        let told = |line: &str| match read(line) {
            Ok((_, Recorded::Gap(gap))) => gap.told(),
            other => panic!("{other:?}"),
        };
        let line = "{\"at_us\":1,\"event\":\"gap\",\"topic\":\"a\",\"from\":3,\"to\":5,\"reason\":\"slow_reader\"}";
        assert_eq!(told(line), "the recording has a gap: messages 3 to 5 of \"a\" may be missing (slow reader)");
        assert_eq!(told("{\"at_us\":1,\"event\":\"gap\"}"), "the recording has a gap: messages may be missing");
    }
}
