//! The inputs of a machine.

use super::token::{GivenToken, TokenFailure};
use hubcast_protocol::request::{Publish, ReadHistory, Slow, Start};
use hubcast_protocol::{CloseCode, Target, Topic};
use std::time::Duration;

/// One event: at the socket, or in the program.
#[derive(Clone, Debug, PartialEq)]
pub enum Input {
    /// A command of the program. Exactly one [`Effect::Complete`](super::Effect::Complete) with the same ticket
    /// completes it.
    Command(Ticket, Command),
    /// The program has dropped a subscription; nothing more is delivered to it.
    Unsubscribe(SubscriptionId),
    /// The connection is made, and both sides speak the typed dialect.
    Connected,
    /// A text frame was received. The driver calls [`Machine::handle_frame`](super::Machine::handle_frame) instead.
    #[cfg_attr(
        not(any(feature = "testing", feature = "unstable-machine")),
        expect(dead_code, reason = "only tests own their frames")
    )]
    Frame(String),
    /// The answer to [`Effect::AskToken`](super::Effect::AskToken).
    Token(Result<GivenToken, TokenFailure>),
    /// Another frame was received, such as a ping: the connection still works.
    Heard,
    /// The connection broke, was closed, or could not be made.
    Disconnected(Disconnection),
}

/// The number of a command, for its completion. The caller chooses it and uses it once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Ticket(pub u64);

/// The number of one subscription of the program. The caller chooses it and uses it once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SubscriptionId(pub u64);

/// A command of the program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Connect, and reconnect whenever the connection breaks. The first welcome completes it.
    Connect,
    /// The same, but it is completed at once, and the first connection may take as long as it takes.
    ConnectLazily,
    /// Make the next attempt now, if the client waits for it.
    Reconnect,
    /// Subscribe to a source.
    Subscribe(SubscriptionId, SubscribeRequest),
    /// Publish, with effect once however often the connection breaks. Without a key the machine makes one.
    Publish(Publish),
    /// Read a topic's history.
    History(ReadHistory),
    /// Read the members of a topic.
    Presence(Topic),
    /// Send a ping; the answer completes it.
    Ping,
    /// Wait for the unanswered requests, then close for good.
    Close,
}

/// The options of a subscription of the program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubscribeRequest {
    /// The source of its messages.
    pub source: Source,
    /// The first message to deliver. After a reconnect the machine uses the position that it has reached.
    pub start: Start,
    /// Whether joins and leaves are delivered.
    pub presence: bool,
    /// What the server does when the connection cannot keep up. For subscriptions that share a target, the option that
    /// loses least applies to all.
    pub slow: Slow,
}

/// The source of a subscription's messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A topic or pattern, for which the server needs a subscribe request.
    Target(Target),
    /// The session's private topics, its own id and `@user`, which the server sends without a request.
    Direct,
}

/// Why a connection ended, or could not be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Disconnection {
    /// The server sent a close frame.
    Closed {
        /// The code of the close frame.
        code: CloseCode,
        /// The reason in the close frame, for people.
        reason: String,
    },
    /// The network failed, or the server cannot take the connection now: try again.
    Lost {
        /// What failed.
        reason: String,
        /// The pause before the next attempt, if the server named one.
        retry_after: Option<Duration>,
    },
    /// The server sent a larger message than this client takes. The request that it answers must not be sent again.
    TooLarge {
        /// What was too large.
        reason: String,
    },
    /// The server refused the token in the handshake.
    TokenRefused {
        /// What the server said of it.
        reason: String,
    },
    /// The server refused the handshake in a way that another attempt would hardly change. (After a first session the
    /// machine tries a few times more: it may be a proxy that refuses.)
    Rejected {
        /// What the server refused.
        reason: String,
        /// The status of its answer (RFC 9110 section 15), if it answered by HTTP.
        status: Option<u16>,
    },
}

impl Disconnection {
    /// A handshake that failed for a reason that is no answer by HTTP.
    pub(crate) fn rejected(reason: impl Into<String>) -> Self {
        Self::Rejected { reason: reason.into(), status: None }
    }
}

impl SubscribeRequest {
    /// A live subscription with the protocol's default options.
    pub fn live(source: Source) -> Self {
        Self { source, start: Start::Live, presence: false, slow: Slow::Disconnect }
    }
}
