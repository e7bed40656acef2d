//! The HTTP API of backends: publish, see what is there, and act on clients.
//!
//! A request is checked in this order: its route, its key, its query, its body. Then a session of the hub does what it
//! asks for; all requests of one connection with one key share that session.

mod answer;
mod body;
mod clients;
mod key;
mod publish;
mod routes;
mod topics;

pub(super) use answer::AnswerBody;
pub(super) use body::RequestBody;
pub(super) use key::{KnownKey, of_request as api_key};

use super::X_FORWARDED_FOR;
use super::exchange::{Busy, Exchange};
use super::query::{Query, check_topic};
use super::response::Refusal;
use crate::auth::ApiKey;
use crate::config::{Config, LiveConfig};
use crate::hooks::{Hooks, NamedCounters};
use crate::log::access::{self, Change};
use crate::metrics::Metrics;
use crate::pubsub::caller::{Caller, Callers};
use answer::{ApiAnswer, text_of_json};
use body::invalid;
use hubcast_hub::Counters;
use hubcast_protocol::{ClientId, ErrorCode, Topic};
use hyper::body::Bytes;
use hyper::header::{CONNECTION, HeaderMap, HeaderValue};
use hyper::http::request;
use hyper::{Method, StatusCode};
use routes::{Found, Needs, Operation, Route};
use std::cell::RefCell;
use std::iter;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::Semaphore;
use tokio::time::sleep;
use uuid::Uuid;

/// The API, as one worker serves it.
#[derive(Clone, Debug)]
pub(crate) struct Api {
    settings: Arc<LiveConfig>,
    callers: Callers,
    /// When the server has started.
    started: Instant,
    /// Who has it reads a long body. So of many long bodies that come at once, others wait for one only.
    long_body: Arc<Semaphore>,
    hooks: Arc<Hooks>,
}

/// The session that the requests of one connection share, with its key.
#[derive(Debug, Default)]
pub(super) struct Session {
    caller: RefCell<Option<(Arc<ApiKey>, Rc<Caller>)>>,
    known_key: KnownKey,
}

/// One request whose key is checked.
struct Call<'a> {
    key: Arc<ApiKey>,
    session: &'a Session,
    address: IpAddr,
    /// The segment of the path in braces, decoded.
    of_path: Option<String>,
    query: Query,
    headers: &'a HeaderMap,
    body: &'a mut RequestBody,
    exchange: &'a Rc<Exchange>,
}

impl Api {
    /// The API of the worker of these callers. `started` is when the server has started.
    pub(crate) fn new(settings: Arc<LiveConfig>, callers: Callers, hooks: Arc<Hooks>, started: Instant) -> Self {
        Self { settings, callers, started, long_body: Arc::new(Semaphore::new(1)), hooks }
    }

    /// The hooks by their names, with what became of their events.
    pub(super) fn hooks(&self) -> Arc<Vec<NamedCounters>> {
        self.hooks.counters()
    }

    /// The settings in force.
    pub(super) fn config(&self) -> Arc<Config> {
        self.settings.get()
    }

    /// How often the settings were replaced, and how often others were refused.
    pub(super) fn reloads(&self) -> [u64; 2] {
        self.settings.reloads()
    }

    /// When the settings were put in force, in seconds since 1970-01-01 UTC.
    pub(super) fn settings_since(&self) -> u64 {
        self.settings.at()
    }

    /// What all workers have counted.
    pub(super) fn metrics(&self) -> &Metrics {
        self.callers.metrics()
    }

    /// What the hub has counted.
    pub(super) fn counters(&self) -> Counters {
        self.callers.with_hub(|hub| hub.counters())
    }

    /// Bytes of memory for what waits to be written to all connections, and the number of workers.
    pub(super) fn load(&self) -> (usize, usize) {
        self.callers.load()
    }

    /// Bytes of the mail that waits for workers, about.
    pub(super) fn mailbox_bytes(&self) -> usize {
        self.callers.mailbox_bytes()
    }

