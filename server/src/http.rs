//! HTTP on the same port: the routes, and how the socket of a request becomes a WebSocket or a stream of events.

pub(crate) mod api;
mod buffered_io;
mod console;
pub(crate) mod events;
mod exchange;
mod files;
mod handshake;
mod host;
mod identity;
mod linger;
mod query;
mod response;
mod timer;
mod upgrade;

use crate::connection::Socket;
use crate::connection::peer::Arrival;
use crate::listener::limit::Permit;
use crate::log::warnings::{Warning, Warnings};
use crate::worker::Worker;
use crate::worker::reader::Leftover;
use crate::worker::service::Service;
use api::{AnswerBody, Api, RequestBody};
use buffered_io::BufferedIo;
use events::{Outcome, Stream};
use exchange::{AllBusy, Ended, Exchange, Limits, Takeover, drive};
use hubcast_hub::Access;
use hubcast_protocol::ErrorCode;
use hyper::body::{Body as _, Incoming};
use hyper::header::{CONNECTION, FORWARDED, HeaderMap, HeaderName, ORIGIN};
use hyper::server::conn::http1;
use hyper::{Method, Request, Response, StatusCode, Version, service::service_fn};
use linger::linger;
use response::{Answer, Refusal, Rejection, close, text, try_later};
use std::convert::Infallible;
use std::future::pending;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;
use timer::PatientTimer;
use tokio::net::TcpStream;
use tokio::sync::watch;
use upgrade::switching;

/// Serves connections that are not WebSockets yet.
pub(crate) struct Http<S> {
    worker: Rc<Worker<S>>,
    draining: watch::Receiver<bool>,
    warnings: Arc<Warnings>,
    /// `None` if the service has none.
    api: Option<Api>,
    busy: Rc<AllBusy>,
}

impl<S: Service> Http<S> {
    pub(crate) fn new(
        worker: Rc<Worker<S>>,
        draining: watch::Receiver<bool>,
        warnings: Arc<Warnings>,
        api: Option<Api>,
    ) -> Rc<Self> {
        Rc::new(Self { worker, draining, warnings, api, busy: Rc::default() })
    }

    /// Waits until no request is being answered.
    pub(crate) async fn idle(&self) {
        self.busy.idle().await;
    }

    /// Answers the requests of the client at `peer`, one after another. The connection may become a WebSocket.
    pub(crate) async fn serve(self: Rc<Self>, stream: TcpStream, peer: SocketAddr, permit: Permit) {
        let config = self.worker.config();
        let times = &config.timeouts;
        let (permit, exchange) = (Rc::new(permit), Exchange::new(Rc::clone(&self.busy)));
        let socket = BufferedIo::new(stream, config.http.head, self.worker.admission(), Rc::clone(&exchange));
        let session = api::Session::default();
        let service = service_fn(|request| Box::pin(self.answer(request, peer, &permit, (&session, &exchange))));
        let mut connection = http1::Builder::new()
            .timer(PatientTimer { alarm: exchange.alarm(), length: times.head })
            .header_read_timeout(times.head)
            .max_headers(config.http.headers)
            .max_buf_size(config.http.head)
            // A client that ends its sending direction after a request still gets it done, and gets the answer.
            .half_close(true)
            .serve_connection(socket, service);
        let limits = Limits { write: times.write, last_answer: times.close };
        match drive(&mut connection, &exchange, &permit, limits).await {
            Ended::Done => {}
            Ended::Broken(fault) => {
                tracing::debug!(%peer, %fault, "an HTTP connection ended");
                if !fault.is_parse() {
                    return;
                }
            }
            Ended::NotRead => return tracing::debug!(%peer, "an HTTP connection took too long"),
            Ended::MadeRoom => return tracing::debug!(%peer, "an HTTP connection made room for another one"),
        }
        let parts = connection.into_parts();
        let (socket, answer) = parts.io.into_parts();
        match exchange.take_takeover() {
            Some(Takeover::WebSocket(dialect, arrival)) => {
                let leftover = Leftover { answer, frames: &parts.read_buf };
                self.worker.open(Socket::Tcp(socket), leftover, dialect, arrival, permit);
            }
            Some(Takeover::Events(stream)) => stream.begin(&self.worker, socket, &parts.read_buf, permit),
            None => linger(socket, &permit, config.linger_bytes, times.linger).await,
        }
    }

