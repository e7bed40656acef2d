//! Makes a checked request a WebSocket.

use super::buffered_io::BufferedIo;
use super::response::text;
use crate::connection::Socket;
use crate::connection::peer::Arrival;
use crate::listener::limit::Permit;
use crate::worker::Worker;
use crate::worker::reader::Leftover;
use crate::worker::service::Service;
use http_body_util::Full;
use hubcast_protocol::{Dialect, SUBPROTOCOL};
use hyper::body::{Bytes, Incoming};
use hyper::header::{HeaderValue, SEC_WEBSOCKET_PROTOCOL};
use hyper::{Request, Response, StatusCode};
use hyper_tungstenite::HyperWebsocket;
use hyper_tungstenite::tungstenite::protocol::WebSocketConfig;
use std::rc::Rc;

/// Answers 101. After that the worker takes the socket.
pub(super) fn upgrade<S: Service>(
    worker: &Rc<Worker<S>>,
    request: &mut Request<Incoming>,
    dialect: Dialect,
    arrival: Arrival,
    permit: &Rc<Permit>,
) -> Response<Full<Bytes>> {
    // The library's stream is taken apart at once, but would allocate 128 KiB by default.
    let tiny = WebSocketConfig::default().read_buffer_size(0).write_buffer_size(0);
    let (mut response, websocket) = match hyper_tungstenite::upgrade(request, Some(tiny)) {
        Ok(upgrade) => upgrade,
        Err(fault) => return text(StatusCode::BAD_REQUEST, &fault.to_string()),
    };
    if dialect == Dialect::Typed {
        response.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(SUBPROTOCOL));
    }
    let opening = open(Rc::clone(worker), websocket, dialect, arrival, Rc::clone(permit));
    worker.spawn(opening);
    response.map(|_| Full::default())
}

/// Takes the socket back from hyper after the handshake was answered. This does not wait for the client.
async fn open<S: Service>(
    worker: Rc<Worker<S>>,
    websocket: HyperWebsocket,
    dialect: Dialect,
    arrival: Arrival,
    permit: Rc<Permit>,
) {
    let websocket = match websocket.await {
        Ok(websocket) => websocket,
        Err(fault) => return tracing::debug!(%fault, "an upgrade failed"),
    };
    match websocket.into_inner().into_inner().downcast::<BufferedIo>() {
        Ok(parts) => {
            let (socket, answer) = parts.io.into_parts();
            worker.open(Socket::Tcp(socket), Leftover { answer, frames: &parts.read_buf }, dialect, arrival, permit);
        }
        Err(_) => tracing::error!("an upgraded connection is not the socket that was served"),
    }
}
