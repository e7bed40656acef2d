//! Server-sent events: the typed dialect's events as a `text/event-stream` (WHATWG HTML, section 9.2), for readers that
//! have only HTTP.
//!
//! A publication is a block without a name, so a page hears it as `message`. Everything else has the name of its event;
//! a refusal is called `refused`, because `error` would look like a lost connection to a page. `data` is one line: the
//! text of the typed event.
//!
//! A stream of one topic carries the position of each publication as `id`. A stream of several topics gets a block of
//! its own with the positions of all of them ([`encode_positions`]), after the publications.

use crate::event::{Author, Closing, Event, Gap, GapReason, Subscribed};
use crate::{Epoch, Payload, Position, Topic, event::About, typed};
use std::fmt::Write as _;

/// The first bytes of the body: the server's name, and the milliseconds after which a reader comes back whose
/// connection was lost.
pub fn encode_begin(server: &str, retry_ms: u64) -> String {
    format!(": {server}\nretry: {retry_ms}\n\n")
}

/// A comment, which keeps the connection in use and is not heard by a page.
pub const HEARTBEAT: &str = ":\n\n";

/// An event that a page hears, in place of the comment.
pub const PING: &str = "event: ping\ndata: {\"event\":\"ping\"}\n\n";

/// Writes an event as one block or several; `None` if a stream does not have it. `is_of_one` says whether the stream is
/// of a single topic, whose position the block carries.
pub fn encode(event: &Event, is_of_one: bool) -> Option<String> {
    match event {
        Event::Subscribed(subscribed) => Some(encode_subscribed(subscribed, event, is_of_one)),
        Event::Unsubscribed(unsubscribed) if unsubscribed.reason.is_some() => Some(block("unsubscribed", event)),
        Event::Join(_) => Some(block("join", event)),
        Event::Leave(_) => Some(block("leave", event)),
        Event::Gap(_) => Some(block("gap", event)),
        Event::Error(_) => Some(block("refused", event)),
        Event::Closing(closing) => Some(encode_closing(closing)),
        _ => None,
    }
}

/// Writes a publication. `is_of_one`: with its position as `id`.
pub fn encode_message(
    topic: &Topic,
    position: Option<Position>,
    payload: &Payload,
    author: Option<&Author>,
    is_of_one: bool,
) -> String {
    let data = typed::encode_message(topic, position, payload, author);
    match position.filter(|_| is_of_one).and_then(id) {
        Some(id) => format!("id: {id}\ndata: {}\n\n", one_line(data)),
        None => format!("data: {}\n\n", one_line(data)),
    }
}

/// Writes the positions of all topics of a stream, in the order of its topics. A reader keeps them and dispatches
/// nothing.
pub fn encode_positions<'a>(positions: impl IntoIterator<Item = &'a Option<Position>>) -> String {
    let ids = positions.into_iter().map(|position| position.and_then(id).unwrap_or_else(|| NO_POSITION.to_owned()));
    format!("id: {}\n\n", ids.collect::<Vec<_>>().join(","))
}

/// Reads the positions that [`encode_positions`] or [`encode_message`] wrote: one for each of `topics`. Each is
/// `Err` if it is missing or malformed, and `Ok(None)` where the topic had none.
pub fn decode_positions(text: &str, topics: usize) -> Vec<Result<Option<Position>, InvalidPosition>> {
    let ids: Vec<_> = text.split(',').collect();
    if ids.len() != topics {
        return vec![Err(InvalidPosition); topics];
    }
    let read = |text: &str| match text {
        NO_POSITION => Ok(None),
        text => decode_position(text).map(Some),
    };
    ids.into_iter().map(read).collect()
}

/// Reads one position, written as `epoch:offset`.
///
/// # Errors
/// When it is malformed.
pub fn decode_position(text: &str) -> Result<Position, InvalidPosition> {
    let (epoch, offset) = text.rsplit_once(':').filter(|(epoch, _)| !epoch.is_empty()).ok_or(InvalidPosition)?;
    let is_number = !offset.is_empty() && offset.bytes().all(|byte| byte.is_ascii_digit());
    let offset = offset.parse().ok().filter(|_| is_number).ok_or(InvalidPosition)?;
    let epoch = epoch.parse().ok().filter(is_of_one_line).ok_or(InvalidPosition)?;
    Ok(Position { epoch, offset })
}

/// A text that is not `epoch:offset`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a position is written as epoch:offset, such as k3Jx9a:41")]
pub struct InvalidPosition;

/// Writes a position as `epoch:offset`, if its epoch can stand there.
fn id(Position { epoch, offset }: Position) -> Option<String> {
    is_of_one_line(&epoch).then(|| format!("{epoch}:{offset}"))
}

/// Whether an epoch can stand in an `id`. A reader chooses where it resumes, so the text can be anything: a line end in it
/// would begin an event of the reader's own, and a comma another position.
fn is_of_one_line(epoch: &Epoch) -> bool {
    let text = epoch.as_str();
    !text.is_empty() && !text.contains(|c: char| c.is_control() || c == ',')
}

