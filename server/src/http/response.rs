//! HTTP answers that do not open a WebSocket.

use http_body_util::Full;
use hubcast_protocol::ErrorCode;
use hyper::body::Bytes;
use hyper::header::{CONNECTION, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER};
use hyper::{Response, StatusCode};
use serde_json::{Value, json};
use std::borrow::Cow;

/// An answer with its whole body.
pub(super) type Answer = Response<Full<Bytes>>;

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

/// A refusal for programs: JSON with a code, and what to do as its reason.
#[derive(Clone, Debug)]
pub(crate) struct Refusal {
    status: StatusCode,
    code: Cow<'static, str>,
    reason: Cow<'static, str>,
    headers: Headers,
    /// Seconds after which the same request may succeed.
    retry_after: Option<u64>,
}

impl Refusal {
    /// A refusal with a code that only HTTP has.
    pub(crate) fn new(status: StatusCode, code: &'static str, reason: impl Into<Cow<'static, str>>) -> Self {
        Self { status, code: code.into(), reason: reason.into(), headers: &[], retry_after: None }
    }

    /// A refusal with a code of the WebSocket's contract.
    pub(crate) fn of(status: StatusCode, code: ErrorCode, reason: impl Into<Cow<'static, str>>) -> Self {
        let code = serde_json::to_value(code).ok().and_then(|code| code.as_str().map(str::to_owned));
        let code = code.map_or(Cow::Borrowed("internal"), Cow::Owned);
        Self { status, code, reason: reason.into(), headers: &[], retry_after: None }
    }

    /// 401: there is no token or key, or it is refused.
    pub(crate) fn unauthorized(code: ErrorCode, reason: impl Into<Cow<'static, str>>) -> Self {
        Self { headers: &[("www-authenticate", "Bearer")], ..Self::of(StatusCode::UNAUTHORIZED, code, reason) }
    }

    /// 405, with the methods that there are.
    pub(crate) fn method_not_allowed(allow: &'static str) -> Self {
        let headers: Headers = match allow {
            "GET" => &[("allow", "GET")],
            "POST" => &[("allow", "POST")],
            "GET, HEAD" => &[("allow", "GET, HEAD")],
            "GET, HEAD, DELETE" => &[("allow", "GET, HEAD, DELETE")],
            _ => &[("allow", "GET, HEAD, OPTIONS")],
        };
        Self { headers, ..Self::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "this has other methods") }
    }

    /// Says after how many seconds the same request may succeed.
    pub(crate) fn retry_after(self, seconds: u64) -> Self {
        Self { retry_after: Some(seconds), ..self }
    }

    /// The status of the answer.
    pub(crate) fn status(&self) -> StatusCode {
        self.status
    }

    /// The code, for programs.
    pub(crate) fn code(&self) -> &str {
        &self.code
    }

    /// The reason, for people.
    pub(crate) fn reason(&self) -> &str {
        &self.reason
    }

    /// What the body of the answer says, without the outer object.
    pub(crate) fn to_json(&self) -> Value {
        match self.retry_after {
            Some(_) => json!({"code": self.code, "reason": self.reason, "retry": true}),
            None => json!({"code": self.code, "reason": self.reason}),
        }
    }

    pub(crate) fn into_response(self) -> Response<Full<Bytes>> {
        let body = json!({"error": self.to_json()}).to_string();
        let mut response = Response::new(Full::from(body));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if let Some(seconds) = self.retry_after {
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        let given = self.headers.iter();
        headers.extend(given.map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value))));
        response
    }
}
