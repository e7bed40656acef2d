//! A JSON Web Key Set (RFC 7517): the public keys of a login service.

use super::keys::{InvalidKey, TokenAlgorithm, TokenKey};
use super::strict_json::Members;
use data_encoding::BASE64URL_NOPAD;
use serde_json::value::RawValue;
use std::collections::HashMap;

/// The usable keys of a set, and what was left out.
#[derive(Clone, Debug)]
pub struct Jwks {
    /// At least one key. Those that have an id have different ones.
    pub keys: Vec<TokenKey>,
    /// Why other keys are not used, for the log.
    pub skipped: Vec<SkippedKey>,
}

/// A key of a set that is not used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SkippedKey {
    /// Its place in the set, from 1.
    pub number: usize,
    /// Why it is not used.
    pub reason: SkipReason,
}

/// Why a key of a set is not used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SkipReason {
    /// It is no object, has a name twice, or a field of the wrong type.
    #[error("it is no JSON Web Key")]
    Malformed,
    /// It is a secret, which has no place in a public set.
    #[error("it is a secret, not a public key")]
    Secret,
    /// It is a private key.
    #[error("it is a private key, and nobody else should have it")]
    Private,
    /// It is not for signatures.
    #[error("it is not for signatures")]
    OtherUse,
    /// Its kind, curve or algorithm is not one that we take.
    #[error("its kind is none of RS256, ES256, ES384 and EdDSA with Ed25519")]
    OtherKind,
    /// Its numbers are not those of a key.
    #[error("{0}")]
    Invalid(InvalidKey),
    /// Another key of the set has its id.
    #[error("another key of the set has the same kid")]
    SameId,
}

/// Why a text is no [`Jwks`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidJwks {
    /// It is larger than any set.
    #[error("it is larger than 256 KiB")]
    TooLarge,
    /// It is not an object with a list of keys.
    #[error("it is no JSON Web Key Set, which is {{\"keys\": [...]}}")]
    Malformed,
    /// No key of it can be used.
    #[error("it has no key for tokens: RS256, ES256, ES384, or EdDSA with Ed25519")]
    Empty,
}

impl Jwks {
    /// The largest text of a set, in bytes.
    pub const MAX_BYTES: usize = 256 * 1024;

    /// Reads a set.
    ///
    /// # Errors
    /// When it is none, or has no usable key.
    pub fn read(text: &str) -> Result<Self, InvalidJwks> {
        if text.len() > Self::MAX_BYTES {
            return Err(InvalidJwks::TooLarge);
        }
        let members = Members::read(text).ok_or(InvalidJwks::Malformed)?;
        let listed: Option<Vec<&RawValue>> = members.get("keys").map_err(|_| InvalidJwks::Malformed)?;
        let (mut found, mut skipped) = (Vec::new(), Vec::new());
        for (index, value) in listed.ok_or(InvalidJwks::Malformed)?.iter().enumerate() {
            match read_key(value.get()) {
                Ok(key) => found.push((index + 1, key)),
                Err(reason) => skipped.push(SkippedKey { number: index + 1, reason }),
            }
        }
        let mut count = HashMap::new();
        for id in found.iter().filter_map(|(_, key)| key.id.clone()) {
            *count.entry(id).or_insert(0) += 1;
        }
        // Which of them is meant cannot be known.
        let is_alone = |key: &TokenKey| key.id.as_ref().is_none_or(|id| count[id] == 1);
        let (alone, doubled): (Vec<_>, Vec<_>) = found.into_iter().partition(|(_, key)| is_alone(key));
        skipped.extend(doubled.iter().map(|(number, _)| SkippedKey { number: *number, reason: SkipReason::SameId }));
        skipped.sort_by_key(|skipped| skipped.number);
        let keys: Vec<_> = alone.into_iter().map(|(_, key)| key).collect();
        if keys.is_empty() { Err(InvalidJwks::Empty) } else { Ok(Self { keys, skipped }) }
    }
}

fn read_key(text: &str) -> Result<TokenKey, SkipReason> {
    let members = Members::read(text).ok_or(SkipReason::Malformed)?;
    let text = |name| members.get::<String>(name).map_err(|_| SkipReason::Malformed);
    let kind = text("kty")?.ok_or(SkipReason::Malformed)?;
    if kind == "oct" {
        return Err(SkipReason::Secret);
    }
    if members.raw("d").is_some() {
        return Err(SkipReason::Private);
    }
    let operations: Option<Vec<String>> = members.get("key_ops").map_err(|_| SkipReason::Malformed)?;
    let verifies = operations.is_none_or(|operations| operations.iter().any(|operation| operation == "verify"));
    if text("use")?.is_some_and(|purpose| purpose != "sig") || !verifies {
        return Err(SkipReason::OtherUse);
    }
    let curve = text("crv")?;
    let algorithm = match (kind.as_str(), curve.as_deref()) {
        ("RSA", _) => TokenAlgorithm::Rs256,
        ("EC", Some("P-256")) => TokenAlgorithm::Es256,
        ("EC", Some("P-384")) => TokenAlgorithm::Es384,
        ("OKP", Some("Ed25519")) => TokenAlgorithm::EdDsa,
        _ => return Err(SkipReason::OtherKind),
    };
    if text("alg")?.is_some_and(|name| name.parse() != Ok(algorithm)) {
        return Err(SkipReason::OtherKind);
    }
    let number = |name| {
        let text = text(name)?.ok_or(SkipReason::Malformed)?;
        BASE64URL_NOPAD.decode(text.as_bytes()).map_err(|_| SkipReason::Malformed)
    };
    let key = match algorithm {
        TokenAlgorithm::Rs256 => TokenKey::rsa(without_zeros(&number("n")?), without_zeros(&number("e")?)),
        TokenAlgorithm::EdDsa => TokenKey::point(algorithm, &number("x")?),
        _ => TokenKey::point(algorithm, &[&[UNCOMPRESSED][..], &number("x")?, &number("y")?].concat()),
    };
    let mut key = key.map_err(SkipReason::Invalid)?;
    key.id = text("kid")?.map(String::into_boxed_str);
    Ok(key)
}

