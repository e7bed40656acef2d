//! The events of hooks, as they are sent.

use super::moment::rfc3339;
use crate::trace_context::TraceContext;
use hubcast_hub::{Identity, MemberName, Who};
use hubcast_protocol::{AnonymousId, ClientId, Pattern, Target, Topic};
use serde::{Serialize, Serializer};
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// A kind of event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventKind {
    /// The server has started: whoever was connected before is gone.
    ServerStarted,
    /// The server is stopping.
    ServerDraining,
    /// A client is connected.
    ClientConnected,
    /// A client is gone.
    ClientDisconnected,
    /// A client has subscribed.
    TopicSubscribed,
    /// A subscription has ended.
    TopicUnsubscribed,
    /// A topic has got its first subscriber.
    TopicOccupied,
    /// A topic has no subscribers any more.
    TopicVacant,
    /// A try by `hubcast hooks test`.
    HookTest,
}

impl EventKind {
    /// All kinds that a hook can ask for, in the order in which they are explained.
    pub const ALL: [Self; 8] = [
        Self::ServerStarted,
        Self::ServerDraining,
        Self::ClientConnected,
        Self::ClientDisconnected,
        Self::TopicSubscribed,
        Self::TopicUnsubscribed,
        Self::TopicOccupied,
        Self::TopicVacant,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::ServerStarted => "server.started",
            Self::ServerDraining => "server.draining",
            Self::ClientConnected => "client.connected",
            Self::ClientDisconnected => "client.disconnected",
            Self::TopicSubscribed => "topic.subscribed",
            Self::TopicUnsubscribed => "topic.unsubscribed",
            Self::TopicOccupied => "topic.occupied",
            Self::TopicVacant => "topic.vacant",
            Self::HookTest => "hook.test",
        }
    }
}

/// A text that names no kind of event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "there is no such event; there are server.started, server.draining, client.connected, client.disconnected, \
     topic.subscribed, topic.unsubscribed, topic.occupied and topic.vacant"
)]
pub struct UnknownEvent;

impl FromStr for EventKind {
    type Err = UnknownEvent;

    fn from_str(text: &str) -> Result<Self, UnknownEvent> {
        Self::ALL.into_iter().find(|kind| kind.name() == text).ok_or(UnknownEvent)
    }
}

impl fmt::Display for EventKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Serialize for EventKind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

/// One event, without its number, which is another one for each hook.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct HookEvent {
    #[serde(rename = "type")]
    pub(super) kind: EventKind,
    time: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) client: Option<ClientId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<Box<str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    anonymous: Option<AnonymousId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) topic: Option<Topic>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) pattern: Option<Pattern>,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<Box<str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    seconds: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    traceparent: Option<TraceContext>,
}

impl HookEvent {
    /// An event that happened at this time, in milliseconds since 1970-01-01 UTC.
    pub(crate) fn new(kind: EventKind, unix_ms: u64) -> Self {
        let time = rfc3339(unix_ms);
        let (client, user, anonymous) = (None, None, None);
        let (topic, pattern, code, reason, seconds, traceparent) = (None, None, None, None, None, None);
        Self { kind, time, client, user, anonymous, topic, pattern, code, reason, seconds, traceparent }
    }

    /// The same event, of a connection that belongs to this trace.
    pub(super) fn in_trace(self, trace: Option<TraceContext>) -> Self {
        Self { traceparent: trace, ..self }
    }

    /// The same event, of a client that is told under this id.
    pub(super) fn of(mut self, who: &Who, client: ClientId) -> Self {
        self.client = Some(client);
        match who.identity.as_deref().map(|Identity { name, .. }| name) {
            Some(MemberName::User(user)) => self.user = Some(user.clone()),
            Some(MemberName::Anonymous(id)) => self.anonymous = Some(*id),
            Some(MemberName::ApiKey(_)) | None => {}
        }
        self
    }

    /// The same event, about this topic or pattern.
    pub(super) fn about(mut self, target: Target) -> Self {
        match target {
            Target::Topic(topic) => self.topic = Some(topic),
            Target::Pattern(pattern) => self.pattern = Some(pattern),
        }
        self
    }

    /// The same event, with how the connection ended.
    pub(super) fn ended(mut self, code: u16, reason: Box<str>, seconds: u64) -> Self {
        (self.code, self.seconds) = (Some(code), Some(seconds));
        self.reason = Some(reason).filter(|reason| !reason.is_empty());
        self
    }

    /// The event as JSON without its first brace, so that a number can be put in front.
    pub(crate) fn encode(&self) -> Arc<str> {
        // All parts are texts and numbers, which JSON can write.
        let text = serde_json::to_string(self).unwrap_or_default();
        text.get(1..).unwrap_or_default().into()
    }
}
