//! Server-sent events at `/events`: a request becomes a stream that the worker writes like any connection.
//!
//! A browser's `EventSource` gives up for good after any status but 200. So what is only temporary, such as a server
//! that is full, is a stream that ends at once and says when to come back.

use super::identity;
use super::query::{Query, check_topic};
use super::response::Refusal;
use crate::config::Config;
use crate::connection::Socket;
use crate::connection::event_stream::EventStream;
use crate::connection::peer::Arrival;
use crate::listener::limit::Permit;
use crate::trace_context::TraceContext;
use crate::worker::Worker;
use crate::worker::reader::Leftover;
use crate::worker::service::Service;
use http_body_util::Full;
use hubcast_hub::{Login, MemberName, Permission};
use hubcast_protocol::event::{Closing, Gap, GapReason};
use hubcast_protocol::request::{Start, Subscribe};
use hubcast_protocol::{
    Action, CloseCode, Dialect, Epoch, ErrorCode, Event, Pattern, Position, Slow, Target, Topic, event_stream,
};
use hyper::body::Bytes;
use hyper::header::{
    ACCEPT, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN, CACHE_CONTROL,
    CONNECTION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, ORIGIN, VARY,
};
use hyper::{Method, Request, Response, StatusCode};
use socket2::SockRef;
use std::rc::Rc;
use std::time::{Duration, Instant, SystemTime};

/// A stream that may begin: what its request asked for, checked.
#[derive(Debug)]
pub(crate) struct Stream {
    login: Option<Login>,
    subscribes: Vec<Subscribe>,
    /// Blocks that come before everything else.
    first: String,
    shows_pings: bool,
    /// The origin that may read it, if the request named one.
    origin: Option<HeaderValue>,
    trace: Option<TraceContext>,
}

/// The outcome of a request to `/events`.
pub(crate) enum Outcome {
    /// The worker takes the socket.
    Begins(Box<Stream>),
    /// An ordinary answer.
    Answer(Response<Full<Bytes>>),
}

/// Checks a request to `/events`.
pub(crate) fn check<B>(request: &Request<B>, config: &Config, now: Instant) -> Outcome {
    let origin = match allowed_origin(request.headers(), &config.origins) {
        Ok(origin) => origin,
        Err(refusal) => return Outcome::Answer(refusal.into_response()),
    };
    let answer = match *request.method() {
        Method::OPTIONS => preflight(),
        Method::GET | Method::HEAD => match read(request, config, now) {
            Ok(stream) if *request.method() == Method::GET => {
                return Outcome::Begins(Box::new(Stream { origin, ..stream }));
            }
            Ok(_) => response(StatusCode::OK, String::new()),
            Err(refusal) => refusal.into_response(),
        },
        _ => Refusal::method_not_allowed("GET, HEAD, OPTIONS").into_response(),
    };
    Outcome::Answer(with_origin(answer, origin))
}

/// The answer when the server has no room now or shuts down: a stream that ends and says when to come back.
pub(crate) fn try_later(config: &Config, origin: Option<HeaderValue>, reason: &'static str) -> Response<Full<Bytes>> {
    let back_in = u64::try_from(config.drain.spread.as_millis()).unwrap_or(u64::MAX).max(RETRY_MIN_MS);
    let closing = Closing { code: CloseCode::TRY_AGAIN_LATER, reason: reason.into(), reconnect_in_ms: Some(back_in) };
    let closing = event_stream::encode(&Event::Closing(closing), true).unwrap_or_default();
    with_origin(response(StatusCode::OK, closing), origin)
}

impl Stream {
    /// The origin that may read it.
    pub(crate) fn origin(&self) -> Option<HeaderValue> {
        self.origin.clone()
    }

