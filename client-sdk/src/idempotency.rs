//! What makes a publication take effect once.

use hubcast_protocol::request::Key;
use std::fmt;

/// Tells the server whether a publication is a repetition: of two with the same key only the first takes effect.
///
/// A program makes one of a text of its own choice. A [`PublishError`](crate::PublishError) hands one back, be it the
/// program's or the client's, with which the same can be published again safely: as it is, with
/// [`Publish::key`](crate::Publish::key), by this client or another one. Its text is for people: a key that the client
/// made is not the same as its text.
///
/// # How long it holds
/// - A text belongs to its topic. The server remembers it for two minutes, unless its operator says otherwise for the
///   topic, and as long as whoever publishes keeps within an equal share of the room (24 MiB for all publishers together,
///   some 65,000 keys of the usual length).
/// - What the client makes is a number of its own, over all topics. The server remembers the last 256 numbers of each
///   client, for the same time. What is below them it refuses rather than to do it twice: then the error is
///   [`PublishError::Uncertain`](crate::PublishError::Uncertain).
///
/// A crash of the server forgets both; a restart in good order keeps them where the server has a state folder.
///
/// Clients without a user share one lot of keys: a text that another one can guess can be used before you.
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

/// For people and their logs.
impl fmt::Display for IdempotencyKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
