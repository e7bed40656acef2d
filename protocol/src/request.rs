//! What a client asks.

use crate::{Fault, Pattern, Payload, Position, RequestId, Topic};
use std::collections::BTreeMap;

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
    /// The oldest waiting publications are left out, and a `gap` event says which.
    Drop,
    /// Only the newest waiting publication of each topic is kept, and a `gap` event says what was left out.
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
    pub key: Option<Box<str>>,
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
pub struct Refused {
    /// The id of the frame, where it had one.
    pub id: Option<RequestId>,
    /// What was wrong with it.
    pub fault: Fault,
}

/// The longest idempotency key, in bytes.
pub const MAX_KEY: usize = 256;

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
