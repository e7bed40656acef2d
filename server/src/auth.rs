//! stub until the room is merged
use hubcast_hub::Login;
use hubcast_protocol::ErrorCode;
use std::sync::Arc;
use std::time::Instant;

#[derive(Clone, Debug, Default)]
pub struct AuthConfig {
    pub verifier: Option<Arc<TokenVerifier>>,
    pub query_tokens: bool,
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
