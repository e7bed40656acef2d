//! The API key of a request.

use crate::auth::{ApiKey, unix_now};
use crate::config::Config;
use crate::http::identity::bearer;
use crate::http::response::Refusal;
use hubcast_protocol::ErrorCode;
use hyper::StatusCode;
use hyper::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

/// Finds the key that a request shows.
///
/// # Errors
/// 403 when the server has no keys, 401 when the request shows none or a wrong one, 429 when its address has shown too
/// many wrong ones. A right key is never refused.
pub(super) fn of_request(headers: &HeaderMap, address: IpAddr, config: &Config) -> Result<Arc<ApiKey>, Refusal> {
    let keys = &config.auth.api_keys;
    if keys.is_empty() {
        let reason =
            "no API key is configured: make one with `hubcast key`, and add what it prints to the configuration";
        return Err(Refusal::of(StatusCode::FORBIDDEN, ErrorCode::Forbidden, reason));
    }
    let Some(shown) = shown(headers) else {
        let reason = "an API key is needed: send it as Authorization: Bearer hc_…, or as X-API-Key";
        return Err(Refusal::unauthorized(ErrorCode::Unauthenticated, reason));
    };
    if let Some(key) = keys.find(shown, unix_now()) {
        return Ok(key);
    }
    match config.auth.failures.note(address, Instant::now()) {
        None => {
            let reason = "this API key is not known, or its time is over";
            Err(Refusal::unauthorized(ErrorCode::TokenInvalid, reason))
        }
        Some(left) => {
            let reason = "too many wrong API keys came from this address";
            let refusal = Refusal::of(StatusCode::TOO_MANY_REQUESTS, ErrorCode::RateLimited, reason);
            Err(refusal.retry_after(left.as_secs().max(1)))
        }
    }
}

/// The key that a request shows. `Authorization` wins.
fn shown(headers: &HeaderMap) -> Option<&str> {
    let text = |value: &'static str| headers.get(value).and_then(|value| HeaderValue::to_str(value).ok());
    let in_authorization = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()).and_then(bearer);
    in_authorization.or_else(|| text("x-api-key").map(str::trim))
}
