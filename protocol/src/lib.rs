//! The words that hubcast and its clients exchange, as pure encode and decode.
//!
//! A client sends a [`Request`], the server answers with [`Event`]s; a [`Topic`] or a [`Pattern`] says which
//! publications are meant. Two dialects carry them over a WebSocket: [`plain`], the bare text of the original
//! server, and [`typed`], one JSON object a frame. This crate knows no socket, no clock and no state: the hub
//! decides, the server and the clients move bytes.
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
pub mod plain;
pub mod request;
pub mod typed;

mod code;
mod fields;
mod id;
mod pattern;
mod payload;
mod position;
mod reading;
mod topic;

pub use code::{CloseCode, ErrorCode, ErrorReply};
pub use event::Event;
pub use id::{ClientId, InvalidRequestId, RequestId};
pub use pattern::{InvalidPattern, Pattern, Token};
pub use payload::{InvalidPayload, Payload};
pub use position::{Epoch, InvalidEpoch, Position};
pub use request::{Action, RejectedRequest, Request, Slow, Target};
pub use topic::{Owner, Topic};

/// The two ways in which a session's events are written; requests read the same in both.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// Bare text, exactly as the original server spoke.
    Plain,
    /// One JSON object a frame, chosen by offering [`SUBPROTOCOL`].
    Typed,
}

/// The value of `Sec-WebSocket-Protocol` (RFC 6455 section 1.9) that chooses the typed dialect.
pub const SUBPROTOCOL: &str = "hubcast.v1";
