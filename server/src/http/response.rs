//! HTTP answers that do not open a WebSocket.

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::{CONNECTION, CONTENT_TYPE, HeaderName, HeaderValue};
use hyper::{Response, StatusCode};

/// An answer to one request.
pub(super) type Answer = Response<AnswerBody>;

/// The body of an answer.
pub(super) type AnswerBody = Full<Bytes>;

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
pub(super) fn text(status: StatusCode, words: &str) -> Answer {
    let mut response = Response::new(Full::from(format!("{words}\n")));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}

/// Makes an answer the last one of its connection.
pub(super) fn close(mut answer: Answer) -> Answer {
    // Set here and not with hyper's builder, which would also add it to the answer to a handshake.
    answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    answer
}

impl Rejection {
    /// The answer. The connection stays open if the request was understood and another one may be answered better.
    pub(super) fn into_answer(self) -> Answer {
        let mut answer = text(self.status, self.reason);
        let headers = self.headers.iter();
        let headers = headers.map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
        answer.headers_mut().extend(headers);
        match self.status {
            StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED => answer,
            _ => close(answer),
        }
    }
}

/// A refusal that is not the client's fault.
pub(super) const fn try_later(reason: &'static str) -> Rejection {
    Rejection { status: StatusCode::SERVICE_UNAVAILABLE, reason, headers: &[("retry-after", "5")] }
}
