//! What a service and a connection say about each other.

use hubcast_protocol::{CloseCode, Dialect};
use std::borrow::Cow;

/// One open connection of a worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Its number on its worker, below 2^24; given again after it was closed.
    pub slot: u32,
    /// What it asked to be spoken to in.
    pub dialect: Dialect,
}

/// One complete message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Message<'a> {
    /// Of text frames.
    Text(&'a str),
    /// Of binary frames.
    Binary(&'a [u8]),
}

/// Why nothing more comes from a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The peer closes, with this code if it gave one, and waits for the answer.
    Closing(Option<CloseCode>),
    /// What it sent cannot be taken, and nothing after it.
    Violation {
        /// The close code.
        code: CloseCode,
        /// Why, for people.
        reason: &'static str,
    },
}

/// How a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CloseReason {
    /// The peer closed it.
    Clean,
    /// It was lost, or closed by the server; the peer may be back.
    Lost,
}

/// Why a connection has to go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Disconnect {
    /// The close code.
    pub code: CloseCode,
    /// Why, for people.
    pub reason: Cow<'static, str>,
    /// When to come back, in milliseconds; `None`: do not.
    pub reconnect_in_ms: Option<u64>,
}
