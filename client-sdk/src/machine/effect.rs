//! The output of a machine: effects, and the values that they carry.

use super::input::{SubscriptionId, Ticket};
use super::status::{Closed, Status};
use super::token::TokenReason;
use hubcast_protocol::event::{History, Member, Message, Presence, Refusal};
use hubcast_protocol::request::Key;
use hubcast_protocol::{AccessToken, CloseCode, Epoch, ErrorCode, Position, Topic};
use std::fmt;
use std::sync::Arc;

/// Effects, in the order in which the caller must carry them out.
pub type Effects = Vec<Effect>;

/// One action for the caller of the machine.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Make a connection and show it this token, if there is one. Then pass
    /// [`Input::Connected`](super::Input::Connected) or [`Input::Disconnected`](super::Input::Disconnected).
    Connect(Option<AccessToken>),
    /// Send a text frame.
    Send(String),
    /// Close the connection, or stop making one. The caller must not pass any further input from it.
    Close(CloseCode),
    /// Ask the program for a token, then pass [`Input::Token`](super::Input::Token).
    AskToken(TokenReason),
    /// Pass this delivery to a subscription of the program.
    Deliver(SubscriptionId, Delivery),
    /// Complete a command with this result.
    Complete(Ticket, Result<Answer, Failure>),
    /// The status of the client has changed to this.
    Status(Status),
}

/// One item for a subscription.
#[derive(Clone, Debug, PartialEq)]
pub enum Delivery {
    /// A publication.
    Message(Arc<Message>),
    /// The subscription continues after its connection was lost, or after the position that it was started with.
    Resumed(Resumed),
    /// Publications, or joins and leaves, that this subscription does not receive.
    Gap(Gap),
    /// A member joined.
    Joined(Member),
    /// A member left.
    Left(Member),
    /// The answer to a question for the members, which the driver puts in its place among the joins and leaves.
    Presence(Result<Box<Presence>, Failure>),
    /// The end of the subscription; no delivery follows.
    Ended(Ended),
}

/// A subscription that continues, after a reconnect or after the position that it was started with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Resumed {
    /// Whether nothing was missed. If not, [`Gap`]s that follow say what was. Under a pattern this covers only the
    /// topics that the subscription had received messages of before. For any other topic, its next message shows
    /// whether earlier ones are missing.
    pub recovered: bool,
    /// How many of the missed publications follow now, at most.
    pub replayed: u32,
    /// The position at which the subscription continues, before what is replayed; `None` under a pattern, and on a
    /// topic without history.
    pub position: Option<Position>,
}

/// Publications, or joins and leaves, that a subscription does not receive: the reason says which. A field that is
/// `None` is not known.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub struct Gap {
    /// The topic; `None` under a pattern if it may be any.
    pub topic: Option<Topic>,
    /// The epoch of the history that `from` and `to` are offsets in.
    pub epoch: Option<Epoch>,
    /// The offset of the first missing publication.
    pub from: Option<u64>,
    /// The offset of the last missing publication.
    pub to: Option<u64>,
    /// The position at which the subscription goes on, for a later `recover`. If the history is gone, it is the last
    /// position in it. `None` on a topic without history, and if the gap may be of any topic.
    pub position: Option<Position>,
    /// Why they are missing.
    pub reason: GapReason,
}

/// Why a subscription does not receive something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum GapReason {
    /// The connection did not keep up, and the subscription's [`Slow`](crate::Slow) option allows the server to leave
    /// out publications then.
    SlowConnection,
    /// The connection did not keep up with joins and leaves, and the subscription's [`Slow`](crate::Slow) option allows
    /// the server to leave them out then. No publication is missing. Ask [`Client::presence`](crate::Client::presence)
    /// for the current members.
    MissedPresence,
    /// The program did not read this subscription, and its queue was full. Joins and leaves may be missing too.
    SlowReader,
    /// They were published while there was no connection, and the server does not have all of them, or cannot tell whether
    /// there were any. [`Subscribe::last`](crate::Subscribe::last) gives what it still has of a topic.
    NotRecoverable,
    /// The server did not send them, and did not say so: a later publication shows that they are missing. A server that
    /// keeps its contract gives no cause for this.
    Missing,
}

