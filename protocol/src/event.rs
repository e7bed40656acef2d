//! Events: what the server sends to a client.

use crate::{
    AnonymousId, ClientId, CloseCode, Epoch, ErrorCode, ErrorReply, Payload, Position, RequestId, Target, Topic,
};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;

/// One frame from the server. In the typed dialect it is one JSON object; for the plain dialect see [`crate::plain`].
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Event {
    /// The first frame of every session.
    Welcome(Welcome),
    /// A subscription has begun.
    Subscribed(Subscribed),
    /// A publication to a topic that the session is subscribed to.
    Message(Message),
    /// The server has accepted a publication.
    Published(Published),
    /// A subscription has ended.
    Unsubscribed(Unsubscribed),
    /// The answer to `history`.
    History(History),
    /// The answer to `presence`.
    Presence(Presence),
    /// A client subscribed to a topic.
    Join(Member),
    /// A client is no longer subscribed to a topic.
    Leave(Member),
    /// Publications, or joins and leaves, that this session does not get.
    Gap(Gap),
    /// The answer to `ping`.
    Pong(Pong),
    /// The answer to `identify`.
    Identified(Identified),
    /// The answer to `authenticate`.
    Authenticated(Authenticated),
    /// The refusal of a request.
    Error(Refusal),
    /// The server is about to close the connection.
    Closing(Closing),
}

/// The first event of a session: its id, its user and its limits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Welcome {
    /// The session's id and private topic.
    pub client: ClientId,
    /// The user, as the session's token names it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<Box<str>>,
    /// Name and version of the server.
    pub server: Cow<'static, str>,
    /// Milliseconds without traffic after which the server sends a ping.
    pub ping: u64,
    /// The limits of the session.
    pub limits: Limits,
}

/// The server's limits for one session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Most bytes of a whole request.
    pub message: u64,
    /// Most bytes of a topic or pattern.
    pub topic: u64,
    /// Most subscriptions at once.
    pub subscriptions: u64,
}

/// The `topic` or `pattern` field of an event about a subscription.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum About {
    /// The topic of the subscription.
    Topic(Topic),
    /// The pattern of the subscription.
    Pattern(crate::Pattern),
}

/// A subscription has begun. This comes before its first `message`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subscribed {
    /// The id of the request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<RequestId>,
    /// The topic or pattern of the subscription.
    #[serde(flatten)]
    pub about: About,
    /// The epoch of the topic's history, if it keeps one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epoch: Option<Epoch>,
    /// The last offset of the history.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offset: Option<u64>,
    /// In answer to `recover`: whether all missed publications follow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recovered: Option<bool>,
    /// The number of earlier publications that follow, if the request asked for some.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replayed: Option<u32>,
    /// Whether joins and leaves of the topic come too: the request asked for them, and the topic has them.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub presence: bool,
}

/// A publication as subscribers get it. It is the same for all of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// The topic that it was published to.
    pub topic: Topic,
    /// The epoch of the topic's history, if it keeps one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epoch: Option<Epoch>,
    /// Its offset there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offset: Option<u64>,
    /// Its payload.
    #[serde(rename = "message")]
    pub payload: Payload,
    /// Who published it, as the user's token says, on a topic whose rule asks for the author.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<Box<str>>,
    /// When the server accepted it, in milliseconds since 1970-01-01 UTC, on a topic whose rule asks for the author.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time: Option<u64>,
}

/// Who published a message, and when. The server adds it, so that subscribers need not trust the message for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Author {
    /// The user, as its token names it; `None` for a publisher without a user.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<Box<str>>,
    /// The server's time when it accepted the publication, in milliseconds since 1970-01-01 UTC.
    pub time: u64,
}

/// The server has accepted a publication.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Published {
    /// The id of the request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<RequestId>,
    /// The topic that it went to.
    pub topic: Topic,
    /// The epoch of the topic's history, if the topic keeps one. Not on the wire: only the HTTP API's answer has it.
    #[serde(skip)]
    pub epoch: Option<Epoch>,
    /// Its offset in the topic's history, if the topic keeps one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offset: Option<u64>,
    /// The number of connections that it was handed to.
    pub receivers: u64,
    /// Whether this is the outcome of an earlier publish with the same key: nothing was published now.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub duplicate: bool,
}

/// A subscription has ended, or there was none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unsubscribed {
    /// The id of the request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<RequestId>,
    /// The topic or pattern of the subscription.
    #[serde(flatten)]
    pub about: About,
    /// Why the server ended it; `None` if the client asked for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<EndReason>,
}

/// Why the server ended a subscription.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum EndReason {
    /// The new token does not grant it any more.
    Forbidden,
    /// The operator ended it.
    Operator,
    /// A reason that is newer than this version.
    #[serde(other)]
    Unknown,
}

/// A part of a topic's history, oldest first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct History {
    /// The id of the request.
    pub id: RequestId,
    /// The topic of the history.
    pub topic: Topic,
    /// The epoch of the history.
    pub epoch: Epoch,
    /// The last offset of the whole history.
    pub offset: u64,
    /// The publications that the request asked for.
    pub messages: Vec<Entry>,
}

/// One publication of a history.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Its offset.
    pub offset: u64,
    /// Its payload.
    #[serde(rename = "message")]
    pub payload: Payload,
    /// Who published it, as the user's token says, on a topic whose rule asks for the author.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<Box<str>>,
    /// When the server accepted it, in milliseconds since 1970-01-01 UTC, on a topic whose rule asks for the author.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time: Option<u64>,
}

