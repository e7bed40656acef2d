//! HTTP answers that do not open a WebSocket.

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::{CONNECTION, CONTENT_TYPE, HeaderName, HeaderValue};
use hyper::{Response, StatusCode};

/// An answer that says why a request is refused, and what to do instead.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Rejection {
    pub(crate) status: StatusCode,
    pub(crate) reason: &'static str,
    pub(crate) headers: Headers,
}

/// Names, in lower case, and values.
pub(crate) type Headers = &'static [(&'static str, &'static str)];

/// A short answer for people.
pub(crate) fn text(status: StatusCode, words: &str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(format!("{words}\n")));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    // Set here and not with hyper's builder, which would also add it to the answer to a handshake.
    headers.insert(CONNECTION, HeaderValue::from_static("close"));
    response
}

impl Rejection {
    pub(super) fn into_response(self) -> Response<Full<Bytes>> {
        let mut response = text(self.status, self.reason);
        let headers = self.headers.iter();
        let headers = headers.map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
        response.headers_mut().extend(headers);
        response
    }
}

/// A refusal that is not the client's fault.
pub(super) const fn try_later(reason: &'static str) -> Rejection {
    Rejection { status: StatusCode::SERVICE_UNAVAILABLE, reason, headers: &[("retry-after", "5")] }
}
