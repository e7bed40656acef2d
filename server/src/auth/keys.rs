//! The keys that tokens are signed with. The algorithm of a token is that of its key, whatever the token says.

use super::fault::TokenFault;
use aws_lc_rs::signature::{self, ParsedPublicKey};
use jsonwebtoken::crypto::aws_lc;
use jsonwebtoken::{Algorithm, DecodingKey, crypto};
use std::collections::HashSet;
use std::fmt;
use std::str::FromStr;

/// The keys of a server. No two have the same id.
#[derive(Clone, Debug)]
pub struct KeySet(Vec<TokenKey>);

/// A key that verifies tokens.
#[derive(Clone)]
pub struct TokenKey {
    /// The `kid` of the tokens that it verifies; `None` if they have none.
    pub id: Option<Box<str>>,
    /// When it is no longer accepted, in seconds since 1970-01-01 UTC; `None`: never.
    pub not_after: Option<u64>,
    algorithm: TokenAlgorithm,
    key: DecodingKey,
}

/// The algorithms with which tokens are signed (RFC 7518 section 3.1, RFC 8037).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TokenAlgorithm {
    /// HMAC with SHA-256: a secret that signs and verifies.
    Hs256,
    /// RSA (PKCS #1 v1.5) with SHA-256.
    Rs256,
    /// ECDSA on the curve P-256 with SHA-256.
    Es256,
    /// ECDSA on the curve P-384 with SHA-384.
    Es384,
    /// Ed25519.
    EdDsa,
}

/// Why a key is not accepted. It does not show the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidKey {
    /// A secret with less than 32 bytes.
    #[error("a secret has at least 32 bytes; `openssl rand -hex 32` makes one")]
    ShortSecret,
    /// A key in PEM where a secret should be.
    #[error("a PEM file is no secret; name its algorithm, such as RS256, and the file of the public key")]
    PemAsSecret,
    /// A secret that everybody can read in a documentation.
    #[error("this secret is an example that everybody knows; `openssl rand -hex 32` makes one of your own")]
    ExampleSecret,
    /// No key in PEM.
    #[error("there is no public key in PEM, which begins with \"-----BEGIN PUBLIC KEY-----\"")]
    NotPem,
    /// More than one key.
    #[error("there is more than one key; write each into a file of its own")]
    SeveralKeys,
    /// A private key.
    #[error("this is a private key, and the server needs the public one alone: openssl pkey -in FILE -pubout")]
    PrivateKey,
    /// A certificate.
    #[error("this is a certificate; take the public key out of it: openssl x509 -in FILE -pubkey -noout")]
    Certificate,
    /// A key of another algorithm, or one that is damaged.
    #[error("this is no key for {0}")]
    NotFor(TokenAlgorithm),
    /// An RSA key with less than 2,048 bits.
    #[error("an RSA key has at least 2048 bits")]
    SmallRsa,
}

/// Why some keys are no [`KeySet`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidKeySet {
    /// There is no key.
    #[error("there is no key")]
    Empty,
    /// Two keys with one id.
    #[error("two keys have the id {0:?}")]
    SameId(Box<str>),
}

impl KeySet {
    /// Takes the keys of all sources together.
    ///
    /// # Errors
    /// When there is none, or two have the same id.
    pub fn new(keys: Vec<TokenKey>) -> Result<Self, InvalidKeySet> {
        let mut ids = HashSet::new();
        let again = keys.iter().filter_map(|key| key.id.as_ref()).find(|id| !ids.insert(*id));
        match again {
            _ if keys.is_empty() => Err(InvalidKeySet::Empty),
            Some(id) => Err(InvalidKeySet::SameId(id.clone())),
            None => Ok(Self(keys)),
        }
    }

    /// No key yet, because all of them are still to be fetched. Until then every token is refused.
    pub fn none_yet() -> Self {
        Self(Vec::new())
    }

    /// These keys and others, and the ids of those that are left out because an earlier key has the same one.
    pub(crate) fn with(&self, others: impl IntoIterator<Item = TokenKey>) -> (Self, Vec<Box<str>>) {
        let (mut keys, mut left_out) = (self.0.clone(), Vec::new());
        let mut ids: HashSet<_> = keys.iter().filter_map(|key| key.id.clone()).collect();
        for key in others {
            match &key.id {
                Some(id) if !ids.insert(id.clone()) => left_out.push(id.clone()),
                _ => keys.push(key),
            }
        }
        (Self(keys), left_out)
    }

    /// All keys.
    pub fn keys(&self) -> &[TokenKey] {
        &self.0
    }

