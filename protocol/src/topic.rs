//! Names that publications go to.

use crate::ClientId;
use serde::{Deserialize, Serialize};
use std::{borrow::Borrow, fmt, sync::Arc};

/// The name a publication goes to: any text, compared byte for byte; cloning shares the text.
///
/// The length is not bounded here, but by the server's configuration. Nothing in a topic is a wildcard. Topics
/// that read as a UUID or begin with `@` are private: see [`Topic::owner`].
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(from = "String")]
pub struct Topic(Arc<str>);

impl Topic {
    /// Makes a topic of any text, the empty one included.
    pub fn new(name: impl Into<Arc<str>>) -> Self {
        Self(name.into())
    }

    /// The text as it stands on the wire.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Who alone may listen to this topic; `None` when it is open to everyone.
    ///
    /// Private is what reads as a UUID in its usual form (36 characters with hyphens, in either case) and
    /// everything that begins with `@`.
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

/// Who a private topic belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner<'a> {
    /// The one connection with this id.
    Client(ClientId),
    /// Every connection of this user.
    User(&'a str),
    /// Reads as a UUID, but is written as no id is (ids are lower case), so nobody has it.
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
