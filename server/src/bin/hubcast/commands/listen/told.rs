//! Messages and events as JSON objects, in the form of those that a server sends.

use super::body::Body;
use hubcast_client::{Gap, GapReason, Message};
use hubcast_protocol::{Target, event};
use serde::Serialize;

/// An event that the client makes, in the form of those that a server sends.
#[derive(Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub(crate) enum Told<'a> {
    Resumed {
        #[serde(skip_serializing_if = "Option::is_none")]
        topic: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        pattern: Option<&'a str>,
        recovered: bool,
        replayed: u32,
    },
    Gap {
        #[serde(skip_serializing_if = "Option::is_none")]
        topic: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        pattern: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        epoch: Option<String>,
        #[serde(skip_serializing_if = "Option::is_none")]
        from: Option<u64>,
        #[serde(skip_serializing_if = "Option::is_none")]
        to: Option<u64>,
        reason: &'static str,
    },
}

/// The topic, or the pattern, of a subscription.
pub(crate) fn names(target: &Target) -> (Option<&str>, Option<&str>) {
    match target {
        Target::Topic(topic) => (Some(topic.as_str()), None),
        Target::Pattern(pattern) => (None, Some(pattern.as_str())),
    }
}

/// A gap of a subscription.
pub(crate) fn gap_of<'a>(target: &'a Target, gap: &'a Gap) -> Told<'a> {
    let (topic, pattern) = names(target);
    let reason = match gap.reason {
        GapReason::SlowConnection => "slow_consumer",
        GapReason::MissedPresence => "missed_presence",
        GapReason::SlowReader => "slow_reader",
        GapReason::NotRecoverable => "not_recoverable",
        GapReason::Missing => "missing",
        _ => "unknown",
    };
    let (from, to) = (gap.from, gap.to);
    let topic = gap.topic.as_ref().map(hubcast_client::TopicName::as_str).or(topic);
    Told::Gap { topic, pattern, epoch: gap.epoch.map(|epoch| epoch.to_string()), from, to, reason }
}

/// A message.
pub(crate) fn message_event(message: &Message<Body>) -> event::Event {
    let Message { topic, value: Body(payload), author, position, .. } = message;
    event::Event::Message(event::Message {
        topic: topic.clone(),
        epoch: position.map(|position| position.epoch),
        offset: position.map(|position| position.offset),
        payload: payload.clone(),
        user: author.as_ref().and_then(|author| author.user.clone()),
        time: author.as_ref().map(|author| author.time),
    })
}

/// The JSON of a value. Outside of its strings JSON may have line ends, which mean nothing.
pub(crate) fn on_one_line(value: &impl Serialize) -> String {
    let json = serde_json::to_string(value).unwrap_or_default();
    if json.contains(is_line_end) { json.replace(is_line_end, " ") } else { json }
}

pub(crate) fn is_line_end(c: char) -> bool {
    c == '\n' || c == '\r'
}
