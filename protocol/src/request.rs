//! What a client asks.

use crate::{ErrorReply, Pattern, Payload, Position, RequestId, Topic};
use std::collections::BTreeMap;
use std::fmt;
use std::ops::RangeInclusive;

/// One frame from a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// Comes back in the reply; without it only errors, `subscribed` and `unsubscribed` come back.
    pub id: Option<RequestId>,
    /// What is asked.
    pub action: Action,
}

/// What a request asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Hear what is published from now on, or from a position on.
    Subscribe(Subscribe),
    /// Hear it no longer.
    Unsubscribe(Target),
    /// Send to all who listen.
    Publish(Publish),
    /// Read what was published.
    History(ReadHistory),
    /// See who is there.
    Presence(Topic),
    /// Ask for a `pong`; not answered without an id.
    Ping,
}

/// What a subscription listens to.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Target {
    /// One topic, byte for byte.
    Topic(Topic),
    /// All public topics that match.
    Pattern(Pattern),
}

/// A wish to hear a topic or a pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscribe {
    /// Where to listen.
    pub target: Target,
    /// Where to begin.
    pub start: Start,
    /// Whether `join` and `leave` events of the topic come too.
    pub presence: bool,
    /// What happens when the connection cannot keep up.
    pub slow: Slow,
}

/// Where a subscription begins.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub enum Start {
    /// With the next publication.
    #[default]
    Live,
    /// After a position of the topic: what was missed comes first.
    After(Position),
    /// After a position for each topic of a pattern; topics that are not named start live.
    AfterEach(BTreeMap<Topic, Position>),
    /// With the last so many publications of the history.
    Last(u32),
}

/// What a subscription wants when its connection cannot keep up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum Slow {
    /// The connection is closed with 4002 and may come back.
    #[default]
    Disconnect,
    /// The oldest waiting publications are left out, and a `gap` event says which. So are the oldest joins and leaves; a
    /// `gap` event of their own says so.
    Drop,
    /// Only the newest waiting publication of each topic is kept, and a `gap` event says what was left out. Joins
    /// and leaves are left out as with `Drop`.
    Latest,
}

/// A message for all who listen to a topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Publish {
    /// Where it goes.
    pub topic: Topic,
    /// What it carries.
    pub payload: Payload,
    /// Whether the publishing connection hears it too, where it is subscribed.
    pub echo: bool,
    /// Idempotency key: a second publication with it, within the window, has no effect.
    pub key: Option<Key>,
}

/// What tells a repetition from a new publication. It is the publisher's own: another user may have the same.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Key {
    /// A text that a program chose, of at most [`MAX_KEY`] bytes. It belongs to the topic.
    Text(Box<str>),
    /// A number that a client library counted. It belongs to the producer, over all topics.
    Number {
        /// One client object for as long as it lives: [`PRODUCER_BYTES`] of text that nobody can guess.
        producer: Box<str>,
        /// From 1 to [`MAX_SEQUENCE`]; higher for each new publication of this producer, the same for a repetition.
        sequence: u64,
    },
}

/// A wish to read a topic's history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadHistory {
    /// Whose history.
    pub topic: Topic,
    /// Forward from this position; without it the last ones, oldest first.
    pub since: Option<Position>,
    /// At most so many publications; more than 1,000, or none, is 1,000.
    pub limit: Option<u32>,
}

/// A frame that is no request, with the id that the refusal carries when one could be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{fault}")]
pub struct RejectedRequest {
    /// The id of the frame, where it had one.
    pub id: Option<RequestId>,
    /// What was wrong with it.
    pub fault: ErrorReply,
}

/// The longest idempotency key that is a text, in bytes.
pub const MAX_KEY: usize = 256;

/// How long the name of a producer may be, in bytes.
pub const PRODUCER_BYTES: RangeInclusive<usize> = 16..=64;

/// The greatest number of a producer, 2^53, which every JSON reader holds exactly.
pub const MAX_SEQUENCE: u64 = 1 << 53;

/// So many of a producer's last numbers the server knows: no client has more publications unanswered.
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
    /// From now on, closed when too slow, without joins and leaves.
    pub fn live(target: Target) -> Self {
        Self { target, start: Start::Live, presence: false, slow: Slow::Disconnect }
    }
}

impl From<Subscribe> for Action {
    fn from(subscribe: Subscribe) -> Self {
        Self::Subscribe(subscribe)
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

/// For people: not every text that this writes could be read back.
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
