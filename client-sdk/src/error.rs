//! The errors of this crate, one enum for each operation.

use crate::IdempotencyKey;
use crate::machine::{Closed, Failure, Refused};
use hubcast_protocol::{InvalidPattern, InvalidPayload, Topic};
use std::error::Error;
use std::time::Duration;

/// Why [`Client::connect`](crate::Client::connect) failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The address is not a WebSocket address.
    #[error("{url:?} is not a WebSocket address: {reason}")]
    InvalidUrl {
        /// The address that the program gave, without its user, password and query.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The address of the proxy is not valid.
    #[error("{url:?} is not the address of a proxy: {reason}")]
    InvalidProxy {
        /// The address that the program gave, without its user and password.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The settings of TLS are not valid.
    #[error("TLS: {reason}")]
    InvalidTls {
        /// What is wrong with them.
        reason: String,
    },
    /// A header that the program gave is not valid.
    #[error("the header {name:?} cannot be sent: {reason}")]
    InvalidHeader {
        /// The name that the program gave.
        name: String,
        /// What is wrong with it.
        reason: String,
    },
    /// What the program says of itself cannot be shown to others.
    #[error("the info cannot be sent: {reason}")]
    InvalidInfo {
        /// What is wrong with it.
        reason: String,
    },
    /// No attempt succeeded in time.
    #[error("no connection within {within:?}: {reason}")]
    Timeout {
        /// The connect timeout.
        within: Duration,
        /// How the last attempt failed.
        reason: String,
    },
    /// The server refused the connection in a way that another attempt would not change.
    #[error(transparent)]
    Closed(Closed),
}

/// Why a subscription failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SubscribeError {
    /// The text is not a pattern.
    #[error(transparent)]
    InvalidPattern(#[from] InvalidPattern),
    /// The server refused it.
    #[error(transparent)]
    Refused(Refused),
    /// [`Subscribe::last`](crate::Subscribe::last) asks for earlier messages, and the topic keeps none: a rule of the
    /// server's configuration gives it no history.
    #[error("the server keeps no history of {topic:?}, so there are no last messages")]
    NoHistory {
        /// The topic.
        topic: Topic,
    },
    /// [`Subscribe::presence`](crate::Subscribe::presence) asks for joins and leaves, and the topic has none: a rule of
    /// the server's configuration must turn them on.
    #[error("the server sends no joins and leaves of {topic:?}; a rule of its configuration must turn presence on")]
    NoPresence {
        /// The topic.
        topic: Topic,
    },
    /// The server did not confirm it in time.
    #[error("the subscription was not confirmed in time")]
    Timeout,
    /// The request has more bytes than the server takes.
    #[error("the request has {size} bytes and the server takes {limit}")]
    TooLarge {
        /// The size of its JSON, in bytes.
        size: usize,
        /// The largest request that the server takes, in bytes.
        limit: u64,
    },
    /// Too many requests wait for a connection or an answer.
    #[error("too many requests are waiting")]
    QueueFull,
    /// The client is closed.
    #[error(transparent)]
    Closed(Closed),
}

/// Why a publication failed, or why its outcome is unknown.
///
/// Where the outcome is unknown, the error has a key to publish the same again with: [`IdempotencyKey`] says how long
/// that is safe.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PublishError {
    /// The value cannot be a message.
    #[error(transparent)]
    Encode(#[from] EncodeError),
    /// The server refused it; nothing was published.
    #[error(transparent)]
    Refused(Refused),
    /// The publication was sent again, because its connection broke or because the program published it again with the
    /// same key, and then it failed. The first one may or may not have been published.
    #[error("it is not known whether the publication took effect when it was sent first; sent again it failed")]
    Uncertain {
        /// Why the second one failed.
        #[source]
        why: Box<PublishError>,
        /// The key of the publication. Published again with this key, it takes effect once, as long as the server knows
        /// the key.
        key: IdempotencyKey,
    },
    /// The server did not confirm it in time: it may have been published or not.
    #[error("the publication was not confirmed in time")]
    Timeout {
        /// The key of the publication. Published again with this key, it takes effect once, as long as the server knows
        /// the key.
        key: Option<IdempotencyKey>,
    },
    /// The request has more bytes than the server takes; nothing was published.
    #[error("the request has {size} bytes and the server takes {limit}")]
    TooLarge {
        /// The size of its JSON, in bytes.
        size: usize,
        /// The largest request that the server takes, in bytes.
        limit: u64,
    },
    /// Too many requests wait for a connection or an answer; nothing was published.
    #[error("too many requests are waiting")]
    QueueFull,
    /// The client is closed.
    #[error("{why}")]
    Closed {
        /// Why it is closed.
        why: Closed,
        /// If present, the publication may or may not have been published. Published again with this key, it takes
        /// effect once, as long as the server knows the key. If absent, it was not published; after
        /// [`Closed::Panicked`] that is not known.
        key: Option<IdempotencyKey>,
    },
}

/// Why a value cannot be a message.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EncodeError {
    /// It cannot be written as JSON.
    #[error("the value has no JSON")]
    Json(#[source] Box<dyn Error + Send + Sync>),
    /// Its JSON is `null`, as that of `None`, of `()`, and of a number that is not finite (NaN or an infinity). The
    /// server treats `null` as the empty text, so subscribers would not receive the value.
    #[error(
        "the JSON of the value is null (it is None, () or a number that is not finite), and that means an empty text"
    )]
    Null,
    /// The server would refuse its JSON.
    #[error(transparent)]
    Payload(#[from] InvalidPayload),
}