    /// Begins the stream on a socket that hyper has given back. `early` is what came after the request.
    pub(crate) fn begin<S: Service>(self, worker: &Rc<Worker<S>>, socket: Socket, early: &[u8], permit: Rc<Permit>) {
        notice_loss(&socket);
        let Self { login, subscribes, first, shows_pings, origin, trace } = self;
        let retry = RETRY_MIN_MS + u64::from(worker.random()[0]) * RETRY_SPREAD_MS / 255;
        let begin = event_stream::encode_begin(concat!("hubcast/", env!("CARGO_PKG_VERSION")), retry);
        let answer = head(origin.as_ref()) + &begin + &first;
        let is_of_one = matches!(&subscribes[..], [Subscribe { target: Target::Topic(_), .. }]);
        let dialect = if is_of_one { Dialect::EventStream } else { Dialect::JoinedEventStream };
        let topics = subscribes.iter().filter_map(|subscribe| match &subscribe.target {
            Target::Topic(topic) if !is_of_one => Some((topic.clone(), position(&subscribe.start))),
            _ => None,
        });
        let stream = Some(Box::new(EventStream::new(topics.collect(), shows_pings)));
        let requests = requests(login.as_ref(), subscribes);
        let arrival = Arrival { login, requests, trace, stream };
        let leftover = Leftover { answer: answer.into_bytes(), frames: early };
        worker.open(socket, leftover, dialect, arrival, permit);
    }
}

/// Reads and checks all that a request asks for.
fn read<B>(request: &Request<B>, config: &Config, now: Instant) -> Result<Stream, Refusal> {
    if !accepts_event_stream(request.headers()) {
        let reason = "this answers with text/event-stream, which Accept excludes";
        return Err(Refusal::new(StatusCode::NOT_ACCEPTABLE, "not_acceptable", reason));
    }
    let query = Query::read(request.uri(), &KNOWN)?;
    let login = identity::of_request(request.headers(), query.one("token")?, config, now)?;
    if login.is_none() && config.admission.token_required {
        return Err(identity::token_needed());
    }
    let asked = Asked::read(&query, request.headers(), config)?;
    let (subscribes, first) = asked.subscribes(login.as_ref(), config)?;
    let trace = TraceContext::of(request.headers());
    Ok(Stream { login, subscribes, first, shows_pings: asked.shows_pings, origin: None, trace })
}

/// What a request asks for.
struct Asked {
    topics: Vec<Topic>,
    patterns: Vec<Pattern>,
    last: Option<u32>,
    /// The positions to resume from: one for each topic, `None` where it is not known any more.
    resumed: Option<Vec<Option<Position>>>,
    presence: bool,
    slow: Slow,
    shows_pings: bool,
}

impl Asked {
    fn read(query: &Query, headers: &HeaderMap, config: &Config) -> Result<Self, Refusal> {
        let topics: Vec<_> = query.all("topic").map(Topic::from).collect();
        let patterns = query.all("pattern").map(|text| text.parse::<Pattern>());
        let patterns: Vec<_> = patterns
            .collect::<Result<_, _>>()
            .map_err(|fault| invalid(ErrorCode::InvalidPattern, fault.to_string()))?;
        topics.iter().try_for_each(|topic| check_topic(topic, config))?;
        if !(1..=MAX_SUBSCRIPTIONS).contains(&(topics.len() + patterns.len())) {
            let reason =
                format!("a stream has 1 to {MAX_SUBSCRIPTIONS} topics and patterns, such as /events?topic=world");
            return Err(invalid(ErrorCode::InvalidRequest, reason));
        }
        // A browser repeats the address of its first request for ever, and says in the header how far it has come.
        let id = headers.get("last-event-id").map(|id| String::from_utf8_lossy(id.as_bytes()).into_owned());
        let id = id.or(query.one("last_event_id")?.map(str::to_owned));
        let resumed = id.map(|id| {
            let positions = event_stream::decode_positions(&id, topics.len());
            positions.into_iter().map(|position| position.ok().flatten()).collect()
        });
        Ok(Self {
            last: query.parsed("last", "a whole number")?,
            presence: query.flag("presence")?,
            slow: match query.one("slow")? {
                None | Some("disconnect") => Slow::Disconnect,
                Some("drop") => Slow::Drop,
                Some("latest") => Slow::Latest,
                Some(_) => return Err(invalid(ErrorCode::InvalidRequest, "slow is disconnect, drop or latest")),
            },
            shows_pings: match query.one("ping")? {
                None | Some("comment") => false,
                Some("event") => true,
                Some(_) => return Err(invalid(ErrorCode::InvalidRequest, "ping is event or comment")),
            },
            topics,
            patterns,
            resumed,
        })
    }

