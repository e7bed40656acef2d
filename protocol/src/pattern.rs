//! Topics with wildcards.

use crate::Topic;
use serde::{Deserialize, Serialize};
use std::{fmt, sync::Arc};

/// A topic with wildcards: tokens separated by `.`. The token `*` stands for exactly one token of a topic, and `>`, as
/// the last token, for one or more.
///
/// A wildcard is a whole token, and no token of a pattern is empty; `*` does match an empty token of a topic. No
/// pattern matches a private topic.
///
/// ```
/// use hubcast_protocol::{Pattern, Topic};
///
/// let pattern: Pattern = "orders.*.created".parse().unwrap();
/// assert!(pattern.matches(&Topic::from("orders.eu.created")));
/// assert!(!pattern.matches(&Topic::from("orders.created")));
/// ```
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct Pattern(Arc<str>);

/// One token of a pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Token<'a> {
    /// This text only.
    Literal(&'a str),
    /// `*`: any one token.
    One,
    /// `>`: all remaining tokens, at least one.
    Rest,
}

impl Pattern {
    /// Most tokens of a pattern. The cost of finding the patterns that match a topic grows with it.
    pub const MAX_TOKENS: usize = 16;

    /// The text as it is on the wire.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The tokens, from left to right. `Rest` can only be the last one.
    pub fn tokens(&self) -> impl Iterator<Item = Token<'_>> {
        self.0.split('.').map(Token::read)
    }

    /// Whether a subscription to this pattern gets publications to `topic`.
    pub fn matches(&self, topic: &Topic) -> bool {
        if topic.owner().is_some() {
            return false;
        }
        let mut theirs = topic.as_str().split('.');
        for token in self.tokens() {
            let fits = match (token, theirs.next()) {
                (Token::Rest, Some(_)) => return true,
                (Token::One, Some(_)) => true,
                (Token::Literal(ours), Some(theirs)) => ours == theirs,
                (_, None) => false,
            };
            if !fits {
                return false;
            }
        }
        theirs.next().is_none()
    }

    /// Whether this pattern matches every topic that `other` matches.
    pub fn covers(&self, other: &Self) -> bool {
        let mut theirs = other.tokens();
        for ours in self.tokens() {
            match (ours, theirs.next()) {
                (Token::Rest, Some(_)) => return true,
                (Token::One, Some(Token::One | Token::Literal(_))) => {}
                (Token::Literal(ours), Some(Token::Literal(theirs))) if ours == theirs => {}
                _ => return false,
            }
        }
        theirs.next().is_none()
    }

    /// Whether there is a topic that both patterns match.
    pub fn overlaps(&self, other: &Self) -> bool {
        let (mut ours, mut theirs) = (self.tokens(), other.tokens());
        loop {
            match (ours.next(), theirs.next()) {
                (None, None) | (Some(Token::Rest), Some(_)) | (Some(_), Some(Token::Rest)) => return true,
                (Some(Token::Literal(one)), Some(Token::Literal(other))) if one != other => return false,
                (Some(_), Some(_)) => {}
                (None, Some(_)) | (Some(_), None) => return false,
            }
        }
    }
}

impl<'a> Token<'a> {
    fn read(text: &'a str) -> Self {
        match text {
            "*" => Self::One,
            ">" => Self::Rest,
            literal => Self::Literal(literal),
        }
    }
}

impl std::str::FromStr for Pattern {
    type Err = InvalidPattern;

    fn from_str(text: &str) -> Result<Self, InvalidPattern> {
        let mut rest_seen = false;
        if text.split('.').count() > Self::MAX_TOKENS {
            return Err(InvalidPattern::TooLong);
        }
        for token in text.split('.') {
            if rest_seen {
                return Err(InvalidPattern::RestNotLast);
            }
            match Token::read(token) {
                Token::Literal("") => return Err(InvalidPattern::EmptyToken),
                Token::Literal(literal) if literal.contains(['*', '>']) => return Err(InvalidPattern::NotAlone),
                Token::Literal(_) | Token::One => {}
                Token::Rest => rest_seen = true,
            }
        }
        Ok(Self(text.into()))
    }
}

impl TryFrom<String> for Pattern {
    type Error = InvalidPattern;

    fn try_from(text: String) -> Result<Self, InvalidPattern> {
        text.parse()
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

/// Why a text is not a pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidPattern {
    /// Two dots in a row, a dot at the beginning or the end, or an empty text.
    #[error("a pattern has no empty token")]
    EmptyToken,
    /// A wildcard with other characters in the same token, as in `a*`.
    #[error("\"*\" and \">\" stand alone between dots")]
    NotAlone,
    /// More than [`Pattern::MAX_TOKENS`] tokens.
    #[error("a pattern has at most 16 tokens")]
    TooLong,
    /// A `>` that is not the last token.
    #[error("\">\" can only be the last token")]
    RestNotLast,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards_match_as_the_contract_says() {
        for (pattern, topic, expected) in [
            ("a.b", "a.b", true),
            ("a.b", "a.b.c", false),
            ("a.*", "a.b", true),
            ("a.*", "a.", true),
            ("a.*", "a", false),
            ("*", "", true),
            ("*", "a.b", false),
            (">", "", true),
            (">", "a.b.c", true),
            ("a.>", "a", false),
            ("a.>", "a.b.c", true),
            ("*.*.>", "a.b", false),
            (">", "@ada", false),
            ("*", "07070707-0707-4707-8707-070707070707", false),
        ] {
            let matches = pattern.parse::<Pattern>().unwrap().matches(&Topic::from(topic));
            assert_eq!(matches, expected, "{pattern} on {topic}");
        }
    }

    #[test]
    fn a_pattern_covers_what_matches_no_other_topic() {
        for (one, other, covers, overlaps) in [
            (">", "a.>", true, true),
            ("a.>", ">", false, true),
            ("a.*", "a.b", true, true),
            ("a.*", "a.>", false, true),
            ("a.>", "a", false, false),
            ("*.b", "a.*", false, true),
            ("a.b", "a.c", false, false),
            ("*.*", "a.b.c", false, false),
            ("a.>", "a.*.c", true, true),
        ] {
            let (one, other): (Pattern, Pattern) = (one.parse().unwrap(), other.parse().unwrap());
            assert_eq!((one.covers(&other), one.overlaps(&other)), (covers, overlaps), "{one} and {other}");
            assert_eq!(other.overlaps(&one), overlaps, "{other} and {one}");
        }
    }

    #[test]
    fn a_text_that_is_no_pattern_says_why() {
        for (text, why) in [
            ("", InvalidPattern::EmptyToken),
            ("a..b", InvalidPattern::EmptyToken),
            ("a.", InvalidPattern::EmptyToken),
            ("a*", InvalidPattern::NotAlone),
            ("a.>b", InvalidPattern::NotAlone),
            (">.a", InvalidPattern::RestNotLast),
            ("1.2.3.4.5.6.7.8.9.10.11.12.13.14.15.16.17", InvalidPattern::TooLong),
            ("a.>.>", InvalidPattern::RestNotLast),
        ] {
            assert_eq!(text.parse::<Pattern>(), Err(why), "{text}");
        }
    }
}
