//! The token that says who a client is and what it may do.

use std::fmt;

/// A token as a client shows it: text of 1 to 7,600 bytes. What it says is known only after it was verified.
///
/// Who has it can act as its user, so it is not printed.
#[derive(Clone, PartialEq, Eq)]
pub struct AccessToken(Box<str>);

/// A text that cannot be an [`AccessToken`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a token has 1 to 7600 bytes")]
pub struct InvalidToken;

impl AccessToken {
    /// The longest token, in bytes. With it, the line of its header passes the usual 8 KiB of a proxy.
    pub const MAX_BYTES: usize = 7600;

    /// Takes a text as a token.
    ///
    /// # Errors
    /// When it is empty or has more than 7,600 bytes.
    pub fn new(text: impl Into<Box<str>>) -> Result<Self, InvalidToken> {
        let text = text.into();
        if (1..=Self::MAX_BYTES).contains(&text.len()) { Ok(Self(text)) } else { Err(InvalidToken) }
    }

    /// The text of the token, to send or to verify it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

/// Does not show the token.
impl fmt::Debug for AccessToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AccessToken(***)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_bounded_and_not_printed() {
        assert_eq!(AccessToken::new(""), Err(InvalidToken));
        assert_eq!(AccessToken::new("x".repeat(7601)), Err(InvalidToken));
        let token = AccessToken::new("x".repeat(7600)).unwrap();
        assert_eq!(token.expose().len(), 7600);
        assert!(!format!("{token:?}").contains('x'));
    }
}
