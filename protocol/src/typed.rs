//! The typed dialect: one JSON object in each frame, in both directions.

use crate::event::{Author, Event, History};
use crate::request::{
    Action, Identify, Key, Publish, ReadHistory, RejectedRequest, Request, Slow, Start, Subscribe, Target,
};
use crate::{Dialect, Payload, Position, RequestId, Topic, reading};
use serde::{Deserialize, Serialize};
use std::{borrow::Cow, collections::BTreeMap, io};

/// Reads one frame of a typed client.
///
/// # Errors
/// When the frame is not a request. The refusal carries the frame's id, if one could be read.
pub fn decode(text: &str) -> Result<Request, RejectedRequest> {
    reading::read(Dialect::Typed, text)
}

/// Writes an event as one frame.
pub fn encode(event: &Event) -> String {
    to_json(event)
}

/// Writes the `message` event of a publication from its parts.
pub fn encode_message(topic: &Topic, position: Option<Position>, payload: &Payload, author: Option<&Author>) -> String {
    #[derive(Serialize)]
    struct Frame<'a> {
        event: &'static str,
        topic: &'a str,
        #[serde(flatten)]
        position: Option<Position>,
        message: &'a Payload,
        #[serde(flatten)]
        author: Option<&'a Author>,
    }
    to_json(&Frame { event: "message", topic: topic.as_str(), position, message: payload, author })
}

/// Writes the `history` event up to its list of publications. The list and then [`HISTORY_END`] must follow.
pub fn encode_history_begin(id: &RequestId, topic: &Topic, end: Position) -> String {
    let Position { epoch, offset } = end;
    let empty = History { id: id.clone(), topic: topic.clone(), epoch, offset, messages: Vec::new() };
    let mut text = encode(&Event::History(empty));
    text.truncate(text.len() - HISTORY_END.len());
    text
}

/// The text after the list of publications of a `history` event.
pub const HISTORY_END: &str = "]}";

/// Writes one publication of a `history` event, without the comma between two of them.
///
/// # Errors
/// When `out` fails.
pub fn write_history_entry(
    out: &mut impl io::Write,
    offset: u64,
    payload: &Payload,
    author: Option<&Author>,
) -> io::Result<()> {
    #[derive(Serialize)]
    struct EntryFields<'a> {
        offset: u64,
        message: &'a Payload,
        #[serde(flatten)]
        author: Option<&'a Author>,
    }
    Ok(serde_json::to_writer(out, &EntryFields { offset, message: payload, author })?)
}

/// Reads one frame from the server.
///
/// # Errors
/// When the frame is not an event that this version knows. A client skips [`InvalidEvent::Unknown`], because a newer
/// server may send more kinds of events.
pub fn decode_event(text: &str) -> Result<Event, InvalidEvent> {
    #[derive(Deserialize)]
    struct Tag<'a> {
        #[serde(borrow)]
        event: Cow<'a, str>,
    }
    fn read<'a, T: Deserialize<'a>>(text: &'a str, event: impl FnOnce(T) -> Event) -> Result<Event, InvalidEvent> {
        Ok(event(serde_json::from_str(text)?))
    }
    let tag: Tag<'_> = serde_json::from_str(text)?;
    match tag.event.as_ref() {
        "welcome" => read(text, Event::Welcome),
        "subscribed" => read(text, Event::Subscribed),
        "message" => read(text, Event::Message),
        "published" => read(text, Event::Published),
        "unsubscribed" => read(text, Event::Unsubscribed),
        "history" => read(text, Event::History),
        "presence" => read(text, Event::Presence),
        "join" => read(text, Event::Join),
        "leave" => read(text, Event::Leave),
        "gap" => read(text, Event::Gap),
        "pong" => read(text, Event::Pong),
        "identified" => read(text, Event::Identified),
        "authenticated" => read(text, Event::Authenticated),
        "error" => read(text, Event::Error),
        "closing" => read(text, Event::Closing),
        unknown => Err(InvalidEvent::Unknown(unknown.into())),
    }
}

/// Writes a request as one frame. Fields with their default values are left out.
pub fn encode_request(request: &Request) -> String {
    let mut frame = Frame { id: request.id.as_ref(), ..Frame::default() };
    match &request.action {
        Action::Subscribe(subscribe) => frame.subscribe(subscribe),
        Action::Unsubscribe(target) => {
            frame.action = "unsubscribe";
            frame.target(target);
        }
        Action::Publish(Publish { topic, payload, echo, key }) => {
            frame = Frame { action: "publish", topic: Some(topic), message: Some(payload), ..frame };
            frame.echo = (!echo).then_some(false);
            frame.key(key.as_ref());
        }
        Action::History(ReadHistory { topic, since, limit }) => {
            frame = Frame { action: "history", topic: Some(topic), since: *since, limit: *limit, ..frame };
        }
        Action::Presence(topic) => frame = Frame { action: "presence", topic: Some(topic), ..frame },
        Action::Ping => frame.action = "ping",
        Action::Identify(Identify { secret, info }) => {
            frame = Frame { action: "identify", secret: Some(secret.expose()), info: info.as_ref(), ..frame };
        }
        Action::Authenticate(token) => {
            frame = Frame { action: "authenticate", token: Some(token.expose()), ..frame };
        }
    }
    to_json(&frame)
}

/// Why a frame from the server could not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidEvent {
    /// An event of a newer server. The client skips it.
    #[error("unknown event {0:?}")]
    Unknown(Box<str>),
    /// Not an event.
    #[error("not an event: {0}")]
    Malformed(#[from] serde_json::Error),
}

#[derive(Serialize, Default)]
struct Frame<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a RequestId>,
    action: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    topic: Option<&'a Topic>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pattern: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<&'a Payload>,
    #[serde(skip_serializing_if = "Option::is_none")]
    recover: Option<Recover<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    or_last: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    slow: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    presence: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    echo: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    producer: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sequence: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    since: Option<Position>,
    #[serde(skip_serializing_if = "Option::is_none")]
    limit: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    secret: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    info: Option<&'a Payload>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Recover<'a> {
    After(Position),
    AfterEach(&'a BTreeMap<Topic, Position>),
}

impl<'a> Frame<'a> {
    fn target(&mut self, target: &'a Target) {
        match target {
            Target::Topic(topic) => self.topic = Some(topic),
            Target::Pattern(pattern) => self.pattern = Some(pattern.as_str()),
        }
    }

    fn key(&mut self, key: Option<&'a Key>) {
        match key {
            Some(Key::Text(text)) => self.key = Some(text),
            Some(Key::Number { producer, sequence }) => {
                (self.producer, self.sequence) = (Some(&**producer), Some(*sequence));
            }
            None => {}
        }
    }

    fn subscribe(&mut self, subscribe: &'a Subscribe) {
        self.action = "subscribe";
        self.target(&subscribe.target);
        match &subscribe.start {
            Start::Live => {}
            Start::After(position) => self.recover = Some(Recover::After(*position)),
            Start::AfterEach(positions) => self.recover = Some(Recover::AfterEach(positions)),
            Start::Last(count) => self.last = Some(*count),
            Start::AfterOrLast(position, count) => {
                (self.recover, self.or_last) = (Some(Recover::After(*position)), Some(*count));
            }
        }
        self.presence = subscribe.presence.then_some(true);
        self.slow = match subscribe.slow {
            Slow::Disconnect => None,
            Slow::Drop => Some("drop"),
            Slow::Latest => Some("latest"),
        };
    }
}

/// Writes a type of this crate as JSON. It cannot fail, because every map key of these types is text.
fn to_json(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("the protocol's types always serialise: every map key is text")
}
