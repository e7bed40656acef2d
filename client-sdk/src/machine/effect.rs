//! What a machine wants done, and what it says.

use super::input::{SubscriptionId, Ticket};
use hubcast_protocol::event::{History, Member, Message, Presence, Refusal};
use hubcast_protocol::request::Key;
use hubcast_protocol::{ClientId, CloseCode, Epoch, ErrorCode, Topic};
use std::{sync::Arc, time::Duration};

/// Effects in the order in which they are to be carried out.
pub type Effects = Vec<Effect>;

/// One thing to do.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Make a connection and say `Connected` or `Disconnected`.
    Connect,
    /// Send a text frame.
    Send(String),
    /// Close the connection, or give up making one. For the machine it is gone: nothing of it may be fed any more.
    Close(CloseCode),
    /// Something for one subscription.
    Deliver(SubscriptionId, Delivery),
    /// The answer to a command.
    Complete(Ticket, Result<Answer, Failure>),
    /// How the client stands now.
    Status(Status),
}

/// What a subscription hears.
#[derive(Clone, Debug, PartialEq)]
pub enum Delivery {
    /// A publication.
    Message(Arc<Message>),
    /// The subscription stands again after its connection was lost, or was resumed as it was asked for.
    Resumed(Resumed),
    /// Publications that this subscription does not get, or joins and leaves.
    Gap(Gap),
    /// Somebody subscribed.
    Joined(Member),
    /// Somebody is gone.
    Left(Member),
    /// Nothing comes any more.
    Ended(Ended),
}

/// A subscription stands again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resumed {
    /// Whether nothing was missed. Otherwise [`Gap`]s that follow say what. Under a pattern this speaks of the topics
    /// that were heard before: of one that began in between, the next message says whether others came before it.
    pub recovered: bool,
    /// How many publications of the time in between follow now, at most.
    pub replayed: u32,
}

/// Publications that a subscription does not get, or joins and leaves: the reason says which. What is `None` is not known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gap {
    /// Of which topic; `None` under a pattern when it may be any.
    pub topic: Option<Topic>,
    /// The history in which `from` and `to` count.
    pub epoch: Option<Epoch>,
    /// The first one left out.
    pub from: Option<u64>,
    /// The last one left out.
    pub to: Option<u64>,
    /// Why.
    pub reason: GapReason,
}

/// Why a subscription does not get something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum GapReason {
    /// The connection did not keep up, and the subscription had chosen to lose something then.
    SlowConnection,
    /// The connection did not keep up with joins and leaves, and the subscription had chosen to lose something then. No
    /// publication is missing. Ask [`Client::presence`](crate::Client::presence) who is there.
    MissedPresence,
    /// The program did not read this subscription, and its queue was full. Joins and leaves may be missing too.
    SlowReader,
    /// They went by without a connection, and the server does not have them, or cannot tell.
    NotRecoverable,
    /// The server did not send them. Where a subscription was begun with `recover` although another one of this client
    /// listened to the same topic or pattern, that is no fault of the server: see
    /// [`Subscribe::recover`](crate::Subscribe::recover).
    Missing,
}

/// What a command brought.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// The first welcome came.
    Connected,
    /// The subscription stands.
    Subscribed,
    /// The publication was taken.
    Published(Published),
    /// A part of a history.
    History(History),
    /// Who is there.
    Presence(Presence),
    /// The server lives.
    Pong,
    /// Nothing is left to do.
    Closed,
}

/// The server took a publication.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Published {
    /// Its place in the topic's history, when it keeps one.
    pub offset: Option<u64>,
    /// How many connections it was handed to.
    pub receivers: u64,
}

/// Why a command failed. A publish that is not confirmed may or may not have happened: published again with the
/// `key`, it takes effect once.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Failure {
    /// The server said no.
    Refused(Refused),
    /// No answer in time.
    Timeout {
        /// Of a publish.
        key: Option<Key>,
    },
    /// The client is closed.
    Closed {
        /// Why.
        why: Closed,
        /// Of a publish.
        key: Option<Key>,
    },
    /// The request has more bytes than the server takes.
    TooLarge {
        /// Its bytes, as JSON.
        size: usize,
        /// What the server takes.
        limit: u64,
    },
    /// A publication was sent again, because its connection broke or by the program, and failed then: the first may have
    /// had its effect.
    Uncertain {
        /// What became of the second.
        why: Box<Failure>,
        /// Of the publication.
        key: Key,
    },
    /// The server answered, or wanted to, with more than this client takes.
    AnswerTooLarge,
    /// Too many requests wait already.
    QueueFull,
    /// The subscription was given up before it stood.
    Unsubscribed,
    /// Closed, with so many requests unanswered.
    Unfinished(usize),
}

/// The server said no.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct Refused {
    /// Why, for programs.
    pub code: ErrorCode,
    /// Why, for people.
    pub reason: String,
    /// Whether the same request may pass later.
    pub retry: bool,
}

/// Why a subscription ended that the program did not end.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Ended {
    /// The whole client did.
    #[error(transparent)]
    Closed(#[from] Closed),
    /// After a reconnect the server did not take it again.
    #[error("the server did not take the subscription again: {0}")]
    Refused(Refused),
    /// The server ended it, by order of its operator.
    #[error("the server ended the subscription")]
    Unsubscribed,
}

/// Why a client is closed for good.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Closed {
    /// The program wanted it.
    #[error("the client was closed")]
    ByUser,
    /// The server closed with a code that says not to come back.
    #[error("the server closed the connection for good: {reason} ({code})")]
    ByServer {
        /// What it said.
        code: CloseCode,
        /// Why, for people.
        reason: String,
    },
    /// The server does not take such a connection.
    #[error("the server refused the connection: {reason}")]
    Rejected {
        /// What was wrong.
        reason: String,
    },
    /// The first connection did not come in time.
    #[error("no connection within {within:?}: {reason}")]
    NoConnection {
        /// In what time.
        within: Duration,
        /// What happened to the last attempt.
        reason: String,
    },
}

/// How a client stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// Whether there is a connection.
    pub state: State,
    /// The id of the latest session. Every connection has another one.
    pub client: Option<ClientId>,
    /// The user that the latest session's token names.
    pub user: Option<Box<str>>,
}

/// Whether there is a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum State {
    /// One is being made.
    Connecting,
    /// There is.
    Connected,
    /// None, until the next attempt.
    Waiting,
    /// None any more.
    Closed(Closed),
}

impl From<Refusal> for Refused {
    fn from(refusal: Refusal) -> Self {
        Self { code: refusal.code, reason: refusal.reason.into_owned(), retry: refusal.retry }
    }
}
