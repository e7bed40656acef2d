//! Verifies tokens: signed JSON Web Tokens (RFC 7519) in the short form (RFC 7515 section 7.1).
//!
//! No claim counts before the signature is right.

use super::claims::Claims;
use super::fault::TokenFault;
use super::keys::{KeySet, TokenKey};
use super::rules::TokenRules;
use super::strict_json::Members;
use arc_swap::ArcSwap;
use data_encoding::BASE64URL_NOPAD;
use hubcast_hub::{Credentials, Expiry, Identity, Login, MemberName};
use hubcast_protocol::AccessToken;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::Notify;

/// Verifies tokens with keys that can be replaced while it is in use.
#[derive(Debug)]
pub struct TokenVerifier {
    keys: ArcSwap<KeySet>,
    rules: TokenRules,
    unknown_key: Notify,
}

/// What a valid token says.
#[derive(Clone, Debug)]
pub struct Verified {
    /// The user and what it may do, for the hub.
    pub login: Login,
    /// The name of the user.
    pub user: Box<str>,
    /// When the token was made, if it says so, in seconds since 1970-01-01 UTC.
    pub issued_at: Option<u64>,
}

/// A check of a token and its outcome, for people.
#[derive(Clone, Copy, Debug)]
pub struct Checked {
    /// What is checked, such as "signature".
    pub what: &'static str,
    /// Whether it holds.
    pub outcome: Result<(), TokenFault>,
}

impl TokenVerifier {
    /// A verifier with these keys.
    pub fn new(keys: KeySet, rules: TokenRules) -> Self {
        Self { keys: ArcSwap::from_pointee(keys), rules, unknown_key: Notify::new() }
    }

    /// Takes other keys from now on.
    pub fn replace_keys(&self, keys: KeySet) {
        self.keys.store(Arc::new(keys));
    }

    /// The keys at the moment.
    pub fn keys(&self) -> Arc<KeySet> {
        self.keys.load_full()
    }

    /// The rules for tokens.
    pub fn rules(&self) -> &TokenRules {
        &self.rules
    }

    /// Completes when a token has named a key that is not known, so that keys from elsewhere should be fetched again.
    pub async fn unknown_key(&self) {
        self.unknown_key.notified().await;
    }

    /// Verifies a token. `now` and `unix_now` are the same moment on two clocks; the latter is in seconds since
    /// 1970-01-01 UTC.
    ///
    /// # Errors
    /// Why the token is refused.
    pub fn verify(&self, token: &str, now: Instant, unix_now: u64) -> Result<Verified, TokenFault> {
        let parts = Parts::split(token)?;
        let header = parts.header()?;
        header.check(&self.rules)?;
        let keys = self.keys.load();
        let key = keys.find(header.key_id.as_deref(), &header.algorithm, unix_now);
        parts.check_signature(key.inspect_err(|fault| self.note(*fault))?)?;
        let text = decode(parts.claims)?;
        let claims = Claims::read(&text, &self.rules)?;
        claims.not_before(&self.rules, unix_now)?;
        claims.audience(&self.rules)?;
        claims.issuer(&self.rules)?;
        let (user, issued_at) = (claims.subject()?, claims.issued_at()?);
        let (info, grants) = (claims.info()?, claims.grants()?);
        // The last one: whoever is told to get a new token gets one that is accepted.
        let unix = claims.expiry(&self.rules, unix_now)?;
        let left = unix.saturating_add(self.rules.leeway.as_secs()).saturating_sub(unix_now);
        let at = now.checked_add(Duration::from_secs(left)).ok_or(TokenFault::TooLongLived)?;
        let identity = Arc::new(Identity { name: MemberName::User(user.clone()), info });
        let credentials = Arc::new(Credentials { grants, expiry: Some(Expiry { at, unix }), api_key: None });
        Ok(Verified { login: Login { identity, credentials }, user, issued_at })
    }

