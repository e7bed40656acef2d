//! One request to the receiver of a hook.

use crate::hooks::dispatch::HookMessage;
use crate::hooks::{Hook, SendOutcome};
use crate::http_client::{RequestError, Route, exchange, tls};
use crate::http_url::reach::may_be_told;
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderName, RETRY_AFTER};
use hyper::{Method, Request, Response, StatusCode};
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

/// What a receiver has answered. Its body is dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HookAnswer {
    /// The status.
    pub status: StatusCode,
    /// After which time the receiver wants to be asked again.
    pub retry_after: Option<Duration>,
}

/// Why there is no answer. Nothing of the request is in it.
#[derive(Debug, thiserror::Error)]
pub enum HookSendError {
    /// The request has none.
    #[error("{0}")]
    Request(#[from] RequestError),
    /// It took too long in all.
    #[error("there was no answer within {} seconds", .0.as_secs())]
    TooSlow(Duration),
}

impl HookAnswer {
    /// What the answer means for the events.
    pub(super) fn outcome(self) -> SendOutcome {
        SendOutcome::of_status(self.status.as_u16(), self.retry_after)
    }
}

/// What sends to one hook.
pub(super) struct HookSender {
    pub(super) hook: Arc<Hook>,
    pub(super) public_only: bool,
    /// Made at the first request and used for all: later ones continue its TLS sessions.
    tls: Option<TlsConnector>,
}

impl HookSender {
    pub(super) fn new(hook: Arc<Hook>, public_only: bool) -> Self {
        Self { hook, public_only, tls: None }
    }

    /// Sends a message, and waits for the answer.
    pub(super) async fn send(&mut self, message: HookMessage) -> Result<HookAnswer, HookSendError> {
        let limit = self.hook.limits.timeout;
        timeout(limit, self.attempt(message)).await.unwrap_or(Err(HookSendError::TooSlow(limit)))
    }

    async fn attempt(&mut self, message: HookMessage) -> Result<HookAnswer, HookSendError> {
        let url = &self.hook.url;
        if url.is_tls() && self.tls.is_none() {
            self.tls = Some(tls::connector(self.hook.roots.clone()).await.map_err(RequestError::from)?);
        }
        let HookMessage { id, timestamp, signatures, body } = message;
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = Method::POST;
        let headers = request.headers_mut();
        for (name, value) in [
            (CONTENT_TYPE, "application/json".to_owned()),
            (HeaderName::from_static("webhook-id"), id),
            (HeaderName::from_static("webhook-timestamp"), timestamp.to_string()),
            (HeaderName::from_static("webhook-signature"), signatures),
        ] {
            headers.extend(value.parse().ok().map(|value| (name, value)));
        }
        let public_only = self.public_only;
        let may_reach = move |address| may_be_told(address, public_only);
        exchange(Route { url, tls: self.tls.as_ref(), may_reach: &may_reach }, request, read).await
    }
}

/// Reads an answer. Of its body a little is read, so that the receiver can end the connection in order.
async fn read(response: Response<Incoming>) -> Result<HookAnswer, HookSendError> {
    let retry_after = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
    let answer = HookAnswer { status: response.status(), retry_after: retry_after.and_then(wait_of) };
    let mut body = response.into_body();
    let rest = async {
        let mut left = MAX_BODY_BYTES;
        while let Some(Ok(frame)) = body.frame().await {
            match left.checked_sub(frame.data_ref().map_or(0, Bytes::len)) {
                Some(rest) => left = rest,
                None => break,
            }
        }
    };
    // The status has said it all, however slowly the body comes.
    let _ = timeout(BODY_WITHIN, rest).await;
    Ok(answer)
}

/// How long a `Retry-After` asks to wait (RFC 9110 section 10.2.3): seconds, or a time.
fn wait_of(text: &str) -> Option<Duration> {
    let seconds = text.trim().parse().ok().map(Duration::from_secs);
    let until = || httpdate::parse_http_date(text.trim()).ok();
    seconds.or_else(|| Some(until()?.duration_since(SystemTime::now()).unwrap_or_default()))
}

/// Bytes of the body of an answer that are read, about.
const MAX_BODY_BYTES: usize = 4 * 1024;

/// The time in which they are read.
const BODY_WITHIN: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_is_read_in_both_ways_of_writing() {
        assert_eq!(wait_of(" 120 "), Some(Duration::from_secs(120)));
        let soon = httpdate::fmt_http_date(SystemTime::now() + Duration::from_secs(100));
        assert!(wait_of(&soon).is_some_and(|wait| (90..=100).contains(&wait.as_secs())), "{soon}");
        assert_eq!(wait_of("Sun, 06 Nov 1994 08:49:37 GMT"), Some(Duration::ZERO), "in the past");
        assert_eq!(wait_of("soon"), None);
        assert_eq!(wait_of("-1"), None);
    }
}
