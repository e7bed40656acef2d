//! What the server says.

use crate::{ClientId, CloseCode, Epoch, ErrorCode, ErrorReply, Payload, Position, RequestId, Target, Topic};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::borrow::Cow;

/// One frame from the server. In the typed dialect it is one JSON object; what the plain dialect makes of it is
/// said in [`crate::plain`].
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// The first frame of every session.
    Welcome(Welcome),
    /// A subscription stands.
    Subscribed(Subscribed),
    /// A publication.
    Message(Message),
    /// A publication was taken.
    Published(Published),
    /// A subscription is gone.
    Unsubscribed(Unsubscribed),
    /// The answer to `history`.
    History(History),
    /// The answer to `presence`.
    Presence(Presence),
    /// Somebody subscribed.
    Join(Member),
    /// Somebody is gone.
    Leave(Member),
    /// Publications that this session does not get, or joins and leaves.
    Gap(Gap),
    /// The answer to `ping`.
    Pong(Pong),
    /// A request was refused.
    Error(Refusal),
    /// The server is about to close the connection.
    Closing(Closing),
}

/// Who the session is and what it may ask.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Welcome {
    /// The session's id and private topic.
    pub client: ClientId,
    /// The user that the session's token names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<Box<str>>,
    /// Name and version of the server.
    pub server: Cow<'static, str>,
    /// Quiet for so many milliseconds, the connection is pinged.
    pub ping: u64,
    /// What the server takes.
    pub limits: Limits,
}

/// What the server takes from one session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Bytes of a whole request.
    pub message: u64,
    /// Bytes of a topic or pattern.
    pub topic: u64,
    /// Subscriptions at once.
    pub subscriptions: u64,
}

/// The `topic` or `pattern` field of an event about a subscription.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum About {
    /// A subscription to one topic.
    Topic(Topic),
    /// A subscription to a pattern.
    Pattern(crate::Pattern),
}

/// A subscription stands; comes before its first `message`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subscribed {
    /// Of the request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<RequestId>,
    /// What it listens to.
    #[serde(flatten)]
    pub about: About,
    /// The topic's history, when it keeps one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epoch: Option<Epoch>,
    /// The last offset of the history.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offset: Option<u64>,
    /// In answer to `recover`: whether everything that was missed follows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recovered: Option<bool>,
    /// How many publications of the past follow, when a past was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replayed: Option<u32>,
}

/// A publication as subscribers get it, the same for each of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// Where it was published.
    pub topic: Topic,
    /// The history it is in, when the topic keeps one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epoch: Option<Epoch>,
    /// Its place there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offset: Option<u64>,
    /// What it carries.
    #[serde(rename = "message")]
    pub payload: Payload,
}

/// A publication was taken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Published {
    /// Of the request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<RequestId>,
    /// Where it went.
    pub topic: Topic,
    /// Its place in the topic's history, when it keeps one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offset: Option<u64>,
    /// How many connections it was handed to.
    pub receivers: u64,
}

/// A subscription is gone, or was never there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unsubscribed {
    /// Of the request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<RequestId>,
    /// What it listened to.
    #[serde(flatten)]
    pub about: About,
}

/// A part of a topic's history, oldest first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct History {
    /// Of the request.
    pub id: RequestId,
    /// Whose history.
    pub topic: Topic,
    /// Which history.
    pub epoch: Epoch,
    /// Its last offset.
    pub offset: u64,
    /// The publications asked for.
    pub messages: Vec<Entry>,
}

/// One publication of a history.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Its place.
    pub offset: u64,
    /// What it carries.
    #[serde(rename = "message")]
    pub payload: Payload,
}

/// Who is subscribed to a topic.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Presence {
    /// Of the request.
    pub id: RequestId,
    /// Which topic.
    pub topic: Topic,
    /// How many there are.
    pub count: u64,
    /// Some of them: at most 1,000.
    pub clients: Vec<Present>,
}

/// One who is subscribed to a topic.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Present {
    /// The session's id.
    pub client: ClientId,
    /// The user its token names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<Box<str>>,
    /// What its token says of the user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub info: Option<Box<RawValue>>,
}

impl PartialEq for Present {
    fn eq(&self, other: &Self) -> bool {
        let info = |of: &Self| of.info.as_ref().map(|info| info.get().to_owned());
        self.client == other.client && self.user == other.user && info(self) == info(other)
    }
}

/// Somebody came to a topic or left it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// Which topic.
    pub topic: Topic,
    /// Whose session.
    pub client: ClientId,
    /// The user its token names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<Box<str>>,
}

/// Publications that this session does not get, or joins and leaves, as the reason says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gap {
    /// Of which topic.
    pub topic: Topic,
    /// The first one left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<u64>,
    /// The last one left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<u64>,
    /// The history that they are in or, with `offset`, the one that goes on from here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epoch: Option<Epoch>,
    /// Where it goes on, when what is missing cannot be counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offset: Option<u64>,
    /// Why.
    pub reason: GapReason,
}

/// Why a session does not get something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GapReason {
    /// Its connection did not keep up.
    SlowConsumer,
    /// Its position is not in the history.
    NotRecoverable,
    /// Its connection did not keep up with joins and leaves. No publication is missing; `presence` says who is there.
    MissedPresence,
    /// A reason that came after this version.
    #[serde(other)]
    Unknown,
}

/// The answer to `ping`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pong {
    /// Of the request.
    pub id: RequestId,
}

/// A request was refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// Of the request, when it could be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<RequestId>,
    /// Why, for programs.
    pub code: ErrorCode,
    /// Why, for people.
    pub reason: Cow<'static, str>,
    /// Whether the same request may pass later.
    #[serde(default)]
    pub retry: bool,
}

/// The server is about to close the connection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Closing {
    /// The code that the close frame will have.
    pub code: CloseCode,
    /// Why, for people.
    pub reason: Cow<'static, str>,
    /// When to come back, counted from now; absent: do not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reconnect_in_ms: Option<u64>,
}

impl Refusal {
    /// The event that tells of a fault.
    pub fn new(id: Option<RequestId>, fault: ErrorReply) -> Self {
        Self { id, code: fault.code, reason: fault.reason, retry: fault.code.is_temporary() }
    }
}

impl Gap {
    /// Says that joins and leaves of a topic were left out.
    pub fn of_presence(topic: Topic) -> Self {
        Self { topic, from: None, to: None, epoch: None, offset: None, reason: GapReason::MissedPresence }
    }
}

impl From<Target> for About {
    fn from(target: Target) -> Self {
        match target {
            Target::Topic(topic) => Self::Topic(topic),
            Target::Pattern(pattern) => Self::Pattern(pattern),
        }
    }
}

impl From<About> for Target {
    fn from(about: About) -> Self {
        match about {
            About::Topic(topic) => Self::Topic(topic),
            About::Pattern(pattern) => Self::Pattern(pattern),
        }
    }
}

impl Message {
    /// A position to resume after this publication; `None` on a topic without history.
    pub fn position(&self) -> Option<Position> {
        Some(Position { epoch: self.epoch?, offset: self.offset? })
    }
}
