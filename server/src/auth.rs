//! stub until the room is merged
#![allow(missing_docs, clippy::missing_errors_doc, reason = "a stub")]
use hubcast_hub::{Credentials, Grants, Identity, Login, MemberName};
use hubcast_protocol::ErrorCode;
use std::sync::Arc;
use std::time::Instant;

#[derive(Clone, Debug, Default)]
pub struct AuthConfig {
    pub verifier: Option<Arc<TokenVerifier>>,
    pub query_tokens: bool,
    pub api_keys: Arc<ApiKeys>,
}

#[derive(Clone, Debug, Default)]
pub struct ApiKeys(Vec<Arc<ApiKey>>);
#[derive(Clone, Debug)]
pub struct ApiKey {
    pub id: Box<str>,
    pub name: Box<str>,
    pub hash: KeyHash,
    pub not_after: Option<u64>,
    pub manage: bool,
    login: Login,
}
#[derive(Clone, Debug)]
pub struct KeyHash(String);
impl KeyHash {
    pub fn of(text: &str) -> Self {
        Self(text.to_owned())
    }
}
impl ApiKeys {
    pub fn new(keys: Vec<ApiKey>) -> Result<Self, TokenFault> {
        Ok(Self(keys.into_iter().map(Arc::new).collect()))
    }
    pub fn find(&self, presented: &str, _unix_now: u64) -> Option<Arc<ApiKey>> {
        self.0.iter().find(|key| key.hash.0 == presented).cloned()
    }
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
    pub fn keys(&self) -> &[Arc<ApiKey>] {
        &self.0
    }
}
impl ApiKey {
    pub fn new(id: impl Into<Box<str>>, name: impl Into<Box<str>>, hash: KeyHash, grants: Grants) -> Self {
        let id = id.into();
        let identity = Arc::new(Identity { name: MemberName::ApiKey(id.clone()), info: None });
        let credentials = Arc::new(Credentials { grants, expiry: None, api_key: Some(id.clone()) });
        Self { id, name: name.into(), hash, not_after: None, manage: false, login: Login { identity, credentials } }
    }
    pub fn login(&self) -> Login {
        self.login.clone()
    }
    pub fn grants(&self) -> &Grants {
        &self.login.credentials.grants
    }
}
#[derive(Debug, Default)]
pub(crate) struct KeyFailures(std::sync::Mutex<std::collections::HashMap<std::net::IpAddr, u32>>);
impl KeyFailures {
    pub(crate) fn note(&self, address: std::net::IpAddr, _now: Instant) -> Option<std::time::Duration> {
        let mut counts = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let count = counts.entry(address).or_default();
        *count += 1;
        (*count > 20).then_some(std::time::Duration::from_secs(60))
    }
}
#[derive(Debug)]
pub struct TokenVerifier;
#[derive(Debug)]
pub struct Verified {
    pub login: Login,
}
#[derive(Debug, thiserror::Error)]
#[error("no")]
pub struct TokenFault;
impl TokenFault {
    pub fn code(&self) -> ErrorCode {
        ErrorCode::TokenInvalid
    }
}
impl TokenVerifier {
    pub fn verify(&self, _token: &str, _now: Instant, _unix_now: u64) -> Result<Verified, TokenFault> {
        Err(TokenFault)
    }
}

/// The time of the wall clock, in seconds since 1970-01-01 UTC.
pub(crate) fn unix_now() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default().as_secs()
}