/// Why a ping or a read of history or presence failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RequestError {
    /// The server refused it.
    #[error(transparent)]
    Refused(Refused),
    /// The server did not answer in time.
    #[error("no answer in time")]
    Timeout,
    /// The request has more bytes than the server takes.
    #[error("the request has {size} bytes and the server takes {limit}")]
    TooLarge {
        /// The size of its JSON, in bytes.
        size: usize,
        /// The largest request that the server takes, in bytes.
        limit: u64,
    },
    /// The server's answer to this request, or to another one that was sent at the same time, was larger than this
    /// client takes. Read a history in smaller parts.
    #[error("the answer has more bytes than this client takes")]
    AnswerTooLarge,
    /// Too many requests wait for a connection or an answer.
    #[error("too many requests are waiting")]
    QueueFull,
    /// The client is closed.
    #[error(transparent)]
    Closed(Closed),
}

/// The error of a close that did not get all answers in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("closed with {unanswered} requests unanswered")]
#[non_exhaustive]
pub struct CloseError {
    /// The number of requests that failed because of the close; each of them also returns an error.
    pub unanswered: usize,
}

impl From<Failure> for ConnectError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Closed { why: Closed::NoConnection { within, reason }, .. } => Self::Timeout { within, reason },
            failure => Self::Closed(closed(failure)),
        }
    }
}

impl From<Failure> for SubscribeError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Refused(refused) => Self::Refused(refused),
            Failure::Timeout { .. } => Self::Timeout,
            Failure::TooLarge { size, limit } => Self::TooLarge { size, limit },
            Failure::QueueFull => Self::QueueFull,
            failure => Self::Closed(closed(failure)),
        }
    }
}

impl From<Failure> for PublishError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Refused(refused) => Self::Refused(refused),
            Failure::Timeout { key } => Self::Timeout { key: key.map(IdempotencyKey) },
            Failure::TooLarge { size, limit } => Self::TooLarge { size, limit },
            Failure::QueueFull => Self::QueueFull,
            Failure::Closed { why, key } => Self::Closed { why, key: key.map(IdempotencyKey) },
            Failure::Uncertain { why, key } => {
                Self::Uncertain { why: Box::new((*why).into()), key: IdempotencyKey(key) }
            }
            failure => Self::Closed { why: closed(failure), key: None },
        }
    }
}

impl From<Failure> for RequestError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Refused(refused) => Self::Refused(refused),
            Failure::Timeout { .. } => Self::Timeout,
            Failure::TooLarge { size, limit } => Self::TooLarge { size, limit },
            Failure::AnswerTooLarge => Self::AnswerTooLarge,
            Failure::QueueFull => Self::QueueFull,
            failure => Self::Closed(closed(failure)),
        }
    }
}

/// Why the client is closed. Failures other than [`Failure::Closed`] reach this only for something that the program
/// closed.
fn closed(failure: Failure) -> Closed {
    match failure {
        Failure::Closed { why, .. } => why,
        _ => Closed::ByUser,
    }
}
