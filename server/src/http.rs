//! HTTP on the same port: the routes, and the upgrade of a request to a WebSocket.

mod buffered_io;
mod events;
mod handshake;
mod identity;
mod query;
mod response;
mod timer;
mod upgrade;

use crate::connection::peer::Arrival;
use crate::listener::limit::Permit;
use crate::log::warnings::{Warning, Warnings};
use crate::runtime::patience::PatientSleep;
use crate::worker::Worker;
use crate::worker::service::Service;
use buffered_io::{BufferWrites, BufferedIo};
use http_body_util::Full;
use hubcast_protocol::ErrorCode;
use hyper::body::{Bytes, Incoming};
use hyper::header::ORIGIN;
use hyper::server::conn::http1;
use hyper::{Method, Request, Response, StatusCode, Version, service::service_fn};
use identity::Shown;
use response::{Refusal, Rejection, text, try_later};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;
use timer::PatientTimer;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::yield_now;
use upgrade::upgrade;

/// Serves connections that are not WebSockets yet.
pub(crate) struct Http<S> {
    worker: Rc<Worker<S>>,
    draining: watch::Receiver<bool>,
    warnings: Arc<Warnings>,
}

impl<S: Service> Http<S> {
    pub(crate) fn new(worker: Rc<Worker<S>>, draining: watch::Receiver<bool>, warnings: Arc<Warnings>) -> Rc<Self> {
        Rc::new(Self { worker, draining, warnings })
    }

    /// Answers one request of the client at `peer`. The connection may become a WebSocket.
    pub(crate) async fn serve(self: Rc<Self>, stream: TcpStream, peer: SocketAddr, permit: Permit) {
        let config = self.worker.config();
        let (limits, times) = (config.http.clone(), config.timeouts.clone());
        let (permit, buffer_writes) = (Rc::new(permit), BufferWrites::default());
        let socket = BufferedIo::new(stream, limits.head, self.worker.admission(), buffer_writes.clone());
        let answer = service_fn(|request| {
            let version = request.version();
            let mut response = self.answer(request, peer, &permit);
            if version == Version::HTTP_10 {
                // If the answer had a newer version than the request, hyper would add that the connection stays open
                // when the client asks for that, although our header says `close`.
                *response.version_mut() = version;
            }
            if response.status() == StatusCode::SWITCHING_PROTOCOLS {
                buffer_writes.begin();
            }
            async { Ok::<_, Infallible>(response) }
        });
        let exchange = http1::Builder::new()
            .timer(PatientTimer)
            .header_read_timeout(times.head)
            .max_headers(limits.headers)
            .max_buf_size(limits.head)
            .half_close(false)
            .serve_connection(socket, answer)
            .with_upgrades();
        // hyper has a timeout for the request head. This timeout is for a client that does not read the answer.
        tokio::select! {
            biased;
            ended = exchange => {
                if let Err(fault) = ended {
                    tracing::debug!(%peer, %fault, "an HTTP connection ended");
                }
            }
            () = PatientSleep::new(times.head.saturating_add(times.upgrade)) => {
                tracing::debug!(%peer, "an HTTP connection took too long");
            }
            () = make_room(&permit) => tracing::debug!(%peer, "an HTTP connection made room for another one"),
        }
    }

    fn answer(&self, mut request: Request<Incoming>, peer: SocketAddr, permit: &Rc<Permit>) -> Response<Full<Bytes>> {
        self.route(&mut request, permit).unwrap_or_else(|rejection| {
            self.note(&rejection, &request, peer);
            rejection.into_response()
        })
    }

    /// Logs which client is refused, and why. Also counts a warning if an operator should know.
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
            let arrival = match self.arrival(request) {
                Ok(arrival) => arrival,
                Err(refusal) => return Ok(refusal.into_response()),
            };
            return if self.is_draining() {
                Err(SHUTTING_DOWN)
            } else if !permit.become_websocket() {
                Err(FULL)
            } else {
                Ok(upgrade(&self.worker, request, dialect, arrival, permit))
            };
        }
        match (path, request.method()) {
            ("/healthz" | "/readyz", method) if !matches!(*method, Method::GET | Method::HEAD) => Err(NOT_READ),
            // Also when the server is full: otherwise an orchestrator would restart a server that is alive.
            ("/healthz", _) => Ok(text(StatusCode::OK, "alive")),
            ("/readyz", _) if self.is_draining() => Err(DRAINING),
            ("/readyz", _) if permit.is_full() => Err(FULL),
            ("/readyz", _) => Ok(text(StatusCode::OK, "ready")),
            _ => Err(NOTHING_HERE),
        }
    }

    /// Who opens a WebSocket, as its token says. Without a token it may authenticate later.
    fn arrival(&self, request: &Request<Incoming>) -> Result<Arrival, Refusal> {
        let config = self.worker.config();
        let in_query = query::token(request.uri());
        if in_query.is_some() && config.auth.verifier.is_some() && !config.auth.query_tokens {
            let reason = "a token in the address of a WebSocket ends up in logs: send it as Authorization: Bearer, as \
                          the subprotocol hubcast.token.<token>, or by authenticate; or set tokens.query = true";
            return Err(Refusal::of(StatusCode::BAD_REQUEST, ErrorCode::InvalidRequest, reason));
        }
        let login = match identity::of_request(request.headers(), in_query.as_deref(), config, Instant::now())? {
            Shown::Login(login) => Some(login),
            Shown::Nothing => None,
        };
        Ok(Arrival { login, ..Arrival::default() })
    }

    fn is_draining(&self) -> bool {
        *self.draining.borrow()
    }
}

/// Completes when the connection has to make room for another one. A request that has come by then is still answered:
/// when very many connections come, it may have arrived without being read yet.
async fn make_room(permit: &Permit) {
    permit.asked_to_leave().await;
    // The runtime looks for arrived bytes before it resumes this task.
    yield_now().await;
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
