//! HTTP on the same port: the routes, and the way from a request to a WebSocket.

use crate::connection::Socket;
use crate::handshake;
use crate::held::{HeldSocket, Hold};
use crate::limit::Permit;
use crate::paced::{Warning, Warnings};
use crate::service::Service;
use crate::worker::{Early, Worker};
use http_body_util::Full;
use hubcast_protocol::{Dialect, SUBPROTOCOL};
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONNECTION, CONTENT_TYPE, HeaderName, HeaderValue, ORIGIN, SEC_WEBSOCKET_PROTOCOL};
use hyper::server::conn::http1;
use hyper::{Method, Request, Response, StatusCode, Version, service::service_fn};
use hyper_tungstenite::HyperWebsocket;
use hyper_tungstenite::tungstenite::protocol::WebSocketConfig;
use hyper_util::rt::TokioTimer;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::yield_now;
use tokio::time::timeout;

/// Serves connections that are not WebSockets yet.
pub(crate) struct Http<S> {
    worker: Rc<Worker<S>>,
    draining: watch::Receiver<bool>,
    warnings: Arc<Warnings>,
}

/// An answer that says why a request is refused, and what to do instead.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Rejection {
    pub(crate) status: StatusCode,
    pub(crate) reason: &'static str,
    pub(crate) headers: Headers,
}

/// Names, in lower case, and values.
pub(crate) type Headers = &'static [(&'static str, &'static str)];

impl<S: Service> Http<S> {
    pub(crate) fn new(worker: Rc<Worker<S>>, draining: watch::Receiver<bool>, warnings: Arc<Warnings>) -> Rc<Self> {
        Rc::new(Self { worker, draining, warnings })
    }

    /// Answers one request of a client at `peer`, which may make the connection a WebSocket.
    pub(crate) async fn serve(self: Rc<Self>, stream: TcpStream, peer: SocketAddr, permit: Permit) {
        let config = self.worker.config();
        let (limits, times) = (config.http.clone(), config.timeouts.clone());
        let (permit, hold) = (Rc::new(permit), Hold::default());
        let socket = HeldSocket::new(stream, self.worker.turnstile(), hold.clone());
        let answer = service_fn(|request| {
            let version = request.version();
            let mut response = self.answer(request, peer, &permit);
            if version == Version::HTTP_10 {
                // hyper says in a newer answer that the connection stays, if that is asked for, beside our own word.
                *response.version_mut() = version;
            }
            if response.status() == StatusCode::SWITCHING_PROTOCOLS {
                hold.hold();
            }
            async { Ok::<_, Infallible>(response) }
        });
        let exchange = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(times.head)
            .max_headers(limits.headers)
            .max_buf_size(limits.head)
            .half_close(false)
            .serve_connection(socket, answer)
            .with_upgrades();
        // hyper ends a head that does not come; this ends an answer that is not read.
        let ended = tokio::select! {
            biased;
            ended = timeout(times.head.saturating_add(times.upgrade), exchange) => ended,
            () = make_room(&permit) => return tracing::debug!(%peer, "an HTTP connection made room for another one"),
        };
        match ended {
            Ok(Ok(())) => {}
            Ok(Err(fault)) => tracing::debug!(%peer, %fault, "an HTTP connection ended"),
            Err(_) => tracing::debug!(%peer, "an HTTP connection took too long"),
        }
    }

    fn answer(&self, mut request: Request<Incoming>, peer: SocketAddr, permit: &Rc<Permit>) -> Response<Full<Bytes>> {
        self.route(&mut request, permit).unwrap_or_else(|rejection| {
            self.note(&rejection, &request, peer);
            rejection.into_response()
        })
    }

    /// Says in the log who is refused and why; what an operator must hear is a warning besides.
    fn note(&self, rejection: &Rejection, request: &Request<Incoming>, peer: SocketAddr) {
        let (status, origin) = (rejection.status.as_u16(), request.headers().get(ORIGIN));
        tracing::debug!(%peer, status, reason = rejection.reason, ?origin, "refused a request");
        match *rejection {
            FULL => self.warnings.note(Warning::Full, Instant::now()),
            Rejection { status: StatusCode::FORBIDDEN, .. } => self.warnings.note(Warning::Origin, Instant::now()),
            _ => {}
        }
    }