    /// The one key for a token with this header: the key with its id, or, for a token without an id, the only key that
    /// fits its algorithm.
    pub(super) fn find(&self, id: Option<&str>, algorithm: &str, unix_now: u64) -> Result<&TokenKey, TokenFault> {
        let algorithm: TokenAlgorithm = algorithm.parse().map_err(|_| TokenFault::Algorithm)?;
        let Some(id) = id else { return self.only(algorithm, unix_now) };
        let key = self.0.iter().find(|key| key.id.as_deref() == Some(id)).ok_or(TokenFault::UnknownKey)?;
        match key {
            _ if key.algorithm != algorithm => Err(TokenFault::Algorithm),
            _ if key.is_over(unix_now) => Err(TokenFault::KeyOver),
            _ => Ok(key),
        }
    }

    fn only(&self, algorithm: TokenAlgorithm, unix_now: u64) -> Result<&TokenKey, TokenFault> {
        let mut fitting = self.0.iter().filter(|key| key.algorithm == algorithm).peekable();
        if fitting.peek().is_none() {
            return Err(TokenFault::Algorithm);
        }
        let mut live = fitting.filter(|key| !key.is_over(unix_now));
        match (live.next(), live.next()) {
            (Some(key), None) => Ok(key),
            (Some(_), Some(_)) => Err(TokenFault::AmbiguousKey),
            (None, _) => Err(TokenFault::KeyOver),
        }
    }
}

impl TokenKey {
    /// A secret for HS256.
    ///
    /// # Errors
    /// When it is short, an example, or a key in PEM, which may be public.
    pub fn secret(secret: &[u8]) -> Result<Self, InvalidKey> {
        let trimmed = secret.trim_ascii();
        if trimmed.starts_with(PEM_BEGIN.as_bytes()) {
            return Err(InvalidKey::PemAsSecret);
        }
        if EXAMPLE_SECRETS.iter().any(|example| trimmed == example.as_bytes()) {
            return Err(InvalidKey::ExampleSecret);
        }
        if secret.len() < MIN_SECRET_BYTES {
            return Err(InvalidKey::ShortSecret);
        }
        Ok(Self::new(TokenAlgorithm::Hs256, DecodingKey::from_secret(secret)))
    }

    /// A public key in PEM, as a `PUBLIC KEY` (RFC 5280) or an `RSA PUBLIC KEY` (RFC 8017).
    ///
    /// # Errors
    /// When the text is no public key, or not one for this algorithm, or too weak.
    pub fn pem(algorithm: TokenAlgorithm, text: &str) -> Result<Self, InvalidKey> {
        match labels(text)[..] {
            ["PUBLIC KEY" | "RSA PUBLIC KEY"] => {}
            [label] if label.ends_with("PRIVATE KEY") => return Err(InvalidKey::PrivateKey),
            [label] if label.ends_with("CERTIFICATE") => return Err(InvalidKey::Certificate),
            [] | [_] => return Err(InvalidKey::NotPem),
            [..] => return Err(InvalidKey::SeveralKeys),
        }
        let key = match algorithm {
            TokenAlgorithm::Hs256 => return Err(InvalidKey::PemAsSecret),
            TokenAlgorithm::Rs256 => DecodingKey::from_rsa_pem(text.as_bytes()),
            TokenAlgorithm::Es256 | TokenAlgorithm::Es384 => DecodingKey::from_ec_pem(text.as_bytes()),
            TokenAlgorithm::EdDsa => DecodingKey::from_ed_pem(text.as_bytes()),
        };
        Self::public(algorithm, key.map_err(|_| InvalidKey::NotFor(algorithm))?)
    }

    /// An RSA key from its modulus and its exponent, each a number with the first byte first.
    pub(super) fn rsa(modulus: &[u8], exponent: &[u8]) -> Result<Self, InvalidKey> {
        Self::public(TokenAlgorithm::Rs256, DecodingKey::from_rsa_raw_components(modulus, exponent))
    }

    /// A point of an elliptic curve, or the key of Ed25519, as bytes.
    pub(super) fn point(algorithm: TokenAlgorithm, bytes: &[u8]) -> Result<Self, InvalidKey> {
        let key = match algorithm {
            TokenAlgorithm::EdDsa => DecodingKey::from_ed_der(bytes),
            _ => DecodingKey::from_ec_der(bytes),
        };
        Self::public(algorithm, key)
    }

    fn public(algorithm: TokenAlgorithm, key: DecodingKey) -> Result<Self, InvalidKey> {
        match algorithm {
            TokenAlgorithm::Hs256 => return Err(InvalidKey::NotFor(algorithm)),
            TokenAlgorithm::Rs256 if rsa_bits(&key).ok_or(InvalidKey::NotFor(algorithm))? < MIN_RSA_BITS => {
                return Err(InvalidKey::SmallRsa);
            }
            TokenAlgorithm::Rs256 => {}
            TokenAlgorithm::Es256 => checked(&signature::ECDSA_P256_SHA256_FIXED, &key, algorithm)?,
            TokenAlgorithm::Es384 => checked(&signature::ECDSA_P384_SHA384_FIXED, &key, algorithm)?,
            TokenAlgorithm::EdDsa => checked(&signature::ED25519, &key, algorithm)?,
        }
        Ok(Self::new(algorithm, key))
    }

