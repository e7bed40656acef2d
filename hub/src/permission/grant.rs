//! Grants: the topics that a token or an API key names.

use super::Permission;
use hubcast_protocol::{InvalidPattern, Owner, Pattern, Token, Topic};
use std::fmt;

/// The topics of one grant: a pattern in which a token may be `{user}`, or private topics.
///
/// | grant | covers |
/// |---|---|
/// | `news`, `room.*`, `orders.>` | public topics, as a pattern matches them; and patterns that match no other topics |
/// | `room.{user}.>` | the same, where `{user}` is one token that equals the user's name. A name with a dot equals no token |
/// | `@{user}`, `@ada`, a connection's id | this private topic |
/// | `@*` | all private topics: those of users and those of connections |
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Grant<'a>(&'a str);

/// Everything that a session was granted. It has no exceptions: what one entry covers is granted.
///
/// It is one text with a line for each entry, because every user has one: the first byte is the permission.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Grants(Box<str>);

/// Why a text is no grant.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidGrant {
    /// It is neither a pattern nor a private topic.
    #[error("{0}")]
    Pattern(#[from] InvalidPattern),
    /// `{user}` with other characters in the same token.
    #[error("\"{{user}}\" stands alone between dots, or after \"@\" alone")]
    UserNotAlone,
    /// A wildcard in a private topic.
    #[error("private topics are granted one by one, or all of them as \"@*\"")]
    PrivateWildcard,
    /// A control character, such as a line end.
    #[error("it has no control characters")]
    Control,
    /// More bytes than any topic has.
    #[error("it has at most {} bytes", Grant::MAX_BYTES)]
    TooLong,
}

impl<'a> Grant<'a> {
    /// The longest grant, in bytes.
    pub const MAX_BYTES: usize = 1024;

    /// Reads a grant.
    ///
    /// # Errors
    /// When it is none.
    pub fn parse(text: &'a str) -> Result<Self, InvalidGrant> {
        if text.len() > Self::MAX_BYTES {
            return Err(InvalidGrant::TooLong);
        }
        if text.contains(char::is_control) {
            return Err(InvalidGrant::Control);
        }
        if let Some(private) = text.strip_prefix('@') {
            return match private {
                "*" | USER => Ok(Self(text)),
                "" => Err(InvalidGrant::Pattern(InvalidPattern::EmptyToken)),
                name if name.contains(USER) => Err(InvalidGrant::UserNotAlone),
                name if name.contains(['*', '>']) => Err(InvalidGrant::PrivateWildcard),
                _ => Ok(Self(text)),
            };
        }
        if text.split('.').any(|token| token != USER && token.contains(USER)) {
            return Err(InvalidGrant::UserNotAlone);
        }
        text.parse::<Pattern>()?;
        Ok(Self(text))
    }

    /// The text as it was written.
    pub fn as_str(&self) -> &'a str {
        self.0
    }

    /// Whether it covers this topic for this user.
    pub fn covers(&self, topic: &Topic, user: Option<&str>) -> bool {
        match topic.owner() {
            None if self.0 == ">" => true,
            None => self.covers_tokens(topic.as_str().split('.').map(Token::Literal), user),
            Some(_) if self.0 == ALL_PRIVATE => true,
            Some(Owner::User(name)) if self.0 == OWN_USER => user == Some(name),
            Some(_) => self.0 == topic.as_str(),
        }
    }

    /// Whether it covers every topic that this pattern matches, for this user.
    pub fn covers_pattern(&self, pattern: &Pattern, user: Option<&str>) -> bool {
        self.covers_tokens(pattern.tokens(), user)
    }

    fn covers_tokens<'t>(&self, mut theirs: impl Iterator<Item = Token<'t>>, user: Option<&str>) -> bool {
        if self.0.starts_with('@') {
            return false;
        }
        for ours in self.0.split('.') {
            let covers = match (ours, theirs.next()) {
                (_, None) => return false,
                (">", Some(_)) => return true,
                ("*", Some(token)) => token != Token::Rest,
                (USER, Some(Token::Literal(text))) => user.is_some_and(|user| !user.is_empty() && user == text),
                (ours, Some(Token::Literal(text))) => ours == text,
                (_, Some(Token::One | Token::Rest)) => false,
            };
            if !covers {
                return false;
            }
        }
        theirs.next().is_none()
    }
}

impl Grants {
    /// Most entries of all permissions together.
    pub const MAX: usize = 100;

    /// The grants of each permission.
    pub fn new<'a>(entries: impl IntoIterator<Item = (Permission, Grant<'a>)>) -> Self {
        let lines = entries.into_iter().map(|(permission, grant)| format!("{}{grant}\n", letter(permission)));
        Self(lines.collect::<String>().into())
    }

    /// The grants of one permission.
    pub fn of(&self, permission: Permission) -> impl Iterator<Item = Grant<'_>> {
        self.0.lines().filter_map(move |line| line.strip_prefix(letter(permission)).map(Grant))
    }

    /// Whether nothing is granted.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

fn letter(permission: Permission) -> char {
    match permission {
        Permission::Subscribe => 's',
        Permission::Publish => 'p',
        Permission::Presence => 'm',
        Permission::History => 'h',
    }
}

impl fmt::Debug for Grants {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all = [Permission::Subscribe, Permission::Publish, Permission::Presence, Permission::History];
        f.debug_map().entries(all.map(|permission| (permission, self.of(permission).collect::<Vec<_>>()))).finish()
    }
}

impl fmt::Display for Grant<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for Grant<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

const USER: &str = "{user}";
const OWN_USER: &str = "@{user}";
const ALL_PRIVATE: &str = "@*";