    /// Every check of a token, also those after the first one that fails. A token is valid if
    /// [`verify`](TokenVerifier::verify) says so.
    pub fn explain(&self, token: &str, unix_now: u64) -> Vec<Checked> {
        let mut list = Vec::new();
        let mut note = |what, outcome: Result<(), TokenFault>| list.push(Checked { what, outcome });
        let parts = Parts::split(token);
        note("form", parts.as_ref().map(drop).map_err(|fault| *fault));
        let Ok(parts) = parts else { return list };
        let header = parts.header();
        note("header", header.as_ref().map_err(|fault| *fault).and_then(|header| header.check(&self.rules)));
        if let Ok(header) = header {
            let keys = self.keys.load();
            let key = keys.find(header.key_id.as_deref(), &header.algorithm, unix_now);
            note("key", key.map(drop));
            if let Ok(key) = key {
                note("signature", parts.check_signature(key));
            }
        }
        let text = decode(parts.claims);
        let claims = text.as_ref().map_err(|fault| *fault).and_then(|text| Claims::read(text, &self.rules));
        note("claims", claims.as_ref().map(drop).map_err(|fault| *fault));
        let Ok(claims) = claims else { return list };
        note("nbf", claims.not_before(&self.rules, unix_now));
        note("aud", claims.audience(&self.rules));
        note("iss", claims.issuer(&self.rules));
        note("sub", claims.subject().map(drop));
        note("iat", claims.issued_at().map(drop));
        note("info", claims.info().map(drop));
        note("grants", claims.grants().map(drop));
        note("exp", claims.expiry(&self.rules, unix_now).map(drop));
        list
    }

    fn note(&self, fault: TokenFault) {
        if fault == TokenFault::UnknownKey {
            self.unknown_key.notify_one();
        }
    }
}

/// The three parts of a token, in base64url, and what is signed.
#[derive(Clone, Copy)]
struct Parts<'a> {
    header: &'a str,
    claims: &'a str,
    signature: &'a str,
    signed: &'a str,
}

impl<'a> Parts<'a> {
    fn split(token: &'a str) -> Result<Self, TokenFault> {
        if token.len() > AccessToken::MAX_BYTES {
            return Err(TokenFault::TooLong);
        }
        let (signed, signature) = token.rsplit_once('.').ok_or(TokenFault::Malformed)?;
        let (header, claims) = signed.split_once('.').ok_or(TokenFault::Malformed)?;
        let is_base64 = |part: &str| BASE64URL_NOPAD.decode_len(part.len()).is_ok() && part.bytes().all(is_base64url);
        // An empty signature has no place in any algorithm that we take.
        let is_whole = ![header, claims, signature].iter().any(|part| part.is_empty() || !is_base64(part));
        if is_whole { Ok(Self { header, claims, signature, signed }) } else { Err(TokenFault::Malformed) }
    }

    fn header(&self) -> Result<Header, TokenFault> {
        let text = decode(self.header)?;
        let members = Members::read(&text).ok_or(TokenFault::Header)?;
        let text = |name| members.get::<String>(name).map_err(|_| TokenFault::Header);
        Ok(Header {
            algorithm: text("alg")?.ok_or(TokenFault::Header)?,
            key_id: text("kid")?,
            typ: text("typ")?,
            is_critical: members.raw("crit").is_some(),
        })
    }

    fn check_signature(&self, key: &TokenKey) -> Result<(), TokenFault> {
        if key.has_signed(self.signed, self.signature) { Ok(()) } else { Err(TokenFault::Signature) }
    }
}

fn is_base64url(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_'
}

fn decode(part: &str) -> Result<String, TokenFault> {
    let bytes = BASE64URL_NOPAD.decode(part.as_bytes()).map_err(|_| TokenFault::Malformed)?;
    String::from_utf8(bytes).map_err(|_| TokenFault::Malformed)
}

struct Header {
    algorithm: String,
    key_id: Option<String>,
    typ: Option<String>,
    is_critical: bool,
}

impl Header {
    fn check(&self, rules: &TokenRules) -> Result<(), TokenFault> {
        if self.is_critical {
            return Err(TokenFault::Critical);
        }
        // A media type, from which "application/" can be left out (RFC 7515 section 4.1.9).
        let short = |typ: &str| {
            let typ = typ.to_ascii_lowercase();
            typ.strip_prefix("application/").map(str::to_owned).unwrap_or(typ)
        };
        let typ = self.typ.as_deref().map(short);
        let is_ours = match (&rules.typ, typ.as_deref()) {
            (Some(ours), typ) => typ == Some(&short(ours)),
            (None, typ) => matches!(typ, None | Some("jwt" | "at+jwt")),
        };
        if is_ours { Ok(()) } else { Err(TokenFault::Type) }
    }
}

#[cfg(test)]
mod tests;
