//! The types that a service and a connection exchange.

use super::event_stream::EventStream;
use crate::metrics::traffic::Traffic;
use crate::trace_context::TraceContext;
use hubcast_hub::Login;
use hubcast_protocol::{Action, CloseCode, Dialect};
use std::borrow::Cow;
use std::net::SocketAddr;
use std::time::Duration;

/// One open connection of a worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// The connection's number on its worker, below 2^24. Used again for another connection after this one is closed.
    pub slot: u32,
    /// The dialect that the client chose in the handshake.
    pub dialect: Dialect,
}

/// What is known of a new connection.
#[derive(Debug, Default)]
pub struct Arrival {
    /// Its user and what its token allows, if it has shown one.
    pub login: Option<Login>,
    /// What it asks for at once, without sending it.
    pub requests: Vec<Action>,
    /// The trace that its request is a part of, if it says one.
    pub trace: Option<TraceContext>,
    /// `Some` if it is a stream of server-sent events.
    pub(crate) stream: Option<Box<EventStream>>,
}

/// One complete message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Message<'a> {
    /// A message in text frames.
    Text(&'a str),
    /// A message in binary frames.
    Binary(&'a [u8]),
}

/// Why no more messages come from a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The client closes, with this code if it gave one, and waits for the answer.
    Closing(Option<CloseCode>),
    /// The client sent something invalid. The server ignores all that follows.
    Violation {
        /// The close code.
        code: CloseCode,
        /// The reason, for people.
        reason: &'static str,
    },
}

/// How a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CloseReason {
    /// The client closed it.
    Clean,
    /// It was lost, or the server closed it. The client may come back.
    Lost,
}

/// How a connection ended, and how long it was open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Closed {
    /// Whether the client may come back.
    pub close_reason: CloseReason,
    /// The close code: of the side that closed first; 1005 if the client gave none, 1006 if the connection broke (RFC
    /// 6455 section 7.4.1).
    pub code: CloseCode,
    /// The reason, for people, if the server has closed it.
    pub reason: Box<str>,
    /// For how long it was open.
    pub open_for: Duration,
    /// The address of the client, if it has one. That of a client behind a proxy has no port.
    pub address: Option<SocketAddr>,
    /// What went over it.
    pub(crate) traffic: Traffic,
}

/// An order to close a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Disconnect {
    /// The close code.
    pub code: CloseCode,
    /// The reason, for people.
    pub reason: Cow<'static, str>,
    /// When the client should reconnect, in milliseconds; `None`: it should not.
    pub reconnect_in_ms: Option<u64>,
}
