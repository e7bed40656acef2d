//! Who a caller is: tokens of users, API keys of programs, and the address behind proxies.
//!
//! It decides nothing about topics: what a token or key grants goes to the hub. It stands on no other room, and time is
//! an argument.

mod address;
mod api_keys;
mod claims;
mod failures;
mod fault;
mod jwks;
mod keys;
mod revoked;
mod rules;
mod strict_json;
#[cfg(test)]
mod testing;
mod token;

pub use address::TrustedProxies;
pub use api_keys::{ApiKey, ApiKeys, KeyHash, NewApiKey, NoRandomness, SameApiKey};
pub use failures::{KeyFailures, subscriber};
pub use fault::TokenFault;
pub use jwks::{InvalidJwks, Jwks, SkipReason, SkippedKey};
pub use keys::{InvalidKey, InvalidKeySet, KeySet, TokenAlgorithm, TokenKey};
pub use revoked::Revocations;
pub use rules::TokenRules;
pub use token::{Checked, TokenVerifier, Verified};
