//! The answers of the HTTP API.

use crate::encode::history_reply::HistoryReply;
use crate::http::exchange::Busy;
use crate::http::response::Refusal;
use crate::pubsub::caller::Closed;
use http_body_util::Full;
use hubcast_hub::HistoryAnswer;
use hubcast_protocol::{CloseCode, ErrorCode, ErrorReply};
use hyper::body::{Body, Bytes, Frame, SizeHint};
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderMap, HeaderValue, SERVER};
use hyper::{Response, StatusCode};
use serde::Serialize;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::LazyLock;
use std::task::{Context, Poll};

/// An answer to one request.
pub(in crate::http) type ApiAnswer = Response<AnswerBody>;

/// The body of an answer.
pub(in crate::http) enum AnswerBody {
    Whole(Full<Bytes>),
    /// A history, of which a part is encoded whenever the socket takes more.
    /// Dropping it says that the answer is complete.
    History(HistoryReply, #[expect(dead_code, reason = "dropping it tells")] Busy),
}

impl From<Full<Bytes>> for AnswerBody {
    fn from(whole: Full<Bytes>) -> Self {
        Self::Whole(whole)
    }
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match self.get_mut() {
            Self::Whole(whole) => Pin::new(whole).poll_frame(context),
            Self::History(reply, _) if reply.is_over() => Poll::Ready(None),
            Self::History(reply, _) => Poll::Ready(Some(Ok(Frame::data(reply.next(PART_BYTES).0)))),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole(whole) => whole.is_end_stream(),
            Self::History(reply, _) => reply.is_over(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(whole) => whole.size_hint(),
            Self::History(..) => SizeHint::default(),
        }
    }
}

/// 200, with this as JSON.
pub(super) fn json(value: &impl Serialize) -> ApiAnswer {
    json_of_length(value, 128)
}

/// 200, with this as JSON, which has so many bytes, about.
pub(super) fn json_of_length(value: &impl Serialize, bytes: usize) -> ApiAnswer {
    let mut text = Vec::with_capacity(bytes);
    match serde_json::to_writer(&mut text, value) {
        Ok(()) => text_of_json(text),
        Err(_) => Refusal::of(StatusCode::INTERNAL_SERVER_ERROR, ErrorCode::Internal, "no answer").into_answer(),
    }
}

/// 200, with this text, which is JSON.
pub(super) fn text_of_json(text: impl Into<Bytes>) -> ApiAnswer {
    with_headers(Response::new(AnswerBody::Whole(Full::new(text.into()))))
}

/// 200, with a history.
pub(super) fn history(answer: &HistoryAnswer, busy: Busy) -> ApiAnswer {
    with_headers(Response::new(AnswerBody::History(HistoryReply::as_json(answer), busy)))
}

/// Adds the headers of every answer.
fn with_headers(mut answer: ApiAnswer) -> ApiAnswer {
    let headers = answer.headers_mut();
    match headers.is_empty() {
        true => *headers = HEADERS.clone(),
        false => headers.extend(HEADERS.clone()),
    }
    answer
}

/// The headers of every answer. A copy takes less time than to make them.
static HEADERS: LazyLock<HeaderMap> = LazyLock::new(|| {
    let json = HeaderValue::from_static("application/json");
    let (no_store, server) = (HeaderValue::from_static("no-store"), HeaderValue::from_static("hubcast"));
    HeaderMap::from_iter([(CONTENT_TYPE, json), (CACHE_CONTROL, no_store), (SERVER, server)])
});

impl Refusal {
    /// The answer that refuses.
    pub(super) fn into_answer(self) -> ApiAnswer {
        with_headers(self.into_response().map(AnswerBody::Whole))
    }
}

/// What the hub refuses, with the fitting status.
pub(super) fn refusal(code: ErrorCode, reason: impl Into<std::borrow::Cow<'static, str>>) -> Refusal {
    let status = match code {
        ErrorCode::Forbidden => StatusCode::FORBIDDEN,
        ErrorCode::Unauthenticated | ErrorCode::TokenInvalid | ErrorCode::TokenExpired => StatusCode::UNAUTHORIZED,
        ErrorCode::RateLimited | ErrorCode::LimitExceeded => StatusCode::TOO_MANY_REQUESTS,
        ErrorCode::MessageTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        ErrorCode::NoHistory | ErrorCode::NoPresence => StatusCode::NOT_FOUND,
        ErrorCode::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        ErrorCode::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        _ => StatusCode::BAD_REQUEST,
    };
    let refusal = Refusal::of(status, code, reason);
    match code {
        ErrorCode::RateLimited | ErrorCode::Unavailable => refusal.retry_after(1),
        _ => refusal,
    }
}

impl From<ErrorReply> for Refusal {
    fn from(fault: ErrorReply) -> Self {
        refusal(fault.code, fault.reason)
    }
}

impl From<Closed> for Refusal {
    fn from(closed: Closed) -> Self {
        match closed.code {
            CloseCode::RATE_LIMIT => refusal(ErrorCode::RateLimited, "the key asks too often, slow down"),
            CloseCode::TRY_AGAIN_LATER => refusal(ErrorCode::RateLimited, "the key has as many connections as it may"),
            _ => refusal(ErrorCode::Unavailable, "the server ended the session of this request, try again"),
        }
    }
}

/// Bytes that are encoded whenever the socket takes more.
const PART_BYTES: usize = 64 * 1024;
