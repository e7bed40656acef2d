//! Who a caller is: tokens of users, API keys of programs, and the address behind proxies.
//!
//! It decides nothing about topics: what a token or key grants goes to the hub. Time is an argument.

mod address;
mod api_keys;
mod claims;
mod counts;
mod failures;
mod fault;
mod jwks;
mod jwks_source;
mod keys;
mod revoked;
mod rules;
mod strict_json;
#[cfg(test)]
pub(crate) mod testing;
mod token;

pub use address::TrustedProxies;
pub use api_keys::{ApiKey, ApiKeys, KeyHash, NewApiKey, NoRandomness, SameApiKey};
pub use counts::TokenCounts;
pub use failures::{KeyFailures, subscriber};
pub use fault::TokenFault;
pub use jwks::{InvalidJwks, Jwks, SkipReason, SkippedKey};
pub use jwks_source::{InvalidJwksUrl, JwksSource, JwksUrl};
pub use keys::{InvalidKey, InvalidKeySet, KeySet, TokenAlgorithm, TokenKey};
pub use revoked::Revocations;
pub use rules::TokenRules;
pub use token::{Checked, TokenVerifier, Verified};

use crate::wall_clock::unix_now;
use hubcast_hub::Login;
use std::sync::Arc;
use std::time::Instant;

/// Who a server lets in: its keys, and what it believes of addresses.
#[derive(Clone, Debug, Default)]
pub struct AuthConfig {
    /// Verifies tokens; `None`: the server takes no tokens.
    pub verifier: Option<Arc<TokenVerifier>>,
    /// Where further keys of the verifier come from. The server fetches them while it runs.
    pub jwks: Vec<JwksSource>,
    /// The keys of backends.
    pub api_keys: Arc<ApiKeys>,
    /// The users whose tokens are refused for a while.
    pub revocations: Arc<Revocations>,
    /// Counts tokens.
    pub tokens: Arc<TokenCounts>,
    /// Counts wrong API keys.
    pub failures: Arc<KeyFailures>,
    /// The proxies whose word about addresses is believed.
    pub trusted_proxies: TrustedProxies,
    /// Whether a WebSocket may show its token in the query.
    pub query_tokens: bool,
    /// The names in `Host` that are answered; empty: any.
    pub hosts: Vec<String>,
}

impl AuthConfig {
    /// Verifies a token.
    ///
    /// # Errors
    /// Why it is refused, also because the server takes no tokens.
    pub(crate) fn verify(&self, token: &str, now: Instant) -> Result<Login, TokenFault> {
        let outcome = self.outcome(token, now);
        self.tokens.note(&outcome);
        outcome
    }

    fn outcome(&self, token: &str, now: Instant) -> Result<Login, TokenFault> {
        let unix_now = unix_now();
        let verifier = self.verifier.as_ref().ok_or(TokenFault::UnknownKey)?;
        let verified = verifier.verify(token, now, unix_now)?;
        self.revocations.check(&verified, unix_now)?;
        Ok(verified.login)
    }
}