/// The clients that are subscribed to a topic.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Presence {
    /// The id of the request.
    pub id: RequestId,
    /// The topic.
    pub topic: Topic,
    /// The number of clients.
    pub count: u64,
    /// Some of these clients, at most 1,000.
    pub clients: Vec<Present>,
}

/// A client that is subscribed to a topic.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Present {
    /// The session's id.
    pub client: ClientId,
    /// The user, as its token names it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<Box<str>>,
    /// The id of a member without a user, the same whenever it comes back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub anonymous: Option<AnonymousId>,
    /// What is shown of the member: what its token says about the user, or what a member without a user says of itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub info: Option<Payload>,
    /// Whether nobody has verified `info`: the member says it of itself.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unverified: bool,
}

/// A client that subscribed to a topic, or is no longer subscribed to it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Member {
    /// The topic.
    pub topic: Topic,
    /// The id of the client's session.
    pub client: ClientId,
    /// The user, as its token names it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<Box<str>>,
    /// The id of a member without a user, the same whenever it comes back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub anonymous: Option<AnonymousId>,
    /// What is shown of the member: what its token says about the user, or what a member without a user says of itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub info: Option<Payload>,
    /// Whether nobody has verified `info`: the member says it of itself.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unverified: bool,
}

impl Present {
    /// A client of whom nothing is known but its id.
    pub fn new(client: ClientId) -> Self {
        Self { client, user: None, anonymous: None, info: None, unverified: false }
    }
}

impl Member {
    /// A client that is a member of a topic.
    pub fn new(topic: Topic, present: Present) -> Self {
        let Present { client, user, anonymous, info, unverified } = present;
        Self { topic, client, user, anonymous, info, unverified }
    }

    /// The client without the topic.
    pub fn into_present(self) -> Present {
        let Self { client, user, anonymous, info, unverified, .. } = self;
        Present { client, user, anonymous, info, unverified }
    }
}

/// The answer to `identify`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identified {
    /// The id of the request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<RequestId>,
    /// The user of the session. It wins over what the request said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<Box<str>>,
    /// The id that presence shows of a session without a user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub anonymous: Option<AnonymousId>,
}

/// The answer to `authenticate`: the session has this user now, and may do what its token grants.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Authenticated {
    /// The id of the request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<RequestId>,
    /// The user.
    pub user: Box<str>,
    /// When the token expires, in seconds since 1970-01-01 UTC.
    pub expires: u64,
}

/// Publications that this session does not get or, if the reason says so, joins and leaves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gap {
    /// The topic of what is missing.
    pub topic: Topic,
    /// The offset of the first missing publication.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<u64>,
    /// The offset of the last missing publication.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<u64>,
    /// The epoch of the missing publications or, with `offset`, of the history that the subscription goes on in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epoch: Option<Epoch>,
    /// The offset after which the subscription goes on, if the missing publications cannot be counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offset: Option<u64>,
    /// The reason.
    pub reason: GapReason,
}

/// The reason why a session does not get something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum GapReason {
    /// The connection is too slow.
    SlowConsumer,
    /// The requested position is not in the history.
    NotRecoverable,
    /// The connection is too slow for joins and leaves. No publication is missing; a `presence` request gets the
    /// current clients.
    MissedPresence,
    /// A reason that is newer than this version.
    #[serde(other)]
    Unknown,
}

/// The answer to `ping`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pong {
    /// The id of the request.
    pub id: RequestId,
}

/// The refusal of a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// The id of the request, if it could be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<RequestId>,
    /// The reason, for programs.
    pub code: ErrorCode,
    /// The reason, for people.
    pub reason: Cow<'static, str>,
    /// Whether the same request may succeed later.
    #[serde(default)]
    pub retry: bool,
}

/// The server is about to close the connection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Closing {
    /// The code that the close frame will have.
    pub code: CloseCode,
    /// The reason, for people.
    pub reason: Cow<'static, str>,
    /// Milliseconds after which the client should reconnect; `None`: it should not reconnect.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reconnect_in_ms: Option<u64>,
}

impl Entry {
    /// A publication of a history.
    pub fn new(offset: u64, payload: Payload, author: Option<&Author>) -> Self {
        let user = author.and_then(|author| author.user.clone());
        Self { offset, payload, user, time: author.map(|author| author.time) }
    }
}

impl Refusal {
    /// Makes the event of a refusal.
    pub fn new(id: Option<RequestId>, fault: ErrorReply) -> Self {
        Self { id, code: fault.code, reason: fault.reason, retry: fault.code.is_temporary() }
    }
}

impl Gap {
    /// Makes the event for joins and leaves of a topic that were left out.
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
    /// A publication without its author.
    pub fn new(topic: Topic, position: Option<Position>, payload: Payload) -> Self {
        let (epoch, offset) = (position.map(|position| position.epoch), position.map(|position| position.offset));
        Self { topic, epoch, offset, payload, user: None, time: None }
    }

    /// Who published it and when, if the topic's rule asks for that.
    pub fn author(&self) -> Option<Author> {
        self.time.map(|time| Author { user: self.user.clone(), time })
    }

    /// The position from which to resume after this publication; `None` on a topic without history.
    pub fn position(&self) -> Option<Position> {
        Some(Position { epoch: self.epoch?, offset: self.offset? })
    }
}
