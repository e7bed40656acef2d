//! The API key of a request.

use crate::auth::{ApiKey, ApiKeys};
use crate::config::Config;
use crate::http::identity::bearer;
use crate::http::response::Refusal;
use crate::wall_clock::unix_now;
use aws_lc_rs::constant_time;
use hubcast_protocol::ErrorCode;
use hyper::StatusCode;
use hyper::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use std::cell::RefCell;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

/// The last right key of a connection, so that its text is not hashed for each request.
#[derive(Debug, Default)]
pub(crate) struct KnownKey(RefCell<Option<Known>>);

struct Known {
    text: Box<str>,
    key: Arc<ApiKey>,
    /// The keys among which it was found.
    among: Arc<ApiKeys>,
}

impl KnownKey {
    /// The key with this text, if it is accepted at the moment.
    fn find(&self, shown: &str, keys: &Arc<ApiKeys>) -> Option<Arc<ApiKey>> {
        let mut known = self.0.borrow_mut();
        if let Some(Known { text, key, among }) = &*known
            && Arc::ptr_eq(among, keys)
            && constant_time::verify_slices_are_equal(text.as_bytes(), shown.as_bytes()).is_ok()
            && (key.not_after.is_none() || !key.is_over(unix_now()))
        {
            return Some(Arc::clone(key));
        }
        let key = keys.find(shown, unix_now())?;
        *known = Some(Known { text: shown.into(), key: Arc::clone(&key), among: Arc::clone(keys) });
        Some(key)
    }
}

/// Does not show the key.
impl fmt::Debug for Known {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Known").field(&self.key.id).finish()
    }
}

/// Finds the key that a request shows.
///
/// # Errors
/// 403 when the server has no keys, 401 when the request shows none or a wrong one, 429 when its address has shown too
/// many wrong ones. A right key is never refused.
pub(crate) fn of_request(
    headers: &HeaderMap,
    address: IpAddr,
    config: &Config,
    known: &KnownKey,
) -> Result<Arc<ApiKey>, Refusal> {
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
    if let Some(key) = known.find(shown, keys) {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::KeyHash;
    use hubcast_hub::Grants;

    fn keys(not_after: Option<u64>) -> Arc<ApiKeys> {
        let mut key = ApiKey::new("a", "a", KeyHash::of("hc_a_text"), Grants::default());
        key.not_after = not_after;
        Arc::new(ApiKeys::new(vec![key]).unwrap())
    }

    #[test]
    fn a_known_key_is_found_by_its_whole_text_alone() {
        let (known, keys) = (KnownKey::default(), keys(None));
        for _ in 0..2 {
            assert!(known.find("hc_a_text", &keys).is_some());
            for wrong in ["", "hc_a_tex", "hc_a_text2", "hc_a_texx"] {
                assert!(known.find(wrong, &keys).is_none(), "{wrong:?}");
            }
        }
    }

    #[test]
    fn a_known_key_ends_with_its_time_and_with_its_key_set() {
        let (known, long) = (KnownKey::default(), keys(Some(unix_now() + 1_000)));
        assert!(known.find("hc_a_text", &long).is_some());
        assert!(known.find("hc_a_text", &keys(Some(unix_now()))).is_none(), "its time is over in the new set");
        assert!(known.find("hc_a_text", &long).is_some());
        assert!(known.find("hc_a_text", &Arc::new(ApiKeys::default())).is_none(), "it is not in the new set");

        let mut over = (*long.keys()[0]).clone();
        over.not_after = Some(unix_now());
        known.0.replace(Some(Known { text: "hc_a_text".into(), key: Arc::new(over), among: Arc::clone(&long) }));
        let found = known.find("hc_a_text", &long).unwrap();
        assert!(Arc::ptr_eq(&found, &long.keys()[0]), "a key whose time is over is looked up again");
    }
}
