//! The key that makes a publication take effect once.

use hubcast_protocol::request::Key;
use std::fmt;

/// A key by which the server recognizes a repeated publication: of two publications with the same key only the first
/// takes effect.
///
/// A program can make a key from a text of its choice. A [`PublishError`](crate::PublishError) returns the key of its
/// publication, whether the program or the client made it. With [`Publish::key`](crate::Publish::key) this client or
/// another one can publish the same again safely. The text that [`Display`](fmt::Display) prints is for people: a key
/// that the client made is not equal to a key made from that text.
///
/// # How long a key is valid
/// - A text belongs to its topic. The server remembers it for two minutes, unless its operator sets another time for
///   the topic, and as long as the publisher's keys stay within an equal share of the memory for keys (24 MiB for all
///   publishers together, some 65,000 keys of the usual length).
/// - A key that the client makes is a number, counted over all topics. The server remembers the last 256 numbers of
///   each client, for the same time. It refuses smaller numbers, because it cannot tell whether they took effect; then
///   the error is [`PublishError::Uncertain`](crate::PublishError::Uncertain).
///
/// A server that crashes forgets both. An orderly restart keeps them if the server has a state folder.
///
/// Clients without a user share one set of keys: another client that guesses a text can use it first.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct IdempotencyKey(pub(crate) Key);

impl From<&str> for IdempotencyKey {
    fn from(text: &str) -> Self {
        Self(Key::Text(text.into()))
    }
}

impl From<String> for IdempotencyKey {
    fn from(text: String) -> Self {
        Self(Key::Text(text.into()))
    }
}

impl From<Box<str>> for IdempotencyKey {
    fn from(text: Box<str>) -> Self {
        Self(Key::Text(text))
    }
}

/// The key as text for logs.
impl fmt::Display for IdempotencyKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
