//! The protocol between hubcast and its clients, as pure encode and decode.
//!
//! A client sends [`Request`]s and the server sends [`Event`]s. A [`Topic`] or a [`Pattern`] selects the publications.
//! There are two dialects over a WebSocket: [`plain`], the bare text of the original server, and [`typed`], one JSON
//! object in each frame. This crate knows no socket, no clock and no state: the hub decides, the server and the clients
//! move bytes.
//!
//! ```
//! use hubcast_protocol::{Event, plain, typed};
//!
//! let request = plain::decode(r#"{"action": " Publish ", "topic": "world", "message": "Hello!"}"#).unwrap();
//! assert_eq!(typed::encode_request(&request), r#"{"action":"publish","topic":"world","message":"Hello!"}"#);
//!
//! let event = typed::decode_event(r#"{"event":"pong","id":11}"#).unwrap();
//! assert!(matches!(event, Event::Pong(_)));
//! ```

pub mod event;
pub mod event_stream;
pub mod plain;
pub mod request;
pub mod typed;

mod access_token;
mod code;
mod fields;
mod id;
mod member;
mod pattern;
mod payload;
mod position;
mod reading;
mod topic;

pub use access_token::{AccessToken, InvalidToken};
pub use code::{CloseCode, ErrorCode, ErrorReply};
pub use event::Event;
pub use id::{ClientId, InvalidRequestId, RequestId};
pub use member::{AnonymousId, InvalidAnonymousId, InvalidSecret, MemberSecret};
pub use pattern::{InvalidPattern, Pattern, Token};
pub use payload::{InvalidPayload, Payload};
pub use position::{Epoch, InvalidEpoch, Position};
pub use request::{Action, RejectedRequest, Request, Slow, Target};
pub use topic::{Owner, Topic};

/// The ways to write events. Requests come in the first two only, and are read in the same way in both.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// Bare text, exactly as the original server wrote it.
    Plain,
    /// One JSON object in each frame. A client chooses it by offering [`SUBPROTOCOL`].
    Typed,
    /// Server-sent events of one topic. Each publication carries its position.
    EventStream,
    /// Server-sent events of several topics or patterns. The positions of all topics come in blocks of their own.
    JoinedEventStream,
}

impl Dialect {
    /// Whether it is a stream of server-sent events, whose reader sends nothing.
    pub fn is_event_stream(self) -> bool {
        matches!(self, Self::EventStream | Self::JoinedEventStream)
    }
}

/// The value of `Sec-WebSocket-Protocol` (RFC 6455 section 1.9) that chooses the typed dialect.
pub const SUBPROTOCOL: &str = "hubcast.v1";
