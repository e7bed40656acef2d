//! Clients: who is connected, and what an operator does to them.

use super::answer::{ApiAnswer, json, refusal};
use super::body::{invalid, read_json};
use super::topics::{page, unexpected, with_cursor};
use super::{Api, Call};
use crate::connection::facts::ConnectionFacts;
use crate::http::process;
use crate::http::query::check_topic;
use crate::http::response::Refusal;
use crate::pubsub::caller::Reply;
use crate::wall_clock::unix_now;
use hubcast_hub::{Hub, Operation, SessionInfo, Whom};
use hubcast_protocol::{ClientId, CloseCode, Dialect, ErrorCode, Pattern, Target, Topic};
use hyper::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json as object};
use std::io;
use std::sync::Arc;
use tokio::task::spawn_blocking;

/// The body of what is done to clients.
#[derive(Deserialize)]
struct Fields {
    #[serde(default)]
    client: Option<String>,
    #[serde(default)]
    user: Option<Box<str>>,
    #[serde(default)]
    topic: Option<String>,
    #[serde(default)]
    pattern: Option<String>,
    #[serde(default)]
    code: Option<f64>,
    #[serde(default)]
    until: Option<f64>,
}

impl Api {
    /// A page of the clients that are connected.
    pub(super) async fn clients(&self, call: &Call<'_>) -> Result<ApiAnswer, Refusal> {
        let (limit, cursor) = page(call)?;
        let only_slow = call.query.flag("slow")?;
        let read = |hub: &Hub| {
            let page = hub.sessions_page(cursor, limit);
            let sessions = page.items.iter().map(|info| info.session).collect();
            (page, sessions)
        };
        let (page, facts) = self.callers.describe(read).await;
        let is_slow = |info: &SessionInfo| facts.get(&info.session).is_some_and(|facts| facts.waiting > 0);
        let clients = page.items.iter().filter(|info| !only_slow || is_slow(info));
        let clients = clients.map(|info| shown(info, facts.get(&info.session))).collect();
        Ok(json(&with_cursor("clients", clients, page.next)))
    }

    /// One client, with its subscriptions.
    pub(super) async fn client(&self, call: &Call<'_>) -> Result<ApiAnswer, Refusal> {
        let client = client(call.of_path.as_deref().unwrap_or_default())?;
        let read = |hub: &Hub| {
            let found = hub.session_of(client, MAX_SUBSCRIPTIONS);
            let session = found.iter().map(|(info, _)| info.session).collect();
            (found, session)
        };
        let (Some((info, targets)), facts) = self.callers.describe(read).await else {
            let reason = "no client with this id is connected now";
            return Err(Refusal::new(StatusCode::NOT_FOUND, "no_such_client", reason));
        };
        let targets = targets.iter().map(|target| match target {
            Target::Topic(topic) => object!({"topic": topic}),
            Target::Pattern(pattern) => object!({"pattern": pattern.as_str()}),
        });
        let mut shown = shown(&info, facts.get(&info.session));
        shown["subscribed"] = targets.collect();
        Ok(json(&shown))
    }

    /// Closes the connections of a client or a user.
    pub(super) async fn disconnect(&self, mut call: Call<'_>) -> Result<ApiAnswer, Refusal> {
        let body = self.body(&mut call).await?;
        let fields: Fields = read_json(&body)?;
        let (whom, name) = whom(&fields)?;
        let (code, reason) = match fields.code.map(whole) {
            None | Some(Some(4502)) => (CloseCode::DISCONNECTED, "disconnected by the operator"),
            Some(Some(4004)) => (CloseCode::MOVED, "moved by the operator"),
            Some(_) => return Err(invalid("code is 4004 or 4502")),
        };
        if let Some(until) = fields.until {
            let until = whole(until).ok_or_else(|| invalid("until is a time in whole seconds since 1970"))?;
            self.revoke(&whom, until).await?;
        }
        let operation = Operation::Disconnect { code, reason: reason.into() };
        let disconnected = self.operated(&call, whom, operation).await?;
        call.audit("disconnect", &name, disconnected);
        Ok(json(&object!({"disconnected": disconnected})))
    }

    /// Subscribes the connections of a client or a user to a topic or a pattern.
    pub(super) async fn subscribe(&self, call: Call<'_>) -> Result<ApiAnswer, Refusal> {
        self.with_target(call, "subscribe", "subscribed", Operation::Subscribe).await
    }

    /// Ends a subscription of the connections of a client or a user.
    pub(super) async fn unsubscribe(&self, call: Call<'_>) -> Result<ApiAnswer, Refusal> {
        self.with_target(call, "unsubscribe", "unsubscribed", Operation::Unsubscribe).await
    }

    /// Does something with a topic or a pattern, and answers to how many sessions it was done.
    async fn with_target(
        &self,
        mut call: Call<'_>,
        name: &str,
        done: &str,
        operation: fn(Target) -> Operation,
    ) -> Result<ApiAnswer, Refusal> {
        let body = self.body(&mut call).await?;
        let fields: Fields = read_json(&body)?;
        let ((whom, of), target) = (whom(&fields)?, self.target(&fields)?);
        let sessions = self.operated(&call, whom, operation(target)).await?;
        call.audit(name, &of, sessions);
        Ok(json(&object!({done: sessions})))
    }

