//! Members without a user: the secret that a client keeps, and the id that others see.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use sha2::{Digest, Sha256};
use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;

/// The secret by which a client without a user is recognised when it comes back: 22 to 64 bytes of text that others
/// cannot guess, 128 random bits or more.
///
/// Who knows it can appear as this member, so it is not printed.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct MemberSecret(Box<str>);

/// The id that presence shows of a member without a user: 128 bits, written as 32 hexadecimal digits. It is derived from
/// the member's [secret](MemberSecret), which cannot be computed from it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AnonymousId(u128);

/// A text that cannot be a [`MemberSecret`]: it is too short to be hard to guess, or too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a member's secret has 22 to 64 bytes")]
pub struct InvalidSecret;

impl MemberSecret {
    /// The length of a secret, in bytes. 22 characters of base64 hold 128 bits.
    pub const BYTES: RangeInclusive<usize> = 22..=64;

    /// Makes a secret of 128 random bits.
    pub fn from_random(bits: u128) -> Self {
        Self(format!("{bits:032x}").into())
    }

    /// Makes a secret from a text, such as one that [`MemberSecret::expose`] gave earlier.
    ///
    /// # Errors
    /// When it has fewer than 22 or more than 64 bytes.
    pub fn new(text: impl Into<Box<str>>) -> Result<Self, InvalidSecret> {
        let text = text.into();
        if Self::BYTES.contains(&text.len()) { Ok(Self(text)) } else { Err(InvalidSecret) }
    }

    /// The text of the secret, to send it or to store it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl AnonymousId {
    /// The id of the member with this secret: the first 128 bits of SHA-256 (FIPS 180-4) over `hubcast member`, a zero
    /// byte, and the secret.
    pub fn of(secret: &MemberSecret) -> Self {
        let digest = Sha256::new().chain_update(DOMAIN).chain_update(secret.0.as_bytes()).finalize();
        let first = digest.iter().take(16);
        Self(first.fold(0, |bits, byte| bits << 8 | u128::from(*byte)))
    }
}

impl fmt::Debug for MemberSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MemberSecret(…)")
    }
}

impl fmt::Display for AnonymousId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Debug for AnonymousId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for AnonymousId {
    type Err = InvalidAnonymousId;

    fn from_str(text: &str) -> Result<Self, InvalidAnonymousId> {
        let is_of_digits = text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let bits = is_of_digits.then(|| u128::from_str_radix(text, 16).ok()).flatten();
        bits.map(Self).ok_or(InvalidAnonymousId)
    }
}

/// A text that is not an [`AnonymousId`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the id of a member without a user has 32 hexadecimal digits")]
pub struct InvalidAnonymousId;

impl Serialize for AnonymousId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for AnonymousId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

/// What is hashed before the secret, so that the id is of no use where the same secret is hashed for something else.
const DOMAIN: &[u8] = b"hubcast member\0";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_the_hash_that_the_protocol_names() {
        let id = AnonymousId::of(&MemberSecret::from_random(1));
        // printf 'hubcast member\0%032x' 1 | sha256sum
        assert_eq!(id.to_string(), "7ef779ea7b2b4484c01044faa87122dd");
        assert_eq!(id.to_string().parse(), Ok(id));
    }

    #[test]
    fn a_secret_is_not_printed_and_has_bounds() {
        let secret = MemberSecret::new("0123456789abcdef012345").unwrap();
        assert_eq!(format!("{secret:?}"), "MemberSecret(…)");
        assert!(MemberSecret::new("0123456789abcdef01234").is_err() && MemberSecret::new("x".repeat(65)).is_err());
    }
}
