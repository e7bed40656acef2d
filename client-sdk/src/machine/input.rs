//! What a machine is told.

use hubcast_protocol::request::{Publish, ReadHistory, Slow, Start};
use hubcast_protocol::{CloseCode, Target, Topic};
use std::time::Duration;

/// Something that happened: to the socket, or in the program.
#[derive(Clone, Debug, PartialEq)]
pub enum Input {
    /// The program wants something; it is answered by exactly one `Complete` with the same ticket.
    Command(Ticket, Command),
    /// The program listens no longer; nothing is delivered to this subscription after it.
    Unsubscribe(SubscriptionId),
    /// The connection that was asked for stands, with the typed dialect.
    Connected,
    /// A text frame came.
    Frame(String),
    /// Anything else came, such as a ping: the connection lives.
    Heard,
    /// The connection is gone, or could not be made.
    Disconnected(Disconnection),
}

/// Names a command in its completion; the caller chooses it and uses it once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Ticket(pub u64);

/// Names one subscription of the program; the caller chooses it and uses it once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SubscriptionId(pub u64);

/// What a program wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Connect, and stay connected from then on; completed by the first welcome.
    Connect,
    /// Hear what comes from a source.
    Subscribe(SubscriptionId, SubscribeRequest),
    /// Publish once, however often the connection breaks; without a key the machine makes one.
    Publish(Publish),
    /// Read a topic's history.
    History(ReadHistory),
    /// See who is subscribed to a topic.
    Presence(Topic),
    /// Ask for a pong.
    Ping,
    /// Wait for what is unanswered, then close for good.
    Close,
}

/// What a subscription of the program wants to hear.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubscribeRequest {
    /// From where.
    pub source: Source,
    /// From when on; after a reconnect it is the position that was reached.
    pub start: Start,
    /// Whether joins and leaves are delivered.
    pub presence: bool,
    /// What the server does when the connection cannot keep up. Subscriptions that share a target share this too:
    /// the one that wants to lose least decides.
    pub slow: Slow,
}

/// Where a subscription's messages come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A topic or pattern, subscribed to at the server.
    Target(Target),
    /// The session's private topics, its own id and `@user`, which the server sends without being asked.
    Direct,
}

/// How a connection ended, or why there is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Disconnection {
    /// The server sent a close frame.
    Closed {
        /// What it said.
        code: CloseCode,
        /// Why, for people.
        reason: String,
    },
    /// The network failed, or the server cannot take the connection now: worth another try.
    Lost {
        /// What failed.
        reason: String,
        /// When the server wants to be tried again, where it said so.
        retry_after: Option<Duration>,
    },
    /// The server sent more at once than this client takes: what it answered so must not be asked for again.
    TooLarge {
        /// What was too large.
        reason: String,
    },
    /// The handshake was refused in a way that another try would not change, unless it had been taken before.
    Rejected {
        /// What was wrong.
        reason: String,
    },
}

impl SubscribeRequest {
    /// From now on, with the defaults of the wire.
    pub fn live(source: Source) -> Self {
        Self { source, start: Start::Live, presence: false, slow: Slow::Disconnect }
    }
}