    fn route(&self, request: &mut Request<Incoming>, permit: &Rc<Permit>) -> Result<Response<Full<Bytes>>, Rejection> {
        let path = request.uri().path();
        if self.worker.accepts(path) {
            let dialect = handshake::check(request, &self.worker.config().origins)?;
            return if self.is_draining() {
                Err(SHUTTING_DOWN)
            } else if !permit.become_websocket() {
                Err(FULL)
            } else {
                Ok(self.upgrade(request, dialect, permit))
            };
        }
        match (path, request.method()) {
            ("/healthz" | "/readyz", method) if !matches!(*method, Method::GET | Method::HEAD) => Err(NOT_READ),
            // Also when it is full: whoever asks whether the server lives would restart it.
            ("/healthz", _) => Ok(text(StatusCode::OK, "alive")),
            ("/readyz", _) if self.is_draining() => Err(DRAINING),
            ("/readyz", _) if permit.is_full() => Err(FULL),
            ("/readyz", _) => Ok(text(StatusCode::OK, "ready")),
            _ => Err(NOTHING_HERE),
        }
    }

    fn upgrade(&self, request: &mut Request<Incoming>, dialect: Dialect, permit: &Rc<Permit>) -> Response<Full<Bytes>> {
        // The stream that is made on the way is taken apart at once, but would allocate 128 KiB by default.
        let tiny = WebSocketConfig::default().read_buffer_size(0).write_buffer_size(0);
        let (mut response, websocket) = match hyper_tungstenite::upgrade(request, Some(tiny)) {
            Ok(upgrade) => upgrade,
            Err(fault) => return text(StatusCode::BAD_REQUEST, &fault.to_string()),
        };
        if dialect == Dialect::Typed {
            response.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(SUBPROTOCOL));
        }
        let opening = open(Rc::clone(&self.worker), websocket, dialect, Rc::clone(permit));
        self.worker.spawn(opening);
        response.map(|_| Full::default())
    }

    fn is_draining(&self) -> bool {
        *self.draining.borrow()
    }
}

/// Takes the socket back from hyper when the handshake has been answered, which needs nothing from the peer.
async fn open<S: Service>(worker: Rc<Worker<S>>, websocket: HyperWebsocket, dialect: Dialect, permit: Rc<Permit>) {
    let websocket = match websocket.await {
        Ok(websocket) => websocket,
        Err(fault) => return tracing::debug!(%fault, "an upgrade failed"),
    };
    match websocket.into_inner().into_inner().downcast::<HeldSocket>() {
        Ok(parts) => {
            let (socket, answer) = parts.io.into_parts();
            worker.open(Socket::Tcp(socket), Early { answer, frames: &parts.read_buf }, dialect, permit);
        }
        Err(_) => tracing::error!("an upgraded connection is not the socket that was served"),
    }
}

/// Completes when a connection has to make room for another. What has come by then is still answered: under a flood of
/// connections it may be there and not read yet.
async fn make_room(permit: &Permit) {
    permit.told_to_go().await;
    // The runtime looks for what has come before it goes on here.
    yield_now().await;
}

/// A short answer for people.
pub(crate) fn text(status: StatusCode, words: &str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(format!("{words}\n")));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    // Told here and not by hyper's builder, which would also write it into the answer to a handshake.
    headers.insert(CONNECTION, HeaderValue::from_static("close"));
    response
}

impl Rejection {
    fn into_response(self) -> Response<Full<Bytes>> {
        let mut response = text(self.status, self.reason);
        let headers = self.headers.iter();
        let headers = headers.map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
        response.headers_mut().extend(headers);
        response
    }
}

const FULL: Rejection = try_later("the server is full");
const SHUTTING_DOWN: Rejection = try_later("the server is shutting down");
const DRAINING: Rejection = try_later("draining");
const NOT_READ: Rejection = Rejection {
    status: StatusCode::METHOD_NOT_ALLOWED,
    reason: "this is read by GET",
    headers: &[("allow", "GET, HEAD")],
};
const NOTHING_HERE: Rejection = Rejection {
    status: StatusCode::NOT_FOUND,
    reason: "nothing here; the WebSocket endpoint is /socket",
    headers: &[],
};

const fn try_later(reason: &'static str) -> Rejection {
    Rejection { status: StatusCode::SERVICE_UNAVAILABLE, reason, headers: &[("retry-after", "5")] }
}
