//! Codes: why a request was refused, why a connection ended.

use serde::{Deserialize, Serialize};
use std::{borrow::Cow, fmt};

/// Why a request was refused, for programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorCode {
    /// The frame is not JSON.
    InvalidJson,
    /// The JSON is not a request: a field is missing, of the wrong type or out of bounds.
    InvalidRequest,
    /// No action has this name.
    UnknownAction,
    /// The topic is longer than the server takes.
    InvalidTopic,
    /// The pattern is malformed or longer than the server takes.
    InvalidPattern,
    /// The session has no right to this.
    Forbidden,
    /// The session has to say first who it is.
    Unauthenticated,
    /// The token does not hold.
    TokenInvalid,
    /// The token held once.
    TokenExpired,
    /// The session has all it may have of this.
    LimitExceeded,
    /// The session asks too often; the same request later may pass.
    RateLimited,
    /// The message is larger than the topic takes.
    MessageTooLarge,
    /// The topic keeps no history.
    NoHistory,
    /// The topic keeps no presence.
    NoPresence,
    /// The number of a publish is below the last ones of its producer: nothing was published now, and whether it was
    /// before is not known any more.
    SequenceTooOld,
    /// Something the server depends on does not answer; the same request later may pass.
    Unavailable,
    /// A fault of the server.
    Internal,
    /// A code that came after this version.
    #[serde(other)]
    Unknown,
}

impl ErrorCode {
    /// Whether the same request may succeed when it is sent again later.
    pub fn is_temporary(self) -> bool {
        matches!(self, Self::RateLimited | Self::Unavailable | Self::Internal)
    }
}

/// A refusal: a code for programs and a sentence for people.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct ErrorReply {
    /// Which kind of refusal.
    pub code: ErrorCode,
    /// What was wrong, lower-case and without a full stop.
    pub reason: Cow<'static, str>,
}

impl ErrorReply {
    /// Makes a refusal with its reason.
    pub fn new(code: ErrorCode, reason: impl Into<Cow<'static, str>>) -> Self {
        Self { code, reason: reason.into() }
    }
}

/// The number with which a WebSocket is closed (RFC 6455 section 7.4), with hubcast's own from 4000 on.
///
/// Own codes say what to do next: 4000 to 4499 come back, 4500 to 4999 do not.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CloseCode(pub u16);

impl CloseCode {
    /// The purpose is fulfilled.
    pub const NORMAL: Self = Self(1000);
    /// The peer goes away: a page is left, a program ends.
    pub const GOING_AWAY: Self = Self(1001);
    /// A frame broke the protocol.
    pub const PROTOCOL_ERROR: Self = Self(1002);
    /// A kind of data that is not taken, such as a binary frame in the typed dialect.
    pub const UNSUPPORTED: Self = Self(1003);
    /// Text that is not UTF-8.
    pub const NOT_UTF8: Self = Self(1007);
    /// A rule was broken that has no code of its own.
    pub const POLICY: Self = Self(1008);
    /// A message or frame over its limit.
    pub const TOO_BIG: Self = Self(1009);
    /// A fault of the server.
    pub const INTERNAL: Self = Self(1011);
    /// The server restarts: come back.
    pub const RESTARTING: Self = Self(1012);
    /// The server is overloaded: come back later.
    pub const TRY_AGAIN_LATER: Self = Self(1013);
    /// No answer to a ping.
    pub const PING_TIMEOUT: Self = Self(4000);
    /// The token ran out: come back with a new one.
    pub const TOKEN_EXPIRED: Self = Self(4001);
    /// The client read too slowly and more than its outbox holds was waiting.
    pub const SLOW_CONSUMER: Self = Self(4002);
    /// The client went on asking too often.
    pub const RATE_LIMIT: Self = Self(4003);
    /// The operator moved the client elsewhere.
    pub const MOVED: Self = Self(4004);
    /// The token does not hold.
    pub const TOKEN_INVALID: Self = Self(4500);
    /// The server takes no client without a token.
    pub const TOKEN_REQUIRED: Self = Self(4501);
    /// The operator sent the client away for good.
    pub const DISCONNECTED: Self = Self(4502);

    /// Whether a client should try again: false for what would fail the same way again.
    pub fn may_reconnect(self) -> bool {
        match self.0 {
            1002 | 1003 | 1007..=1010 => false,
            code => !(4500..5000).contains(&code),
        }
    }

    /// Whether a peer may send this code in a close frame (RFC 6455 section 7.4.2 and the IANA registry).
    pub fn may_be_sent(self) -> bool {
        matches!(self.0, 1000..=1003 | 1007..=1014 | 3000..=4999)
    }
}

impl fmt::Display for CloseCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for CloseCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
