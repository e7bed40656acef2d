//! Why requests are refused before anybody looks into them, and as what that is counted.

use super::response::{Refusal, Rejection, try_later};
use crate::metrics::kinds::RefusedHandshake;
use hyper::StatusCode;

/// As what the refusal of a handshake is counted.
pub(super) fn counted(rejection: &Rejection) -> RefusedHandshake {
    match *rejection {
        FULL => RefusedHandshake::Limit,
        SHUTTING_DOWN => RefusedHandshake::Draining,
        TOO_MANY_HERE => RefusedHandshake::AddressLimit,
        Rejection { status: StatusCode::FORBIDDEN, .. } => RefusedHandshake::Origin,
        Rejection { status: StatusCode::MISDIRECTED_REQUEST, .. } => RefusedHandshake::Host,
        _ => RefusedHandshake::Malformed,
    }
}

/// As what the refusal of a token is counted.
pub(super) fn counted_token(refusal: &Refusal) -> RefusedHandshake {
    match refusal.code() {
        "token_expired" => RefusedHandshake::TokenExpired,
        "token_invalid" => RefusedHandshake::TokenInvalid,
        _ => RefusedHandshake::Malformed,
    }
}

pub(super) const FULL: Rejection = try_later("the server is full");
pub(super) const TOO_MANY_HERE: Rejection = Rejection {
    status: StatusCode::TOO_MANY_REQUESTS,
    reason: "your address has as many connections as one may have",
    headers: &[("retry-after", "5")],
};
pub(super) const SHUTTING_DOWN: Rejection = try_later("the server is shutting down");
pub(super) const DRAINING: Rejection = try_later("draining");
pub(super) const NOT_READ: Rejection = Rejection {
    status: StatusCode::METHOD_NOT_ALLOWED,
    reason: "this is read by GET",
    headers: &[("allow", "GET, HEAD")],
};
pub(super) const ONLY_METRICS: Rejection =
    Rejection { status: StatusCode::NOT_FOUND, reason: "here are only /metrics, /healthz and /readyz", headers: &[] };
pub(super) const NO_BODY: Rejection =
    Rejection { status: StatusCode::BAD_REQUEST, reason: "a stream of events takes no body", headers: &[] };
pub(super) const NOTHING_HERE: Rejection = Rejection {
    status: StatusCode::NOT_FOUND,
    reason: "nothing here; the WebSocket endpoint is /socket",
    headers: &[],
};
pub(super) const NOTHING_ELSE: Rejection =
    Rejection { reason: "nothing here; the WebSocket endpoint is /socket, and the console is at /", ..NOTHING_HERE };
