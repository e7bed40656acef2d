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
pub(crate) mod metrics;
mod prepare;
mod process;
mod query;
mod rejections;
mod response;
mod timer;
mod upgrade;

use crate::config::LiveConfig;
use crate::connection::peer::Arrival;
use crate::listener::incoming::{Accepted, Door, Origin};
use crate::listener::limit::{NoRoom, Permit};
use crate::log::warnings::{Warning, Warnings};
use crate::metrics::WorkerMetrics;
use crate::metrics::kinds::RefusedHandshake;
use crate::trace_context::TraceContext;
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
use hyper::header::{CONNECTION, FORWARDED, HeaderMap, HeaderName, HeaderValue, ORIGIN};
use hyper::server::conn::http1;
use hyper::{Method, Request, Response, StatusCode, Version, service::service_fn};
use linger::linger;
use rejections::{
    DRAINING, FULL, NO_BODY, NOT_READ, NOTHING_ELSE, NOTHING_HERE, ONLY_METRICS, SHUTTING_DOWN, TOO_MANY_HERE,
};
use response::{Answer, Refusal, Rejection, close, text};
use std::convert::Infallible;
use std::future::pending;
use std::iter;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;
use timer::PatientTimer;
use tokio::sync::watch;
use upgrade::switching;

/// Serves connections that are not WebSockets yet.
pub(crate) struct Http<S> {
    worker: Rc<Worker<S>>,
    draining: watch::Receiver<bool>,
    warnings: Arc<Warnings>,
    /// `None` if the service has none.
    api: Option<Api>,
    settings: Arc<LiveConfig>,
    busy: Rc<AllBusy>,
}

impl<S: Service> Http<S> {
    pub(crate) fn new(
        worker: Rc<Worker<S>>,
        draining: watch::Receiver<bool>,
        warnings: Arc<Warnings>,
        api: Option<Api>,
        settings: Arc<LiveConfig>,
    ) -> Rc<Self> {
        Rc::new(Self { worker, draining, warnings, api, settings, busy: Rc::default() })
    }

    /// What the worker counts.
    pub(crate) fn metrics(&self) -> &WorkerMetrics {
        self.worker.metrics()
    }

    /// Waits until no request is being answered.
    pub(crate) async fn idle(&self) {
        self.busy.idle().await;
    }