    /// Answers a request whose path begins with `/api`. Also returns the number of its route, if it has one.
    pub(super) async fn answer(
        &self,
        head: &request::Parts,
        mut body: RequestBody,
        address: SocketAddr,
        session: &Session,
        exchange: &Rc<Exchange>,
    ) -> (ApiAnswer, Option<usize>) {
        let mut number = None;
        let address = self.client_address(address.ip(), &head.headers);
        let answer = match routes::find(&head.method, head.uri.path()) {
            Found::Route(route, of_path) => {
                number = routes::number(route);
                let query = Query::read(&head.uri, route.query);
                self.call(route, of_path, query, (&head.headers, address, session, exchange), &mut body).await
            }
            Found::OtherMethods(allow) => Err(Refusal::method_not_allowed(allow)),
            Found::NotEncoded => Err(invalid("the topic in the path must be percent-encoded UTF-8")),
            Found::Nothing => Err(Refusal::new(StatusCode::NOT_FOUND, "not_found", NO_ROUTE)),
        };
        let mut answer = answer.unwrap_or_else(|refusal| {
            let (status, reason) = (refusal.status().as_u16(), refusal.reason());
            tracing::debug!(%address, status, reason, "refused a request of the API");
            refusal.into_answer()
        });
        if body.is_left() {
            answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        (answer, number)
    }

    /// The address of the client, which may stand behind proxies.
    pub(super) fn client_address(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        // Nothing is looked up for a peer that is no proxy.
        let lines = iter::once_with(|| headers.get_all(&X_FORWARDED_FOR).iter().map(HeaderValue::as_bytes)).flatten();
        self.config().auth.trusted_proxies.client(peer, lines)
    }

    async fn call(
        &self,
        route: &Route,
        of_path: Option<String>,
        query: Result<Query, Refusal>,
        (headers, address, session, exchange): (&HeaderMap, IpAddr, &Session, &Rc<Exchange>),
        body: &mut RequestBody,
    ) -> Result<ApiAnswer, Refusal> {
        if route.needs == Needs::Nothing {
            query?;
            return Ok(text_of_json(Bytes::from_static(OPENAPI.as_bytes())));
        }
        let key = key::of_request(headers, address, &self.config(), &session.known_key)?;
        if route.needs == Needs::Manage && !key.manage {
            let reason = "this API key may not manage: its settings need manage = true";
            return Err(Refusal::of(StatusCode::FORBIDDEN, ErrorCode::Forbidden, reason));
        }
        let mut call = Call { key, session, address, of_path, query: query?, headers, body, exchange };
        match route.operation {
            Operation::Publish => self.publish(&mut call).await,
            Operation::Topics => self.topics(&call),
            Operation::Topic => self.topic(&call),
            Operation::Presence => self.presence(&call).await,
            Operation::History => self.history(&call).await,
            Operation::DeleteHistory => self.delete_history(&call),
            Operation::Clients => self.clients(&call).await,
            Operation::Client => self.client(&call).await,
            Operation::Disconnect => self.disconnect(call).await,
            Operation::Subscribe => self.subscribe(call).await,
            Operation::Unsubscribe => self.unsubscribe(call).await,
            Operation::Stats => Ok(self.stats()),
            Operation::OpenApi => Ok(text_of_json(Bytes::from_static(OPENAPI.as_bytes()))),
        }
    }
}

impl Api {
    /// Reads the body of a call.
    async fn body(&self, call: &mut Call<'_>) -> Result<Bytes, Refusal> {
        call.body.read(call.headers, call.exchange.alarm(), self.config().timeouts.head).await
    }

    /// The session of a call. It is opened when it is first needed. A publisher whose receivers are far behind waits
    /// here.
    async fn caller(&self, call: &Call<'_>) -> Rc<Caller> {
        let caller = call.session.caller(&call.key, &self.callers);
        if caller.take_pause() {
            sleep(self.config().timeouts.publisher_pause).await;
        }
        caller
    }
}

impl Session {
    /// The session for this key. One with another key, or one that the hub has closed, is replaced.
    fn caller(&self, key: &Arc<ApiKey>, callers: &Callers) -> Rc<Caller> {
        let mut session = self.caller.borrow_mut();
        match &*session {
            Some((of, caller)) if Arc::ptr_eq(of, key) && caller.closed().is_none() => Rc::clone(caller),
            _ => {
                let (login, client) = (key.login(), ClientId::from_random(Uuid::new_v4().into_bytes()));
                let caller = Rc::new(callers.open(client, login.identity, login.credentials));
                *session = Some((Arc::clone(key), Rc::clone(&caller)));
                caller
            }
        }
    }
}

impl Call<'_> {
    /// The topic of the request, from its path or from `?topic=`.
    fn topic(&self, config: &Config) -> Result<Topic, Refusal> {
        let of_query = match self.of_path {
            Some(_) => None,
            None => self.query.one("topic")?,
        };
        let topic = routes::topic(self.of_path.as_deref(), of_query);
        let topic = topic.ok_or_else(|| invalid("the query parameter topic is needed"))?;
        check_topic(&topic, config)?;
        Ok(topic)
    }

    /// Notes that an answer is under way until the returned value is dropped.
    fn busy(&self) -> Busy {
        self.exchange.busy()
    }

    /// Logs what this call has changed.
    fn audit(&self, operation: &str, of: &str, count: u64) {
        access::changed(&self.change(operation, of, count));
    }

    /// Logs what this call has published.
    fn audit_published(&self, of: &str, count: usize) {
        access::published(&self.change("publish", of, count as u64));
    }

    fn change<'c>(&'c self, operation: &'c str, of: &'c str, count: u64) -> Change<'c> {
        Change { address: self.address, operation, key: &self.key.id, of, count, headers: self.headers }
    }
}

/// The answer of a server that shuts down.
pub(super) fn shutting_down() -> ApiAnswer {
    let refusal = answer::refusal(ErrorCode::Unavailable, "the server is shutting down").retry_after(5);
    let mut answer = refusal.into_answer();
    answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    answer
}

const NO_ROUTE: &str = "there is no such route; GET /api/openapi.json lists all of them";

/// The number of routes.
pub(super) const ROUTE_COUNT: usize = routes::ROUTES.len();

/// The path and the method of the route with this number.
pub(super) fn route_names(number: usize) -> (String, &'static str) {
    let route = &routes::ROUTES[number];
    let method = match route.method {
        Method::POST => "POST",
        Method::DELETE => "DELETE",
        _ => "GET",
    };
    (format!("/api/{}", route.path), method)
}

/// The description of the API.
const OPENAPI: &str = include_str!("api/openapi.json");
