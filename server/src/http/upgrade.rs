//! The answer that makes a checked request a WebSocket.

use super::response::Answer;
use hubcast_protocol::{Dialect, SUBPROTOCOL};
use hyper::header::{
    CONNECTION, HeaderValue, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL, UPGRADE,
};
use hyper::{Request, StatusCode};
use hyper_tungstenite::tungstenite::handshake::derive_accept_key;

/// Answers 101. After that the socket is taken from hyper.
pub(super) fn switching<B>(request: &Request<B>, dialect: Dialect) -> Answer {
    let mut response = Answer::default();
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    let key = request.headers().get(SEC_WEBSOCKET_KEY).map_or(&[][..], HeaderValue::as_bytes);
    // Base64, so always a valid value.
    if let Ok(accept) = HeaderValue::from_str(&derive_accept_key(key)) {
        headers.insert(SEC_WEBSOCKET_ACCEPT, accept);
    }
    if dialect == Dialect::Typed {
        headers.insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(SUBPROTOCOL));
    }
    response
}
