//! Requests: what a client sends to the server.

use crate::{AccessToken, ErrorReply, MemberSecret, Pattern, Payload, Position, RequestId, Topic};
use std::collections::BTreeMap;
use std::fmt;
use std::ops::RangeInclusive;

/// One frame from a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The id, which comes back in the reply. Without it only errors, `subscribed` and `unsubscribed` come back.
    pub id: Option<RequestId>,
    /// The action.
    pub action: Action,
}

/// The action of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Subscribe to a topic or pattern, from now on or from a position on.
    Subscribe(Subscribe),
    /// End a subscription.
    Unsubscribe(Target),
    /// Publish a message to a topic.
    Publish(Publish),
    /// Read a topic's history.
    History(ReadHistory),
    /// List the clients that are subscribed to a topic.
    Presence(Topic),
    /// Ask for a `pong`. Without an id there is no answer.
    Ping,
    /// Say who the member behind this connection is, if it has no user.
    Identify(Identify),
    /// Show a token: say which user this is, or renew what the connection may do.
    Authenticate(AccessToken),
}

/// The topic or pattern of a subscription.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Target {
    /// One topic, compared byte for byte.
    Topic(Topic),
    /// All public topics that match a pattern.
    Pattern(Pattern),
}

/// The parameters of a subscription.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscribe {
    /// The topic or pattern.
    pub target: Target,
    /// Where the subscription begins.
    pub start: Start,
    /// Whether the session also gets the topic's `join` and `leave` events.
    pub presence: bool,
    /// What happens when the connection is too slow.
    pub slow: Slow,
}

/// Where a subscription begins.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub enum Start {
    /// At the next publication.
    #[default]
    Live,
    /// After a position of the topic. The publications after it come first.
    After(Position),
    /// For a pattern: after a position for each topic. Topics without a position begin at the next publication.
    AfterEach(BTreeMap<Topic, Position>),
    /// With the last publications of the history, at most this many.
    Last(u32),
    /// After a position of the topic or, if that cannot be recovered, with at most this many of the last publications.
    AfterOrLast(Position, u32),
}

/// What a subscription asks for when its connection is too slow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum Slow {
    /// The connection is closed with 4002. The client may reconnect.
    #[default]
    Disconnect,
    /// The oldest waiting publications are left out, and a `gap` event says which. The oldest joins and leaves are left
    /// out too; a separate `gap` event says so.
    Drop,
    /// Only the newest waiting publication of each topic is kept, and a `gap` event says which ones were left out.
    /// Joins and leaves are left out as with `Drop`.
    Latest,
}

/// A message for all subscribers of a topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Publish {
    /// The topic that it goes to.
    pub topic: Topic,
    /// The payload.
    pub payload: Payload,
    /// Whether the publishing connection gets it too, if it is subscribed.
    pub echo: bool,
    /// The idempotency key. A second publication with the same key has no effect while the first one is remembered.
    pub key: Option<Key>,
}

/// An idempotency key: it tells a repetition from a new publication. Another user's key with the same text is another
/// key.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Key {
    /// A text that a program chose, of at most [`MAX_KEY`] bytes. Another topic's key with the same text is another
    /// key.
    Text(Box<str>),
    /// A number that a client library counted. It belongs to its producer, for all topics together.
    Number {
        /// The name of one client object, for as long as it lives: a text of [`PRODUCER_BYTES`] that others cannot
        /// guess.
        producer: Box<str>,
        /// From 1 to [`MAX_SEQUENCE`]: higher for each new publication of this producer, and the same for a repetition.
        sequence: u64,
    },
}

/// What a client without a user says of itself, for presence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identify {
    /// The secret by which it is recognised when it comes back.
    pub secret: MemberSecret,
    /// What others are shown of it, such as a name: any JSON of at most [`MAX_INFO`] bytes. Nobody has verified it.
    pub info: Option<Payload>,
}

/// The parameters of a `history` request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadHistory {
    /// The topic of the history.
    pub topic: Topic,
    /// The position from which to read forward. Without it the last publications are read, oldest first.
    pub since: Option<Position>,
    /// Most publications to read. The limit is 1,000, also without this field.
    pub limit: Option<u32>,
}

/// A frame that is not a valid request, with the id for its refusal, if one could be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{fault}")]
pub struct RejectedRequest {
    /// The id of the frame, if it had one.
    pub id: Option<RequestId>,
    /// What is wrong with it.
    pub fault: ErrorReply,
}

/// The longest text of an idempotency key, in bytes.
pub const MAX_KEY: usize = 256;

/// The longest `info` of a member without a user, in bytes of its JSON text as it is in the request: quotes, escapes and
/// spaces count. What others get of it is never longer.
pub const MAX_INFO: usize = 1024;

/// The length of a producer's name, in bytes.
pub const PRODUCER_BYTES: RangeInclusive<usize> = 16..=64;

/// The highest number of a producer, 2^53. Every JSON reader represents it exactly.
pub const MAX_SEQUENCE: u64 = 1 << 53;

/// The number of a producer's last numbers that the server remembers. A client may have at most this many unanswered
/// publications.
pub const PRODUCER_WINDOW: usize = 256;

impl Request {
    /// A request that carries an id.
    pub fn new(id: RequestId, action: Action) -> Self {
        Self { id: Some(id), action }
    }
}

impl From<Action> for Request {
    fn from(action: Action) -> Self {
        Self { id: None, action }
    }
}

impl Subscribe {
    /// The default subscription: from now on, closed when too slow, without joins and leaves.
    pub fn live(target: Target) -> Self {
        Self { target, start: Start::Live, presence: false, slow: Slow::Disconnect }
    }
}

impl From<Subscribe> for Action {
    fn from(subscribe: Subscribe) -> Self {
        Self::Subscribe(subscribe)
    }
}

impl From<Identify> for Action {
    fn from(identify: Identify) -> Self {
        Self::Identify(identify)
    }
}

impl From<Publish> for Action {
    fn from(publish: Publish) -> Self {
        Self::Publish(publish)
    }
}

impl From<&str> for Key {
    fn from(text: &str) -> Self {
        Self::Text(text.into())
    }
}

/// For people: not every such text can be read back.
impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => f.write_str(text),
            Self::Number { producer, sequence } => write!(f, "number {sequence} of {producer}"),
        }
    }
}

impl From<Topic> for Target {
    fn from(topic: Topic) -> Self {
        Self::Topic(topic)
    }
}

impl From<Pattern> for Target {
    fn from(pattern: Pattern) -> Self {
        Self::Pattern(pattern)
    }
}