    /// Does something to sessions, and returns to how many.
    async fn operated(&self, call: &Call<'_>, whom: Whom, operation: Operation) -> Result<u64, Refusal> {
        match self.caller(call).await.operate(whom, operation).reply().await? {
            Reply::Operated(sessions) => Ok(sessions),
            _ => Err(unexpected()),
        }
    }

    /// Counters of the server.
    pub(super) fn stats(&self) -> ApiAnswer {
        let counters = self.callers.with_hub(|hub| hub.counters());
        let (waiting_bytes, workers) = self.callers.load();
        let mut stats = object!({
            "server": concat!("hubcast/", env!("CARGO_PKG_VERSION")),
            "uptime_seconds": self.started.elapsed().as_secs(),
            "workers": workers,
            "waiting_bytes": waiting_bytes,
            "sessions": counters.sessions,
            "channels": counters.channels,
            "histories": counters.histories,
            "history_bytes": counters.history_bytes,
            "requests": counters.requests.sum(),
            "refusals": counters.refusals.sum(),
            "publications": counters.publications.sum(),
            "duplicates": counters.duplicates.sum(),
            "deliveries": counters.deliveries,
        });
        if let Some(bytes) = process::resident_bytes() {
            stats["memory_bytes"] = bytes.into();
        }
        json(&stats)
    }

    /// Refuses the tokens of a user until this time. It waits for the disk on another thread.
    async fn revoke(&self, whom: &Whom, until: u64) -> Result<(), Refusal> {
        let Whom::User(user) = whom else {
            return Err(invalid("until goes with a user, whose tokens are refused until then"));
        };
        let (revocations, user) = (Arc::clone(&self.config().auth.revocations), user.clone());
        let revoked = spawn_blocking(move || revocations.revoke(&user, until, unix_now())).await;
        match revoked.map_err(io::Error::other).flatten() {
            Ok(()) => Ok(()),
            Err(fault) => {
                self.metrics().note_state_write_failure();
                tracing::error!(%fault, "a user's tokens are refused, but this may be forgotten over a restart");
                Err(refusal(ErrorCode::Unavailable, "this could not be stored, try again"))
            }
        }
    }

    /// The topic or pattern of a body.
    fn target(&self, fields: &Fields) -> Result<Target, Refusal> {
        match (&fields.topic, &fields.pattern) {
            (Some(topic), None) => {
                let topic = Topic::from(topic.as_str());
                check_topic(&topic, &self.config())?;
                Ok(Target::Topic(topic))
            }
            (None, Some(pattern)) => {
                let pattern = pattern.parse::<Pattern>();
                Ok(Target::Pattern(pattern.map_err(|fault| refusal(ErrorCode::InvalidPattern, fault.to_string()))?))
            }
            _ => Err(invalid("exactly one of topic and pattern is needed")),
        }
    }
}

/// The sessions that a body names, and how the log names them.
fn whom(fields: &Fields) -> Result<(Whom, String), Refusal> {
    match (&fields.client, &fields.user) {
        (Some(text), None) => Ok((Whom::Client(client(text)?), text.clone())),
        (None, Some(user)) => Ok((Whom::User(user.clone()), format!("@{user}"))),
        _ => Err(invalid("exactly one of client and user is needed")),
    }
}

/// A whole number that every JSON reader represents exactly. JSON does not tell 1 from 1.0 (RFC 8259 section 6).
fn whole(number: f64) -> Option<u64> {
    let is_whole = number.fract() == 0.0 && (0.0..9_007_199_254_740_992.0).contains(&number);
    is_whole.then(|| format!("{number:.0}").parse().ok())?
}

/// Reads the id of a client.
fn client(text: &str) -> Result<ClientId, Refusal> {
    let read = serde_json::from_value(Value::from(text));
    read.map_err(|_| invalid("the id of a client is a UUID, as its welcome says it"))
}

fn shown(info: &SessionInfo, facts: Option<&ConnectionFacts>) -> Value {
    let mut shown = object!({"client": info.client, "subscriptions": info.subscriptions});
    let optional = [
        ("user", info.user.as_deref().map(Value::from)),
        ("anonymous", info.anonymous.map(|id| object!(id))),
        ("expires", info.expires.map(Value::from)),
        ("address", facts.and_then(|facts| facts.address).map(|address| Value::from(address.to_string()))),
        ("dialect", facts.map(|facts| Value::from(name_of(facts.dialect)))),
        ("connected_seconds", facts.map(|facts| Value::from(facts.open_for.as_secs()))),
        ("waiting_bytes", facts.map(|facts| Value::from(facts.waiting))),
        ("behind_ms", facts.map(|facts| Value::from(u64::try_from(facts.behind.as_millis()).unwrap_or(u64::MAX)))),
    ];
    for (name, value) in optional {
        if let Some(value) = value {
            shown[name] = value;
        }
    }
    shown
}

fn name_of(dialect: Dialect) -> &'static str {
    match dialect {
        Dialect::Plain => "plain",
        Dialect::Typed => "typed",
        Dialect::EventStream | Dialect::JoinedEventStream => "events",
    }
}

/// Subscriptions of one client that are shown.
const MAX_SUBSCRIPTIONS: usize = 1_000;
