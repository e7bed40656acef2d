//! Codes: the reason of a refused request, and of a closed connection.

use serde::{Deserialize, Serialize};
use std::{borrow::Cow, fmt};

/// The reason why a request was refused, for programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ErrorCode {
    /// The frame is not JSON.
    InvalidJson,
    /// The JSON is not a request: a field is missing, of the wrong type or out of bounds.
    InvalidRequest,
    /// There is no action of this name.
    UnknownAction,
    /// The topic is longer than the server accepts.
    InvalidTopic,
    /// The pattern is malformed, or longer than the server accepts.
    InvalidPattern,
    /// The session has no permission for this.
    Forbidden,
    /// The session must authenticate first.
    Unauthenticated,
    /// The token is not valid.
    TokenInvalid,
    /// The token was valid and has expired.
    TokenExpired,
    /// The session has as many of these as it may have.
    LimitExceeded,
    /// The session sends requests too often. The same request may succeed later.
    RateLimited,
    /// The message is larger than the topic accepts.
    MessageTooLarge,
    /// The topic keeps no history.
    NoHistory,
    /// The topic keeps no presence.
    NoPresence,
    /// The number of a publish is below the last numbers of its producer. Nothing was published now. The server no
    /// longer knows whether it was published before.
    SequenceTooOld,
    /// Something that the server depends on does not answer. The same request may succeed later.
    Unavailable,
    /// A fault of the server.
    Internal,
    /// A code that is newer than this version.
    #[serde(other)]
    Unknown,
}

impl ErrorCode {
    /// All of them, in their order.
    pub const ALL: [Self; 18] = [
        Self::InvalidJson,
        Self::InvalidRequest,
        Self::UnknownAction,
        Self::InvalidTopic,
        Self::InvalidPattern,
        Self::Forbidden,
        Self::Unauthenticated,
        Self::TokenInvalid,
        Self::TokenExpired,
        Self::LimitExceeded,
        Self::RateLimited,
        Self::MessageTooLarge,
        Self::NoHistory,
        Self::NoPresence,
        Self::SequenceTooOld,
        Self::Unavailable,
        Self::Internal,
        Self::Unknown,
    ];

    /// Its name on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Self::InvalidJson => "invalid_json",
            Self::InvalidRequest => "invalid_request",
            Self::UnknownAction => "unknown_action",
            Self::InvalidTopic => "invalid_topic",
            Self::InvalidPattern => "invalid_pattern",
            Self::Forbidden => "forbidden",
            Self::Unauthenticated => "unauthenticated",
            Self::TokenInvalid => "token_invalid",
            Self::TokenExpired => "token_expired",
            Self::LimitExceeded => "limit_exceeded",
            Self::RateLimited => "rate_limited",
            Self::MessageTooLarge => "message_too_large",
            Self::NoHistory => "no_history",
            Self::NoPresence => "no_presence",
            Self::SequenceTooOld => "sequence_too_old",
            Self::Unavailable => "unavailable",
            Self::Internal => "internal",
            Self::Unknown => "unknown",
        }
    }

    /// Whether the same request may succeed later.
    pub fn is_temporary(self) -> bool {
        matches!(self, Self::RateLimited | Self::Unavailable | Self::Internal)
    }
}

impl From<ErrorCode> for usize {
    /// Its place in [`ErrorCode::ALL`].
    fn from(code: ErrorCode) -> Self {
        code as Self
    }
}

/// The refusal of a request: a code for programs and a sentence for people.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct ErrorReply {
    /// The kind of refusal.
    pub code: ErrorCode,
    /// What is wrong, in lower case and without a full stop.
    pub reason: Cow<'static, str>,
}

impl ErrorReply {
    /// Makes a refusal from its code and its reason.
    pub fn new(code: ErrorCode, reason: impl Into<Cow<'static, str>>) -> Self {
        Self { code, reason: reason.into() }
    }
}

/// The number with which a WebSocket is closed (RFC 6455 section 7.4). hubcast's own numbers begin at 4000.
///
/// hubcast's own codes tell the client what to do next: after 4000 to 4499 it should reconnect, after 4500 to 4999 not.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CloseCode(pub u16);

impl CloseCode {
    /// The connection has served its purpose.
    pub const NORMAL: Self = Self(1000);
    /// The peer goes away: a page is closed, or a program ends.
    pub const GOING_AWAY: Self = Self(1001);
    /// A frame violated the protocol.
    pub const PROTOCOL_ERROR: Self = Self(1002);
    /// A kind of data that is not accepted, such as a binary frame in the typed dialect.
    pub const UNSUPPORTED: Self = Self(1003);
    /// A text that is not UTF-8.
    pub const NOT_UTF8: Self = Self(1007);
    /// A violation of a rule that has no code of its own.
    pub const POLICY: Self = Self(1008);
    /// A message or frame that is over its limit.
    pub const TOO_BIG: Self = Self(1009);
    /// A fault of the server.
    pub const INTERNAL: Self = Self(1011);
    /// The server restarts. The client should reconnect.
    pub const RESTARTING: Self = Self(1012);
    /// The server is overloaded. The client should reconnect later.
    pub const TRY_AGAIN_LATER: Self = Self(1013);
    /// A ping was not answered.
    pub const PING_TIMEOUT: Self = Self(4000);
    /// The token has expired. The client should reconnect with a new one.
    pub const TOKEN_EXPIRED: Self = Self(4001);
    /// The client read too slowly, and its outbox was full.
    pub const SLOW_CONSUMER: Self = Self(4002);
    /// The client continued to exceed the rate limit.
    pub const RATE_LIMIT: Self = Self(4003);
    /// The operator moved the client to another server.
    pub const MOVED: Self = Self(4004);
    /// The token is not valid.
    pub const TOKEN_INVALID: Self = Self(4500);
    /// The server accepts no client without a token.
    pub const TOKEN_REQUIRED: Self = Self(4501);
    /// The operator disconnected the client for good.
    pub const DISCONNECTED: Self = Self(4502);

    /// Whether a client should reconnect: `false` if the next connection would end in the same way.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_of_error_codes_has_their_order_and_their_names_are_those_of_the_wire() {
        for (place, code) in ErrorCode::ALL.into_iter().enumerate() {
            assert_eq!((usize::from(code), serde_json::to_value(code).unwrap()), (place, code.name().into()));
        }
    }
}
