//! One fetch of a key set: one connection, one request, one bounded answer.
//!
//! A connection that is kept for the next fetch would be idle for ten minutes, so there is no pool of them.

use crate::auth::{InvalidJwks, Jwks, JwksSource};
use crate::http_client::{RequestError, Route, exchange, tls};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::header::{ACCEPT, AGE, CACHE_CONTROL, HeaderMap, HeaderName, HeaderValue};
use hyper::{Request, Response, StatusCode};
use std::time::Duration;
use tokio::time::timeout;

/// An answer.
#[derive(Debug)]
pub(super) struct Fetched {
    /// What was sent. It need not be a key set.
    pub(super) text: String,
    /// How long it may be kept, if the answer says so.
    pub(super) good_for: Option<Duration>,
}

/// Why keys are not fetched. Nothing of the answer is in it, and no query.
#[derive(Debug, thiserror::Error)]
pub(super) enum FetchError {
    /// The request has no answer.
    #[error("{0}")]
    Request(RequestError),
    /// A name of this machine leads to another one.
    #[error("the name leads to another machine, and http:// is for this one alone")]
    Elsewhere,
    /// The answer sends the server elsewhere, where somebody else could be.
    #[error("the answer is a redirect ({}), which is not followed; write the final URL", .0.as_u16())]
    Redirect(StatusCode),
    /// The answer has another status.
    #[error("the answer has the status {}, and must have 200", .0.as_u16())]
    Status(StatusCode),
    /// The answer has too many bytes.
    #[error("the answer is larger than {} KiB", Jwks::MAX_BYTES / 1024)]
    TooLarge,
    /// It took too long in all.
    #[error("there was no whole answer within {} seconds", DEADLINE.as_secs())]
    TooSlow,
    /// The answer is no key set.
    #[error("the answer cannot be used: {0}")]
    NoKeys(#[from] InvalidJwks),
}

/// Fetches what is at an address, within `deadline` in all.
pub(super) async fn fetch(source: &JwksSource, deadline: Duration) -> Result<Fetched, FetchError> {
    timeout(deadline, attempt(source)).await.unwrap_or(Err(FetchError::TooSlow))
}

async fn attempt(source: &JwksSource) -> Result<Fetched, FetchError> {
    let url = source.url.http();
    let tls = match url.is_tls() {
        true => Some(tls::connector(source.roots.clone()).await.map_err(RequestError::from)?),
        false => None,
    };
    let mut request = Request::new(Full::default());
    let accepted = HeaderValue::from_static("application/jwk-set+json, application/json");
    request.headers_mut().insert(ACCEPT, accepted);
    let route = Route { url, tls: tls.as_ref(), may_reach: &|address| url.is_tls() || address.is_loopback() };
    exchange(route, request, read).await
}

impl From<RequestError> for FetchError {
    fn from(fault: RequestError) -> Self {
        match fault {
            RequestError::NotAllowed(_) => Self::Elsewhere,
            fault => Self::Request(fault),
        }
    }
}

async fn read(response: Response<Incoming>) -> Result<Fetched, FetchError> {
    match response.status() {
        StatusCode::OK => {}
        status if status.is_redirection() => return Err(FetchError::Redirect(status)),
        status => return Err(FetchError::Status(status)),
    }
    let good_for = good_for(response.headers());
    let body = Limited::new(response.into_body(), Jwks::MAX_BYTES).collect().await;
    let body = body.map_err(|error| match error.downcast::<hyper::Error>() {
        Ok(error) => FetchError::Request(RequestError::Http(*error)),
        Err(other) if other.is::<LengthLimitError>() => FetchError::TooLarge,
        Err(_) => FetchError::NoKeys(InvalidJwks::Malformed),
    });
    let text = String::from_utf8(body?.to_bytes().into()).map_err(|_| InvalidJwks::Malformed)?;
    Ok(Fetched { text, good_for })
}

/// How long an answer may be kept (RFC 9111 sections 4.2 and 5.2.2.1); `None` if it does not say so.
fn good_for(headers: &HeaderMap) -> Option<Duration> {
    let values = |name: HeaderName| headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
    let directives = values(CACHE_CONTROL).flat_map(|list| list.split(','));
    let max_age = directives.filter_map(|directive| directive.trim().split_once('=')).find_map(|(name, value)| {
        name.eq_ignore_ascii_case("max-age").then(|| value.trim_matches('"').parse::<u64>().ok()).flatten()
    })?;
    // How long a cache on the way has had it.
    let age = values(AGE).find_map(|age| age.trim().parse().ok()).unwrap_or(0);
    Some(Duration::from_secs(max_age.saturating_sub(age)))
}

/// How long a fetch may take in all.
pub(super) const DEADLINE: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jwks_say_how_long_they_are_good() {
        let said = |lines: &[(HeaderName, &str)]| {
            let lines = lines.iter().map(|(name, value)| (name.clone(), value.parse().unwrap()));
            good_for(&lines.collect()).map(|time| time.as_secs())
        };
        assert_eq!(said(&[]), None);
        assert_eq!(said(&[(CACHE_CONTROL, "no-store")]), None);
        assert_eq!(said(&[(CACHE_CONTROL, "public, max-age=3600, must-revalidate")]), Some(3600));
        assert_eq!(said(&[(CACHE_CONTROL, "MAX-AGE=\"5\"")]), Some(5));
        assert_eq!(said(&[(CACHE_CONTROL, "s-maxage=7")]), None);
        assert_eq!(said(&[(CACHE_CONTROL, "max-age=soon")]), None);
        assert_eq!(said(&[(CACHE_CONTROL, "max-age=100"), (AGE, "40")]), Some(60));
        assert_eq!(said(&[(CACHE_CONTROL, "max-age=100"), (AGE, "400")]), Some(0));
    }
}
