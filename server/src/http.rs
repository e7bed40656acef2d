//! HTTP on the same port: the routes, and the way from a request to a WebSocket.

use crate::connection::Socket;
use crate::handshake;
use crate::held::{HeldSocket, Hold};
use crate::limit::Permit;
use crate::service::Service;
use crate::worker::{Early, Worker};
use http_body_util::Full;
use hubcast_protocol::{Dialect, SUBPROTOCOL};
use hyper::body::{Bytes, Incoming};
use hyper::header::{ALLOW, CONNECTION, CONTENT_TYPE, HeaderValue, RETRY_AFTER, SEC_WEBSOCKET_PROTOCOL};
use hyper::server::conn::http1;
use hyper::{Method, Request, Response, StatusCode, service::service_fn};
use hyper_tungstenite::HyperWebsocket;
use hyper_tungstenite::tungstenite::protocol::WebSocketConfig;
use hyper_util::rt::TokioTimer;
use std::convert::Infallible;
use std::rc::Rc;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::yield_now;
use tokio::time::timeout;

/// Serves connections that are not WebSockets yet.
pub(crate) struct Http<S> {
    worker: Rc<Worker<S>>,
    draining: watch::Receiver<bool>,
}

impl<S: Service> Http<S> {
    pub(crate) fn new(worker: Rc<Worker<S>>, draining: watch::Receiver<bool>) -> Rc<Self> {
        Rc::new(Self { worker, draining })
    }

    /// Answers one request, which may make the connection a WebSocket.
    pub(crate) async fn serve(self: Rc<Self>, stream: TcpStream, permit: Permit) {
        let config = self.worker.config();
        let (limits, times) = (config.http.clone(), config.timeouts.clone());
        let (permit, hold) = (Rc::new(permit), Hold::default());
        let socket = HeldSocket::new(stream, self.worker.turnstile(), hold.clone());
        let answer = service_fn(|request| {
            let response = self.answer(request, &permit);
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
            () = make_room(&permit) => return tracing::debug!("an HTTP connection made room for another one"),
        };
        match ended {
            Ok(Ok(())) => {}
            Ok(Err(fault)) => tracing::debug!(%fault, "an HTTP connection ended"),
            Err(_) => tracing::debug!("an HTTP connection took too long"),
        }
    }

    fn answer(&self, mut request: Request<Incoming>, permit: &Rc<Permit>) -> Response<Full<Bytes>> {
        let path = request.uri().path();
        if self.worker.accepts(path) {
            return match handshake::check(&request, &self.worker.config().origins) {
                Ok(_) if self.is_draining() => try_later("the server is shutting down"),
                Ok(_) if !permit.become_websocket() => try_later(FULL),
                Ok(dialect) => self.upgrade(&mut request, dialect, permit),
                Err(rejection) => rejection.into_response(),
            };
        }
        match (path, request.method()) {
            ("/healthz" | "/readyz", method) if !matches!(*method, Method::GET | Method::HEAD) => {
                let mut response = text(StatusCode::METHOD_NOT_ALLOWED, "this is read by GET");
                response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
                response
            }
            // Also when it is full: whoever asks whether the server lives would restart it.
            ("/healthz", _) => text(StatusCode::OK, "alive"),
            ("/readyz", _) if self.is_draining() => try_later("draining"),
            ("/readyz", _) if permit.is_full() => try_later(FULL),
            ("/readyz", _) => text(StatusCode::OK, "ready"),
            _ => text(StatusCode::NOT_FOUND, "nothing here; the WebSocket endpoint is /socket"),
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

fn try_later(words: &str) -> Response<Full<Bytes>> {
    let mut response = text(StatusCode::SERVICE_UNAVAILABLE, words);
    response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("5"));
    response
}

const FULL: &str = "the server is full";
