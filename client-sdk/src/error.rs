//! What can go wrong, one enum for each operation.

use crate::machine::{Closed, Failure, Refused};
use crate::{DecodeError, IdempotencyKey};
use hubcast_protocol::{InvalidPattern, InvalidPayload};
use std::time::Duration;

/// Why there is no client.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The address is not one of a WebSocket.
    #[error("{url:?} is not a WebSocket address: {reason}")]
    InvalidUrl {
        /// As it was given.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A header that the program gave is none.
    #[error("the header {name:?} cannot be sent: {reason}")]
    InvalidHeader {
        /// As it was given.
        name: String,
        /// What is wrong with it.
        reason: String,
    },
    /// No attempt succeeded in time.
    #[error("no connection within {within:?}: {reason}")]
    Timeout {
        /// In what time.
        within: Duration,
        /// What happened to the last attempt.
        reason: String,
    },
    /// The server answered, and another attempt would be answered the same.
    #[error(transparent)]
    Closed(Closed),
}

/// Why there is no subscription.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SubscribeError {
    /// The text is not a pattern.
    #[error(transparent)]
    InvalidPattern(#[from] InvalidPattern),
    /// The server said no.
    #[error(transparent)]
    Refused(Refused),
    /// The server did not confirm it in time.
    #[error("the subscription was not confirmed in time")]
    Timeout,
    /// The request has more bytes than the server takes.
    #[error("the request has {size} bytes and the server takes {limit}")]
    TooLarge {
        /// Its bytes, as JSON.
        size: usize,
        /// What the server takes.
        limit: u64,
    },
    /// Too many requests wait for a connection or an answer.
    #[error("too many requests are waiting")]
    QueueFull,
    /// The client is closed.
    #[error(transparent)]
    Closed(Closed),
}

/// Why nobody knows of a publication, or nobody knows whether anybody does.
///
/// Where it is not known, there is a key to publish the same again with: [`IdempotencyKey`] says how long that is safe.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PublishError {
    /// The value cannot be a message.
    #[error(transparent)]
    Encode(#[from] EncodeError),
    /// The server said no; nothing was published.
    #[error(transparent)]
    Refused(Refused),
    /// It was sent again, because its connection broke or by the program, and failed then: the first one may have been
    /// published or not.
    #[error("it is not known whether the publication took effect when it was sent first; sent again it failed")]
    Uncertain {
        /// What became of the second.
        #[source]
        why: Box<PublishError>,
        /// Published again with this key, it takes effect once, as long as the server knows the key.
        key: IdempotencyKey,
    },
    /// The server did not confirm it in time: it may have been published or not.
    #[error("the publication was not confirmed in time")]
    Timeout {
        /// Published again with this key, it takes effect once, as long as the server knows the key.
        key: Option<IdempotencyKey>,
    },
    /// The request has more bytes than the server takes; nothing was published.
    #[error("the request has {size} bytes and the server takes {limit}")]
    TooLarge {
        /// Its bytes, as JSON.
        size: usize,
        /// What the server takes.
        limit: u64,
    },
    /// Too many requests wait for a connection or an answer; nothing was published.
    #[error("too many requests are waiting")]
    QueueFull,
    /// The client is closed.
    #[error("{why}")]
    Closed {
        /// Why.
        why: Closed,
        /// When it is there, the publication was under way: published again with this key, it takes effect once, as
        /// long as the server knows the key.
        key: Option<IdempotencyKey>,
    },
}

/// Why a value cannot be a message.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EncodeError {
    /// It has no JSON.
    #[error("the value has no JSON")]
    Json(#[from] serde_json::Error),
    /// Its JSON is `null`, as that of `None` and `()`, which the server takes for the empty text: nobody would hear what
    /// was published.
    #[error("the value is null, which cannot be told from an empty text")]
    Null,
    /// The server would not take its JSON.
    #[error(transparent)]
    Payload(#[from] InvalidPayload),
}

/// Why a question to the server has no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RequestError {
    /// The server said no.
    #[error(transparent)]
    Refused(Refused),
    /// The server did not answer in time.
    #[error("no answer in time")]
    Timeout,
    /// The request has more bytes than the server takes.
    #[error("the request has {size} bytes and the server takes {limit}")]
    TooLarge {
        /// Its bytes, as JSON.
        size: usize,
        /// What the server takes.
        limit: u64,
    },
    /// The server's answer, or that to another question of the same moment, was larger than this client takes: a
    /// history is read in smaller parts.
    #[error("the answer has more bytes than this client takes")]
    AnswerTooLarge,
    /// Too many requests wait for a connection or an answer.
    #[error("too many requests are waiting")]
    QueueFull,
    /// The client is closed.
    #[error(transparent)]
    Closed(Closed),
    /// A message in the answer is not of the type that was expected.
    #[error(transparent)]
    Decode(#[from] DecodeError),
}

/// What was left undone when a client closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("closed with {unanswered} requests unanswered")]
pub struct CloseError {
    /// So many requests have failed, each with an error of its own.
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

/// Why the client is closed; what is left of the failures comes only to who closed something himself.
fn closed(failure: Failure) -> Closed {
    match failure {
        Failure::Closed { why, .. } => why,
        _ => Closed::ByUser,
    }
}