/// The successful result of a command.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// The server has welcomed the first connection.
    Connected,
    /// The server has confirmed the subscription, or it needed no request.
    Subscribed {
        /// The position at which it begins, before what is replayed; `None` on a topic without history.
        begin: Option<Position>,
        /// Whether joins and leaves come too.
        presence: bool,
    },
    /// The server has taken the publication.
    Published(Published),
    /// A part of a history.
    History(History),
    /// The members of a topic.
    Presence(Presence),
    /// The server has answered a ping.
    Pong,
    /// The client is closed, and no request was left unanswered.
    Closed,
}

/// The server's confirmation of a publication.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Published {
    /// Its offset in the topic's history; `None` if the topic keeps none.
    pub offset: Option<u64>,
    /// How many connections the server delivered it to.
    pub receivers: u64,
}

/// Why a command failed. A publish that is not confirmed may or may not have been carried out: published again with the
/// `key`, it takes effect once.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Failure {
    /// The server refused it.
    Refused(Refused),
    /// The server did not answer in time.
    Timeout {
        /// The key, if the command was a publish.
        key: Option<Key>,
    },
    /// The client is closed.
    Closed {
        /// Why it is closed.
        why: Closed,
        /// The key, if the command was a publish.
        key: Option<Key>,
    },
    /// The request has more bytes than the server takes.
    TooLarge {
        /// The size of its JSON, in bytes.
        size: usize,
        /// The largest request that the server takes, in bytes.
        limit: u64,
    },
    /// A publication was sent again, because its connection broke or because the program published it again with the
    /// same key, and then it failed. The first one may have taken effect.
    Uncertain {
        /// Why the second one failed.
        why: Box<Failure>,
        /// The key of the publication.
        key: Key,
    },
    /// The answer was larger than this client takes.
    AnswerTooLarge,
    /// Too many requests wait for a connection or an answer.
    QueueFull,
    /// The program gave up the subscription before the server confirmed it.
    Unsubscribed,
    /// The client is closed, and this many requests were not answered.
    Unfinished(usize),
}

/// The server's refusal of a request.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
#[non_exhaustive]
pub struct Refused {
    /// The reason, for programs.
    pub code: ErrorCode,
    /// The reason, for people.
    pub reason: String,
    /// Whether the same request may succeed later.
    pub retry: bool,
}

/// Why a subscription ended without being dropped.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Ended {
    /// The client is closed.
    #[error(transparent)]
    Closed(#[from] Closed),
    /// After a reconnect the server refused the subscription.
    #[error("the server did not take the subscription again: {0}")]
    Refused(Refused),
    /// The client's token does not grant it any more.
    #[error("the token does not grant the subscription any more")]
    Forbidden,
    /// The operator of the server ended it.
    #[error("the operator of the server ended the subscription")]
    Operator,
    /// The server ended it, and gave no reason that this version knows.
    #[error("the server ended the subscription")]
    Unsubscribed,
}

/// Such as `"prices" misses publications 3 to 5: the program did not read them in time`.
impl fmt::Display for Gap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.topic {
            Some(topic) => write!(f, "{topic:?} misses ")?,
            None => f.write_str("some topic misses ")?,
        }
        match (self.from, self.to) {
            _ if self.reason == GapReason::MissedPresence => f.write_str("joins or leaves")?,
            (Some(from), Some(to)) if from == to => write!(f, "publication {from}")?,
            (Some(from), Some(to)) => write!(f, "publications {from} to {to}")?,
            (None, Some(to)) => write!(f, "publications up to {to}")?,
            (Some(from), None) => write!(f, "publications from {from} on")?,
            (None, None) => f.write_str("an unknown number of publications")?,
        }
        write!(f, ": {}", self.reason)
    }
}

impl fmt::Display for GapReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::SlowConnection | Self::MissedPresence => "the connection did not keep up",
            Self::SlowReader => "the program did not read them in time",
            Self::NotRecoverable => "the server could not go on from the position",
            Self::Missing => "the server did not send them",
        })
    }
}

impl From<Refusal> for Refused {
    fn from(refusal: Refusal) -> Self {
        Self { code: refusal.code, reason: refusal.reason.into_owned(), retry: refusal.retry }
    }
}
