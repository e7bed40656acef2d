//! Ids: of clients, chosen by the server, and of requests, chosen by the client.

use serde::{Deserialize, Deserializer, Serialize, de};
use std::fmt;
use uuid::{Builder, Uuid, fmt::Hyphenated};

/// The id that a connection gets with its welcome: a version 4 UUID (RFC 9562). It is also the name of its private
/// topic.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ClientId(Uuid);

impl ClientId {
    /// Makes an id of 16 random bytes. Six bits are overwritten with the version and the variant.
    pub fn from_random(bytes: [u8; 16]) -> Self {
        Self(Builder::from_random_bytes(bytes).into_uuid())
    }

    /// Reads the 36 characters of a UUID with hyphens, in either case; `None` for any other text.
    pub(crate) fn read_hyphenated(text: &str) -> Option<Self> {
        if text.len() != Hyphenated::LENGTH {
            return None;
        }
        Uuid::try_parse(text).ok().map(Self)
    }

    /// Whether `text` is this id as the welcome writes it, in lower case.
    pub(crate) fn is_written_as(self, text: &str) -> bool {
        self.0.as_hyphenated().encode_lower(&mut Uuid::encode_buffer()) == text
    }
}

impl fmt::Display for ClientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.as_hyphenated().fmt(f)
    }
}

impl fmt::Debug for ClientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The text or number that a client chose for a request, so that it can find the reply.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(untagged)]
pub enum RequestId {
    /// A whole number from 0 to 2^53. Every JSON reader represents it exactly.
    Number(u64),
    /// A text of at most 64 bytes.
    Text(Box<str>),
}

impl RequestId {
    /// The largest number, 2^53.
    pub const MAX_NUMBER: u64 = 1 << 53;
    /// The longest text, in bytes.
    pub const MAX_TEXT: usize = 64;
}

impl TryFrom<u64> for RequestId {
    type Error = InvalidRequestId;

    fn try_from(number: u64) -> Result<Self, InvalidRequestId> {
        if number <= Self::MAX_NUMBER { Ok(Self::Number(number)) } else { Err(InvalidRequestId) }
    }
}

impl TryFrom<&str> for RequestId {
    type Error = InvalidRequestId;

    fn try_from(text: &str) -> Result<Self, InvalidRequestId> {
        if text.len() <= Self::MAX_TEXT { Ok(Self::Text(text.into())) } else { Err(InvalidRequestId) }
    }
}

impl<'de> Deserialize<'de> for RequestId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl de::Visitor<'_> for Visitor {
            type Value = RequestId;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number up to 2^53 or a string up to 64 bytes")
            }

            fn visit_u64<E: de::Error>(self, number: u64) -> Result<RequestId, E> {
                RequestId::try_from(number).map_err(E::custom)
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<RequestId, E> {
                RequestId::try_from(text).map_err(E::custom)
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

/// The number or text is out of bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an id is a whole number up to 2^53 or a string up to 64 bytes")]
pub struct InvalidRequestId;