    /// The subscriptions, if all of them are granted, and the gaps that are known before they begin.
    fn subscribes(&self, login: Option<&Login>, config: &Config) -> Result<(Vec<Subscribe>, String), Refusal> {
        let (mut subscribes, mut first) = (Vec::new(), String::new());
        let may = |permission, target: &Target| identity::may(login, permission, target, config);
        for (number, topic) in self.topics.iter().enumerate() {
            let target = Target::Topic(topic.clone());
            may(Permission::Subscribe, &target)?;
            if self.presence {
                may(Permission::Presence, &target)?;
            }
            let start = match (&self.resumed, self.last) {
                // A reader that may not read the past goes on live. An error would end a browser's stream for good.
                (Some(_), _) if may(Permission::History, &target).is_err() => {
                    first.push_str(&gap(topic.as_str()));
                    Start::Live
                }
                (Some(resumed), last) => {
                    let after = resumed.get(number).copied().flatten().unwrap_or(UNKNOWN);
                    last.map_or(Start::After(after), |last| Start::AfterOrLast(after, last))
                }
                (None, Some(last)) if last > 0 => {
                    may(Permission::History, &target)?;
                    Start::Last(last)
                }
                (None, _) => Start::Live,
            };
            subscribes.push(Subscribe { target, start, presence: self.presence, slow: self.slow });
        }
        for pattern in &self.patterns {
            let target = Target::Pattern(pattern.clone());
            may(Permission::Subscribe, &target)?;
            if self.resumed.is_some() {
                first.push_str(&gap(pattern.as_str()));
            }
            subscribes.push(Subscribe { slow: self.slow, ..Subscribe::live(target) });
        }
        if self.topics.is_empty() {
            // A stream of patterns has no positions. This tells a browser that comes back from one that is new.
            first.push_str(&event_stream::encode_positions([&None]));
        }
        Ok((subscribes, first))
    }
}

/// What the hub is asked first. The private topic of a user comes only if the request names it.
fn requests(login: Option<&Login>, subscribes: Vec<Subscribe>) -> Vec<Action> {
    let user = login.and_then(|login| match &login.identity.name {
        MemberName::User(user) => Some(Target::Topic(format!("@{user}").into())),
        _ => None,
    });
    let unheard = user.filter(|own| subscribes.iter().all(|subscribe| subscribe.target != *own));
    unheard.map(Action::Unsubscribe).into_iter().chain(subscribes.into_iter().map(Action::Subscribe)).collect()
}

/// The position that a subscription resumes from.
fn position(start: &Start) -> Option<Position> {
    match start {
        Start::After(position) | Start::AfterOrLast(position, _) => Some(*position).filter(|at| *at != UNKNOWN),
        _ => None,
    }
}

/// The gap of a topic or pattern of which the reader may have missed something.
fn gap(name: &str) -> String {
    let reason = GapReason::NotRecoverable;
    let gap = Gap { topic: name.into(), from: None, to: None, epoch: None, offset: None, reason };
    event_stream::encode(&Event::Gap(gap), true).unwrap_or_default()
}

/// The head of the answer. The end of the connection ends the body, so that the bytes of a publication are the same
/// for all streams.
fn head(origin: Option<&HeaderValue>) -> String {
    let mut head = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: {EVENT_STREAM}\r\ncache-control: {NOT_KEPT}\r\nx-accel-buffering: no\r\n\
         connection: close\r\ndate: {}\r\n",
        httpdate::fmt_http_date(SystemTime::now())
    );
    if let Some(origin) = origin.and_then(|origin| origin.to_str().ok()) {
        head.push_str(&format!("access-control-allow-origin: {origin}\r\nvary: origin\r\n"));
    }
    head + "\r\n"
}