/// The beginning of a subscription. What could not be recovered is a gap for the page. The position counts from here
/// on, unless a replay follows.
fn encode_subscribed(subscribed: &Subscribed, event: &Event, is_of_one: bool) -> String {
    let mut blocks = block("subscribed", event);
    if let (Some(false), About::Topic(topic)) = (subscribed.recovered, &subscribed.about) {
        let (epoch, offset) = (subscribed.epoch, subscribed.offset);
        let reason = GapReason::NotRecoverable;
        let gap = Gap { topic: topic.clone(), from: None, to: None, epoch, offset, reason };
        blocks.push_str(&block("gap", &Event::Gap(gap)));
    }
    if is_of_one && subscribed.replayed.unwrap_or(0) == 0 {
        let position = subscribed.epoch.zip(subscribed.offset).map(|(epoch, offset)| Position { epoch, offset });
        blocks.push_str(&encode_positions([&position]));
    }
    blocks
}

/// The end of the stream, with the time after which the reader comes back.
fn encode_closing(closing: &Closing) -> String {
    let mut blocks = String::new();
    if let Some(retry) = closing.reconnect_in_ms {
        let _ = writeln!(blocks, "retry: {retry}");
    }
    blocks + &block("closing", &Event::Closing(closing.clone()))
}

fn block(name: &str, event: &Event) -> String {
    format!("event: {name}\ndata: {}\n\n", one_line(typed::encode(event)))
}

/// Replaces line ends, which can only stand between the tokens of a JSON value, by spaces.
fn one_line(json: String) -> String {
    match json.contains(['\n', '\r']) {
        true => json.replace(['\n', '\r'], " "),
        false => json,
    }
}

/// The place of a topic that has no position.
const NO_POSITION: &str = "-";

#[cfg(test)]
mod tests {
    use super::*;

    fn position(offset: u64) -> Position {
        Position { epoch: "k3Jx9a".parse().unwrap(), offset }
    }

    #[test]
    fn a_publication_is_one_line_with_its_position_for_a_stream_of_one_topic() {
        let json = serde_json::from_str("{\"a\":\r\n1}").unwrap();
        let payload = Payload::from_json(json).unwrap();
        let written = encode_message(&"t".into(), Some(position(7)), &payload, None, true);
        assert_eq!(
            written,
            "id: k3Jx9a:7\ndata: {\"event\":\"message\",\"topic\":\"t\",\"epoch\":\"k3Jx9a\",\"offset\":7,\"message\":{\"a\":  1}}\n\n"
        );
        assert!(!encode_message(&"t".into(), Some(position(7)), &payload, None, false).contains("id:"));
        assert!(!encode_message(&"t".into(), None, &payload, None, true).contains("id:"));
    }

    #[test]
    fn positions_are_read_as_they_were_written() {
        let positions = [Some(position(7)), None, Some(position(0))];
        let written = encode_positions(&positions);
        assert_eq!(written, "id: k3Jx9a:7,-,k3Jx9a:0\n\n");
        let id = written.strip_prefix("id: ").unwrap().trim_end();
        assert_eq!(decode_positions(id, 3), positions.map(Ok));
    }

    #[test]
    fn whatever_is_malformed_is_missing_and_no_more() {
        assert_eq!(decode_positions("k3Jx9a:7", 2), [Err(InvalidPosition); 2]);
        for text in ["", "7", ":7", "k3Jx9a:", "k3Jx9a:+7", "k3Jx9a:-1", "k3Jx9a:7:", "k3Jx9a:99999999999999999999"] {
            assert_eq!(decode_positions(text, 1), [Err(InvalidPosition)], "{text}");
        }
    }

    #[test]
    fn no_epoch_begins_a_line_or_a_position_of_its_own() {
        for epoch in ["", "\ndata:x\n\n", "a\rb", "a\0", "a,b"] {
            let position = Position { epoch: epoch.parse().unwrap(), offset: 1 };
            assert_eq!(decode_position(&format!("{epoch}:1")), Err(InvalidPosition), "{epoch:?}");
            assert_eq!(encode_positions([&Some(position), &None]), "id: -,-\n\n");
            let payload = Payload::Text("x".into());
            let written = encode_message(&"t".into(), Some(position), &payload, None, true);
            assert!(written.starts_with("data: ") && written.lines().count() == 2, "{written:?}");
        }
    }

    #[test]
    fn a_subscription_that_could_not_be_recovered_is_a_gap_and_begins_at_its_position() {
        let subscribed = Subscribed {
            id: None,
            about: About::Topic("t".into()),
            epoch: Some(position(0).epoch),
            offset: Some(7),
            recovered: Some(false),
            replayed: Some(0),
            presence: false,
        };
        let written = encode(&Event::Subscribed(subscribed), true).unwrap();
        let names: Vec<_> =
            written.lines().filter(|line| line.starts_with("event") || line.starts_with("id")).collect();
        assert_eq!(names, ["event: subscribed", "event: gap", "id: k3Jx9a:7"]);
    }

    #[test]
    fn no_block_has_a_name_that_a_page_takes_for_a_lost_connection() {
        let refusal = crate::ErrorReply::new(crate::ErrorCode::Forbidden, "no");
        let written = encode(&Event::Error(crate::event::Refusal::new(None, refusal)), true).unwrap();
        assert!(written.starts_with("event: refused\n"), "{written}");
    }
}