    async fn answer(
        &self,
        request: Request<Incoming>,
        peer: SocketAddr,
        permit: &Permit,
        (session, exchange): (&api::Session, &Rc<Exchange>),
    ) -> Result<Response<AnswerBody>, Infallible> {
        let _busy = exchange.busy();
        self.note_proxy(request.headers());
        let (version, has_body) = (request.version(), !request.body().is_end_stream());
        let answer = match self.route(&request, permit, exchange) {
            Ok(Route::Answer(answer)) => {
                if answer.status() == StatusCode::UNAUTHORIZED {
                    tracing::debug!(%peer, "refused a request without a right token");
                    self.warnings.note(Warning::Token, Instant::now());
                }
                answer
            }
            Ok(Route::Api(api)) => {
                let answer = match self.is_draining() {
                    true => api::shutting_down(),
                    false => {
                        let (head, body) = request.into_parts();
                        api.answer(&head, RequestBody::new(body), peer, session, exchange).await
                    }
                };
                if matches!(answer.status(), StatusCode::UNAUTHORIZED | StatusCode::TOO_MANY_REQUESTS) {
                    self.warnings.note(Warning::ApiKey, Instant::now());
                }
                return Ok(of_version(version, answer));
            }
            Ok(Route::Events(stream)) => {
                exchange.hand_over(Takeover::Events(stream));
                return pending().await;
            }
            Err(rejection) => {
                self.note(&rejection, &request, peer);
                rejection.into_answer()
            }
        };
        // Nobody reads the body, so where the next request begins is not known.
        let answer = if has_body { close(answer) } else { answer };
        Ok(of_version(version, answer.map(AnswerBody::from)))
    }

    /// Warns of a proxy in front of a server where everybody may do everything.
    fn note_proxy(&self, headers: &HeaderMap) {
        let is_open = self.worker.config().admission.default == Access::Anyone;
        if is_open && (headers.contains_key(&FORWARDED) || headers.contains_key(&X_FORWARDED_FOR)) {
            self.warnings.note_proxy();
        }
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

    fn route(&self, request: &Request<Incoming>, permit: &Permit, exchange: &Exchange) -> Result<Route<'_>, Rejection> {
        let config = self.worker.config();
        let path = request.uri().path();
        // An orchestrator asks for these by address, and they say nothing that an attacker could use.
        if !matches!(path, "/healthz" | "/readyz") {
            host::check(request, &config.auth.hosts)?;
        }
        if self.worker.accepts(path) {
            let dialect = handshake::check(request, &config.origins, config.auth.verifier.is_some())?;
            let arrival = match self.arrival(request) {
                Ok(arrival) => arrival,
                Err(refusal) => {
                    tracing::debug!(reason = refusal.reason(), "a token is refused");
                    return Ok(Route::Answer(close(refusal.into_response())));
                }
            };
            if self.is_draining() {
                return Err(SHUTTING_DOWN);
            }
            if !permit.become_websocket() {
                return Err(FULL);
            }
            exchange.buffer_writes();
            exchange.hand_over(Takeover::WebSocket(dialect, arrival));
            return Ok(Route::Answer(switching(request, dialect)));
        }
        let text = |words| Ok(Route::Answer(text(StatusCode::OK, words)));
        if let Some(file) = console::file(path).filter(|_| config.console) {
            return match *request.method() {
                Method::GET | Method::HEAD => Ok(Route::Answer(file.answer(request.headers()))),
                _ => Err(NOT_READ),
            };
        }
        let nothing_here = if config.console { NOTHING_ELSE } else { NOTHING_HERE };
        match (path, request.method()) {
            ("/healthz" | "/readyz" | BROWSER_CLIENT, method) if !matches!(*method, Method::GET | Method::HEAD) => {
                Err(NOT_READ)
            }
            // Also when the server is full: otherwise an orchestrator would restart a server that is alive.
            ("/healthz", _) => text("alive"),
            ("/readyz", _) if self.is_draining() => Err(DRAINING),
            ("/readyz", _) if permit.is_full() => Err(FULL),
            ("/readyz", _) => text("ready"),
            (BROWSER_CLIENT, _) => Ok(Route::Answer(files::BROWSER_CLIENT.answer(request.headers()))),
            ("/events", _) if !request.body().is_end_stream() => Err(NO_BODY),
            ("/events", _) => Ok(self.events(request, permit)),
            (path, _) if path.starts_with("/api/") || path == "/api" => match &self.api {
                Some(api) => Ok(Route::Api(api)),
                None => Err(nothing_here),
            },
            _ => Err(nothing_here),
        }
    }