fn response(status: StatusCode, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(EVENT_STREAM));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static(NOT_KEPT));
    headers.insert(HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));
    headers.insert(CONNECTION, HeaderValue::from_static("close"));
    response
}

/// The answer to a browser that asks whether a page of another origin may read this.
fn preflight() -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::default());
    *response.status_mut() = StatusCode::NO_CONTENT;
    let headers = response.headers_mut();
    headers.insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("GET, HEAD"));
    let allowed = HeaderValue::from_static("authorization, last-event-id, cache-control");
    headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, allowed);
    response
}

fn with_origin(mut response: Response<Full<Bytes>>, origin: Option<HeaderValue>) -> Response<Full<Bytes>> {
    if let Some(origin) = origin {
        response.headers_mut().insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        response.headers_mut().insert(VARY, HeaderValue::from_static("origin"));
    }
    response
}

/// The origin of the page that asks, if it may read the answer. A request without one does not come from a page of
/// another origin.
fn allowed_origin(headers: &HeaderMap, origins: &[String]) -> Result<Option<HeaderValue>, Refusal> {
    let mut all = headers.get_all(ORIGIN).iter();
    let origin = all.next().filter(|origin| origin.to_str().is_ok()).cloned();
    let is_listed = |origin: &HeaderValue| origins.iter().any(|listed| listed.as_bytes() == origin.as_bytes());
    let is_allowed = all.next().is_none() && (origins.is_empty() || origin.as_ref().is_none_or(is_listed));
    if is_allowed {
        Ok(origin)
    } else {
        Err(Refusal::new(StatusCode::FORBIDDEN, "forbidden", "this Origin is not let in"))
    }
}

/// Whether `Accept` lets the answer be an event stream (RFC 9110 section 12.5.1).
fn accepts_event_stream(headers: &HeaderMap) -> bool {
    let mut accepted =
        headers.get_all(ACCEPT).iter().flat_map(|list| list.as_bytes().split(|byte| *byte == b',')).peekable();
    if accepted.peek().is_none() {
        return true;
    }
    accepted.any(|range| {
        let range = String::from_utf8_lossy(range).to_ascii_lowercase();
        let mut parts = range.split(';').map(str::trim);
        let is_it = matches!(parts.next(), Some("*/*" | "text/*" | EVENT_STREAM));
        is_it && !parts.any(|part| matches!(part, "q=0" | "q=0.0" | "q=0.00" | "q=0.000"))
    })
}

/// Has the system end the connection when the reader acknowledges nothing for a while.
fn notice_loss(socket: &Socket) {
    #[cfg(target_os = "linux")]
    if let Some(socket) = socket.tcp()
        && let Err(fault) = SockRef::from(socket).set_tcp_user_timeout(Some(LOST_AFTER))
    {
        tracing::debug!(%fault, "a lost reader will be noticed late");
    }
    #[cfg(not(target_os = "linux"))]
    let _ = (socket, LOST_AFTER);
}

fn invalid(code: ErrorCode, reason: impl Into<std::borrow::Cow<'static, str>>) -> Refusal {
    Refusal::of(StatusCode::BAD_REQUEST, code, reason)
}

/// The parameters of a request.
const KNOWN: [&str; 8] = ["topic", "pattern", "last", "last_event_id", "slow", "presence", "ping", "token"];

const EVENT_STREAM: &str = "text/event-stream";
const NOT_KEPT: &str = "no-cache, no-store, no-transform";

/// Most topics and patterns of one stream.
const MAX_SUBSCRIPTIONS: usize = 16;

/// A reader whose connection breaks comes back after 1 to 5 seconds, each after another time, so that not all come at
/// once.
const RETRY_MIN_MS: u64 = 1_000;
const RETRY_SPREAD_MS: u64 = 4_000;

/// The time after which a reader that acknowledges nothing counts as lost.
const LOST_AFTER: Duration = Duration::from_secs(30);

/// A position that no history has: what came before cannot be known.
const UNKNOWN: Position = Position { epoch: Epoch::OF_NONE, offset: 0 };