/// Some issuers write a number with zeros before it, which the check of a signature would refuse.
fn without_zeros(number: &[u8]) -> &[u8] {
    &number[number.iter().position(|byte| *byte != 0).unwrap_or(number.len())..]
}

/// The first byte of a point that has both coordinates (SEC 1, section 2.3.3).
const UNCOMPRESSED: u8 = 4;

#[cfg(test)]
mod tests {
    use super::*;

    fn skipped(key: &str) -> SkipReason {
        read_key(key).unwrap_err()
    }

    const POINT: &str = r#""crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0""#;
    const ED: &str = r#""kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo""#;

    #[test]
    fn public_keys_for_signatures_are_used_and_all_others_are_skipped_with_a_reason() {
        let set = format!(
            r#"{{"keys":[{{"kty":"EC","kid":"a",{POINT}}},{{"kty":"oct","k":"c2VjcmV0"}},{{{ED},"use":"sig"}},7]}}"#
        );
        let set = Jwks::read(&set).unwrap();
        let algorithms: Vec<_> = set.keys.iter().map(TokenKey::algorithm).collect();
        assert_eq!(algorithms, [TokenAlgorithm::Es256, TokenAlgorithm::EdDsa]);
        assert_eq!(set.keys[0].id.as_deref(), Some("a"));
        let reasons: Vec<_> = set.skipped.iter().map(|skipped| (skipped.number, skipped.reason)).collect();
        assert_eq!(reasons, [(2, SkipReason::Secret), (4, SkipReason::Malformed)]);
    }

    #[test]
    fn a_key_for_something_else_is_skipped() {
        assert_eq!(skipped(&format!(r#"{{{ED},"use":"enc"}}"#)), SkipReason::OtherUse);
        assert_eq!(skipped(&format!(r#"{{{ED},"key_ops":["sign"]}}"#)), SkipReason::OtherUse);
        assert!(read_key(&format!(r#"{{{ED},"key_ops":["verify"],"alg":"Ed25519"}}"#)).is_ok());
        assert_eq!(skipped(&format!(r#"{{{ED},"alg":"ES256"}}"#)), SkipReason::OtherKind);
        assert_eq!(skipped(r#"{"kty":"RSA","alg":"RSA-OAEP","n":"AQ","e":"AQAB"}"#), SkipReason::OtherKind);
        assert_eq!(skipped(r#"{"kty":"AKP","alg":"ML-DSA-44"}"#), SkipReason::OtherKind);
        assert_eq!(skipped(&format!(r#"{{{ED},"d":"AQ"}}"#)), SkipReason::Private);
        assert_eq!(skipped(&format!(r#"{{{ED},"kid":7}}"#)), SkipReason::Malformed);
        assert_eq!(skipped(&format!(r#"{{{ED},"kty":"OKP"}}"#)), SkipReason::Malformed);
    }

    #[test]
    fn a_weak_or_impossible_key_is_skipped() {
        let small = format!(r#"{{"kty":"RSA","n":"{}","e":"AQAB"}}"#, BASE64URL_NOPAD.encode(&[0xff; 128]));
        assert_eq!(skipped(&small), SkipReason::Invalid(InvalidKey::SmallRsa));
        let elsewhere = r#"{"kty":"EC","crv":"P-256","x":"AQ","y":"AQ"}"#;
        assert_eq!(skipped(elsewhere), SkipReason::Invalid(InvalidKey::NotFor(TokenAlgorithm::Es256)));
        let off_the_curve = format!(r#"{{"kty":"EC","crv":"P-256","x":"{0}","y":"{0}"}}"#, "A".repeat(43));
        assert_eq!(skipped(&off_the_curve), SkipReason::Invalid(InvalidKey::NotFor(TokenAlgorithm::Es256)));
    }

    #[test]
    fn keys_with_one_kid_are_all_skipped_because_either_could_be_meant() {
        let set = format!(r#"{{"keys":[{{{ED},"kid":"a"}},{{{ED},"kid":"b"}},{{"kty":"EC","kid":"a",{POINT}}}]}}"#);
        let set = Jwks::read(&set).unwrap();
        assert_eq!(set.keys.len(), 1);
        assert_eq!(set.skipped.iter().map(|skipped| skipped.number).collect::<Vec<_>>(), [1, 3]);
    }

    #[test]
    fn a_set_without_a_usable_key_is_refused() {
        assert_eq!(Jwks::read(r#"{"keys":[]}"#).unwrap_err(), InvalidJwks::Empty);
        assert_eq!(Jwks::read(r#"{"keys":[{"kty":"oct","k":"AQ"}]}"#).unwrap_err(), InvalidJwks::Empty);
        for text in ["", "[]", "{}", r#"{"keys":7}"#, r#"{"keys":[],"keys":[]}"#] {
            assert_eq!(Jwks::read(text).unwrap_err(), InvalidJwks::Malformed, "{text}");
        }
        assert_eq!(Jwks::read(&" ".repeat(Jwks::MAX_BYTES + 1)).unwrap_err(), InvalidJwks::TooLarge);
    }
}
