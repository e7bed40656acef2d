//! Topics: the names that publications go to.

use crate::ClientId;
use serde::{Deserialize, Serialize};
use std::{borrow::Borrow, fmt, sync::Arc};

/// The name that a publication goes to: any text, compared byte for byte. A clone shares the text.
///
/// The server's configuration bounds the length; this type does not. Nothing in a topic is a wildcard. Topics that have
/// the form of a UUID or begin with `@` are private: see [`Topic::owner`].
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(from = "String")]
pub struct Topic(Arc<str>);

impl Topic {
    /// Makes a topic from any text, including the empty one.
    pub fn new(name: impl Into<Arc<str>>) -> Self {
        Self(name.into())
    }

    /// The text as it is on the wire.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The only connections that may subscribe to this topic; `None` if all may.
    ///
    /// A topic is private if it has the usual form of a UUID (36 characters with hyphens, in upper or lower case) or
    /// begins with `@`.
    pub fn owner(&self) -> Option<Owner<'_>> {
        if let Some(user) = self.0.strip_prefix('@') {
            return Some(Owner::User(user));
        }
        ClientId::read_hyphenated(&self.0).map(|id| match id.is_written_as(&self.0) {
            true => Owner::Client(id),
            false => Owner::Nobody,
        })
    }
}

/// The owner of a private topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner<'a> {
    /// The one connection with this id.
    Client(ClientId),
    /// Every connection of this user.
    User(&'a str),
    /// None: the text has the form of a UUID, but no connection has this id, because ids are written in lower case.
    Nobody,
}

impl Borrow<str> for Topic {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl From<String> for Topic {
    fn from(name: String) -> Self {
        Self::new(name)
    }
}

impl From<&str> for Topic {
    fn from(name: &str) -> Self {
        Self::new(name)
    }
}

impl fmt::Display for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_reads_as_a_uuid_is_private_in_either_case() {
        let id = ClientId::from_random([0xab; 16]);
        let lower = Topic::new(id.to_string());
        assert_eq!(lower.owner(), Some(Owner::Client(id)));
        assert_eq!(Topic::new(lower.as_str().to_uppercase()).owner(), Some(Owner::Nobody));
    }

    #[test]
    fn what_begins_with_an_at_sign_is_private_with_its_dots() {
        assert_eq!(Topic::from("@ada.inbox").owner(), Some(Owner::User("ada.inbox")));
    }

    #[test]
    fn hashes_and_plain_names_are_open() {
        for open in ["", "world", "a@b", "d41d8cd98f00b204e9800998ecf8427e", "*", "{07070707}"] {
            assert_eq!(Topic::from(open).owner(), None, "{open}");
        }
    }
}