    fn new(algorithm: TokenAlgorithm, key: DecodingKey) -> Self {
        Self { id: None, not_after: None, algorithm, key }
    }

    /// The algorithm of the tokens that it verifies.
    pub fn algorithm(&self) -> TokenAlgorithm {
        self.algorithm
    }

    /// Whether this key has made the signature of the message. `signature` is base64url.
    pub(super) fn has_signed(&self, message: &str, signature: &str) -> bool {
        crypto::verify(signature, message.as_bytes(), &self.key, self.algorithm.of_library()).unwrap_or(false)
    }

    /// Whether it is no longer accepted.
    pub fn is_over(&self, unix_now: u64) -> bool {
        self.not_after.is_some_and(|end| unix_now >= end)
    }
}

/// The labels of all PEM blocks (RFC 7468 section 2).
fn labels(text: &str) -> Vec<&str> {
    text.split(PEM_BEGIN).skip(1).filter_map(|rest| rest.split_once("-----")).map(|(label, _)| label.trim()).collect()
}

/// The bits of an RSA key's modulus; `None` if it is no RSA key.
fn rsa_bits(key: &DecodingKey) -> Option<usize> {
    let modulus = match key.kind() {
        jsonwebtoken::DecodingKeyKind::RsaModulusExponent { n, .. } => n.clone(),
        jsonwebtoken::DecodingKeyKind::SecretOrDer(der) => {
            (aws_lc::DEFAULT_PROVIDER.key_utils.rsa_pub_components_from_public_key)(der).ok()?.0
        }
    };
    let first = modulus.iter().position(|byte| *byte != 0)?;
    Some((modulus.len() - first) * 8 - modulus[first].leading_zeros() as usize)
}

fn checked(
    kind: &'static dyn signature::VerificationAlgorithm,
    key: &DecodingKey,
    algorithm: TokenAlgorithm,
) -> Result<(), InvalidKey> {
    let bytes = key.try_get_as_bytes().map_err(|_| InvalidKey::NotFor(algorithm))?;
    // The library also takes other encodings than the plain point, which the check of a signature would refuse.
    let is_plain = match algorithm {
        TokenAlgorithm::EdDsa => bytes.len() == 32,
        TokenAlgorithm::Es384 => bytes.len() == 97,
        _ => bytes.len() == 65,
    };
    match ParsedPublicKey::new(kind, bytes) {
        Ok(_) if is_plain => Ok(()),
        _ => Err(InvalidKey::NotFor(algorithm)),
    }
}

impl TokenAlgorithm {
    /// The algorithms for which there are public keys.
    pub(super) const ALL: [Self; 5] = [Self::Hs256, Self::Rs256, Self::Es256, Self::Es384, Self::EdDsa];

    /// The name in the header of a token.
    pub fn name(self) -> &'static str {
        match self {
            Self::Hs256 => "HS256",
            Self::Rs256 => "RS256",
            Self::Es256 => "ES256",
            Self::Es384 => "ES384",
            Self::EdDsa => "EdDSA",
        }
    }

    fn of_library(self) -> Algorithm {
        match self {
            Self::Hs256 => Algorithm::HS256,
            Self::Rs256 => Algorithm::RS256,
            Self::Es256 => Algorithm::ES256,
            Self::Es384 => Algorithm::ES384,
            Self::EdDsa => Algorithm::EdDSA,
        }
    }
}

impl FromStr for TokenAlgorithm {
    type Err = &'static str;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        // RFC 9864 gives EdDSA with this curve a name of its own.
        let name = if name == "Ed25519" { "EdDSA" } else { name };
        let known = Self::ALL.into_iter().find(|algorithm| algorithm.name() == name);
        known.ok_or("not an algorithm for tokens; there are HS256, RS256, ES256, ES384 and EdDSA")
    }
}

impl fmt::Display for TokenAlgorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Does not show the key.
impl fmt::Debug for TokenKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { id, not_after, algorithm, .. } = self;
        f.debug_struct("TokenKey")
            .field("id", id)
            .field("not_after", not_after)
            .field("algorithm", algorithm)
            .finish_non_exhaustive()
    }
}

/// The shortest secret for HS256: as long as its hash (RFC 7518 section 3.2).
const MIN_SECRET_BYTES: usize = 32;

const MIN_RSA_BITS: usize = 2048;

const PEM_BEGIN: &str = "-----BEGIN ";

/// Secrets of our own documentation and of jwt.io.
const EXAMPLE_SECRETS: [&str; 4] = [
    "change-me-change-me-change-me-change-me",
    "replace-this-by-the-output-of-openssl-rand-hex-32",
    "a-string-secret-at-least-256-bits-long",
    "a-valid-string-secret-that-is-at-least-512-bits-long-which-is-very-long",
];

#[cfg(test)]
mod tests;