    /// Begins a stream of server-sent events, or says why not.
    fn events(&self, request: &Request<Incoming>, permit: &Permit) -> Route<'_> {
        let config = self.worker.config();
        let stream = match events::check(request, config, Instant::now()) {
            Outcome::Begins(stream) => stream,
            Outcome::Answer(answer) => return Route::Answer(answer),
        };
        if self.is_draining() {
            return Route::Answer(events::try_later(config, stream.origin(), SHUTTING_DOWN.reason));
        }
        if !permit.become_websocket() {
            self.warnings.note(Warning::Full, Instant::now());
            return Route::Answer(events::try_later(config, stream.origin(), FULL.reason));
        }
        Route::Events(stream)
    }

    /// Who opens a WebSocket, as its token says. Without a token it may authenticate later.
    fn arrival(&self, request: &Request<Incoming>) -> Result<Arrival, Refusal> {
        let config = self.worker.config();
        let in_query = query::token(request.uri())?;
        if in_query.is_some() && config.auth.verifier.is_some() && !config.auth.query_tokens {
            let reason = "a token in the address of a WebSocket ends up in logs: send it as Authorization: Bearer, as \
                          the subprotocol hubcast.token.<token>, or by authenticate; or set tokens.query = true";
            return Err(Refusal::of(StatusCode::BAD_REQUEST, ErrorCode::InvalidRequest, reason));
        }
        let login = identity::of_request(request.headers(), in_query.as_deref(), config, Instant::now())?;
        Ok(Arrival { login, ..Arrival::default() })
    }

    fn is_draining(&self) -> bool {
        *self.draining.borrow()
    }
}

/// Makes an answer fit the version of its request.
fn of_version(version: Version, mut answer: Response<AnswerBody>) -> Response<AnswerBody> {
    if version == Version::HTTP_10 && answer.headers().contains_key(CONNECTION) {
        // If the answer had a newer version than the request, hyper would add that the connection stays open when the
        // client asks for that, although our header says `close`.
        *answer.version_mut() = version;
    }
    answer
}

/// How a request is served.
enum Route<'a> {
    Answer(Answer),
    Api(&'a Api),
    /// By a stream of server-sent events.
    Events(Box<Stream>),
}

/// Where browsers get the client from.
const BROWSER_CLIENT: &str = "/hubcast.js";

/// What proxies add to the requests that they pass on, where RFC 7239's `Forwarded` is not used.
static X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

const FULL: Rejection = try_later("the server is full");
const SHUTTING_DOWN: Rejection = try_later("the server is shutting down");
const DRAINING: Rejection = try_later("draining");
const NOT_READ: Rejection = Rejection {
    status: StatusCode::METHOD_NOT_ALLOWED,
    reason: "this is read by GET",
    headers: &[("allow", "GET, HEAD")],
};
const NO_BODY: Rejection =
    Rejection { status: StatusCode::BAD_REQUEST, reason: "a stream of events takes no body", headers: &[] };
const NOTHING_HERE: Rejection = Rejection {
    status: StatusCode::NOT_FOUND,
    reason: "nothing here; the WebSocket endpoint is /socket",
    headers: &[],
};
const NOTHING_ELSE: Rejection =
    Rejection { reason: "nothing here; the WebSocket endpoint is /socket, and the console is at /", ..NOTHING_HERE };