    /// Answers the requests of a client, one after another. The connection may become a WebSocket.
    pub(crate) async fn serve(self: Rc<Self>, stream: Accepted, mut origin: Origin, permit: Permit) {
        let config = self.worker.config();
        let times = &config.timeouts;
        let Some(stream) = self.prepare(stream, &mut origin, &permit).await else { return };
        let peer = origin.peer;
        let (permit, exchange) = (Rc::new(permit), Exchange::new(Rc::clone(&self.busy)));
        let socket = BufferedIo::new(stream, config.http.head, self.worker.admission(), Rc::clone(&exchange));
        let session = api::Session::default();
        let service = service_fn(|request| Box::pin(self.answer(request, origin, &permit, (&session, &exchange))));
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
                self.count_broken(&fault);
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
                self.worker.open(socket, leftover, dialect, arrival, permit);
            }
            Some(Takeover::Events(stream)) => stream.begin(&self.worker, socket, &parts.read_buf, permit),
            None => linger(socket, &permit, config.linger_bytes, times.linger).await,
        }
    }

    async fn answer(
        &self,
        request: Request<Incoming>,
        origin: Origin,
        permit: &Permit,
        (session, exchange): (&api::Session, &Rc<Exchange>),
    ) -> Result<Response<AnswerBody>, Infallible> {
        let peer = origin.peer;
        let (_busy, began) = (exchange.busy(), Instant::now());
        self.note_proxy(request.headers());
        let (version, has_body) = (request.version(), !request.body().is_end_stream());
        let route = metrics::route(request.uri().path(), console::file(request.uri().path()).is_some());
        let answer = match self.route(&request, origin, permit, exchange) {
            Ok(Route::Answer(answer)) => {
                if answer.status() == StatusCode::UNAUTHORIZED {
                    tracing::debug!(%peer, "refused a request without a right token");
                    self.warnings.note(Warning::Token, Instant::now());
                }
                answer
            }
            Ok(Route::Api(api)) => {
                let (answer, number) = match self.is_draining() {
                    true => (api::shutting_down(), None),
                    false => {
                        let (head, body) = request.into_parts();
                        api.answer(&head, RequestBody::new(body), peer, session, exchange).await
                    }
                };
                if matches!(answer.status(), StatusCode::UNAUTHORIZED | StatusCode::TOO_MANY_REQUESTS) {
                    self.warnings.note(Warning::ApiKey, Instant::now());
                }
                let route = metrics::api_route(number);
                self.worker.metrics().note_http(route, answer.status().as_u16(), began.elapsed());
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
        self.worker.metrics().note_http(route, answer.status().as_u16(), began.elapsed());
        // Nobody reads the body, so where the next request begins is not known.
        let answer = if has_body { close(answer) } else { answer };
        Ok(of_version(version, answer.map(AnswerBody::from)))
    }

    /// Warns of a proxy in front of a server where everybody may do everything.
    fn note_proxy(&self, headers: &HeaderMap) {
        let is_passed_on = headers.contains_key(&FORWARDED) || headers.contains_key(&X_FORWARDED_FOR);
        if is_passed_on && self.settings.get().admission.default == Access::Anyone {
            self.warnings.note_proxy();
        }
    }

    /// Logs which client is refused, and why. Also counts a warning if an operator should know.
    fn note(&self, rejection: &Rejection, request: &Request<Incoming>, peer: SocketAddr) {
        let (status, origin) = (rejection.status.as_u16(), request.headers().get(ORIGIN));
        tracing::debug!(%peer, status, reason = rejection.reason, ?origin, "refused a request");
        if self.worker.accepts(request.uri().path()) {
            self.worker.metrics().note_refused(rejections::counted(rejection));
        }
        match *rejection {
            FULL => self.warnings.note(Warning::Full, Instant::now()),
            SHUTTING_DOWN => self.warnings.note(Warning::Draining, Instant::now()),
            Rejection { status: StatusCode::FORBIDDEN, .. } => self.warnings.note(Warning::Origin, Instant::now()),
            _ => {}
        }
    }

    fn route(
        &self,
        request: &Request<Incoming>,
        origin: Origin,
        permit: &Permit,
        exchange: &Exchange,
    ) -> Result<Route<'_>, Rejection> {
        let (config, door) = (&*self.settings.get(), origin.door);
        let path = request.uri().path();
        if let Some(api) = self.api.as_ref().filter(|_| path == "/metrics") {
            if !matches!(*request.method(), Method::GET | Method::HEAD) {
                return Err(NOT_READ);
            }
            let states = (door == Door::Metrics, self.is_draining());
            return Ok(Route::Answer(metrics::answer(api, request.headers(), origin.peer.ip(), states)));
        }
        if door == Door::Metrics && !matches!(path, "/healthz" | "/readyz") {
            return Err(ONLY_METRICS);
        }
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
                    self.worker.metrics().note_refused(rejections::counted_token(&refusal));
                    return Ok(Route::Answer(close(refusal.into_response())));
                }
            };
            if self.is_draining() {
                return Err(SHUTTING_DOWN);
            }
            self.take_place(request.headers(), origin, permit)?;
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
            ("/events", _) => Ok(self.events(request, origin, permit)),
            (path, _) if path.starts_with("/api/") || path == "/api" => match &self.api {
                Some(api) => Ok(Route::Api(api)),
                None => Err(nothing_here),
            },
            _ => Err(nothing_here),
        }
    }

    /// Begins a stream of server-sent events, or says why not.
    fn events(&self, request: &Request<Incoming>, origin: Origin, permit: &Permit) -> Route<'_> {
        let config = &*self.settings.get();
        let refused = |reason| self.worker.metrics().note_refused(reason);
        let stream = match events::check(request, config, Instant::now()) {
            Outcome::Begins(stream) => stream,
            Outcome::Answer(answer) => {
                match answer.status() {
                    StatusCode::UNAUTHORIZED => refused(RefusedHandshake::TokenMissing),
                    StatusCode::FORBIDDEN => refused(RefusedHandshake::Origin),
                    status if status.is_client_error() => refused(RefusedHandshake::Malformed),
                    _ => {}
                }
                return Route::Answer(answer);
            }
        };
        if self.is_draining() {
            refused(RefusedHandshake::Draining);
            return Route::Answer(events::try_later(config, stream.origin(), SHUTTING_DOWN.reason));
        }
        if let Err(rejection) = self.take_place(request.headers(), origin, permit) {
            match rejection {
                FULL => {
                    self.warnings.note(Warning::Full, Instant::now());
                    refused(RefusedHandshake::Limit);
                }
                _ => refused(RefusedHandshake::AddressLimit),
            }
            return Route::Answer(events::try_later(config, stream.origin(), rejection.reason));
        }
        Route::Events(stream)
    }

    /// Takes a place among all WebSockets, and among those of the client's address.
    fn take_place(&self, headers: &HeaderMap, origin: Origin, permit: &Permit) -> Result<(), Rejection> {
        let proxies = &self.settings.get().auth.trusted_proxies;
        let lines = iter::once_with(|| headers.get_all(&X_FORWARDED_FOR).iter().map(HeaderValue::as_bytes)).flatten();
        let client = proxies.client(origin.peer.ip(), lines);
        if client != origin.peer.ip().to_canonical() {
            permit.set_client(client);
        }
        let has_address = !origin.is_unix || permit.client().is_some();
        permit.become_websocket(has_address.then_some(client)).map_err(|no_room| match no_room {
            NoRoom::Full => FULL,
            NoRoom::Address => TOO_MANY_HERE,
        })
    }

    /// Who opens a WebSocket, as its token says. Without a token it may authenticate later.
    fn arrival(&self, request: &Request<Incoming>) -> Result<Arrival, Refusal> {
        let config = &*self.settings.get();
        let in_query = query::token(request.uri())?;
        if in_query.is_some() && config.auth.verifier.is_some() && !config.auth.query_tokens {
            let reason = "a token in the address of a WebSocket ends up in logs: send it as Authorization: Bearer, as \
                          the subprotocol hubcast.token.<token>, or by authenticate; or set tokens.query = true";
            return Err(Refusal::of(StatusCode::BAD_REQUEST, ErrorCode::InvalidRequest, reason));
        }
        let login = identity::of_request(request.headers(), in_query.as_deref(), config, Instant::now())?;
        let trace = TraceContext::of(request.headers());
        Ok(Arrival { login, trace, ..Arrival::default() })
    }

    /// Counts a connection whose bytes are no request.
    fn count_broken(&self, fault: &hyper::Error) {
        if fault.is_timeout() {
            self.worker.metrics().note_refused(RefusedHandshake::Timeout);
        } else if fault.is_parse() {
            self.worker.metrics().note_refused(RefusedHandshake::Malformed);
        }
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
