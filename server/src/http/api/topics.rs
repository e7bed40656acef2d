//! What topics hold: who is subscribed, and what was published.

use super::answer::{ApiAnswer, history, json, refusal};
use super::body::invalid;
use super::{Api, Call};
use crate::auth::ApiKey;
use crate::config::Config;
use crate::http::response::Refusal;
use crate::pubsub::caller::Reply;
use hubcast_hub::{Permission, Permissions, Requester, TopicInfo};
use hubcast_protocol::event::Presence;
use hubcast_protocol::request::ReadHistory;
use hubcast_protocol::{Action, ErrorCode, Event, Position, Target, Topic};
use serde_json::{Map, Value, json as object};

impl Api {
    /// A page of the topics in use.
    pub(super) fn topics(&self, call: &Call<'_>) -> Result<ApiAnswer, Refusal> {
        let prefix = call.query.one("prefix")?.unwrap_or_default();
        let (limit, cursor) = page(call)?;
        let page = self.callers.with_hub(|hub| hub.topics_page(prefix, cursor, limit));
        let topics: Vec<_> = page.items.iter().map(shown).collect();
        Ok(json(&with_cursor("topics", topics, page.next)))
    }

    /// One topic. One that nobody uses is no error: what is not there now may come.
    pub(super) fn topic(&self, call: &Call<'_>) -> Result<ApiAnswer, Refusal> {
        let topic = call.topic(&self.config())?;
        may(&call.key, Permission::Subscribe, &topic, &self.config())?;
        Ok(json(&shown(&self.callers.with_hub(|hub| hub.topic_info(&topic)))))
    }

    /// The clients that are subscribed to a topic.
    pub(super) async fn presence(&self, call: &Call<'_>) -> Result<ApiAnswer, Refusal> {
        let topic = call.topic(&self.config())?;
        match self.caller(call).await.ask(Action::Presence(topic)).reply().await? {
            Reply::Event(event) => match *event {
                Event::Presence(Presence { topic, count, clients, .. }) => {
                    Ok(json(&object!({"topic": topic, "count": count, "clients": clients})))
                }
                other => Err(refused(other)),
            },
            _ => Err(unexpected()),
        }
    }

    /// What a topic keeps.
    pub(super) async fn history(&self, call: &Call<'_>) -> Result<ApiAnswer, Refusal> {
        let topic = call.topic(&self.config())?;
        let since = call.query.one("since")?.map(position).transpose()?;
        let limit = call.query.parsed("limit", "a whole number")?;
        if limit.is_some_and(|limit| !(1..=MAX_HISTORY).contains(&limit)) {
            return Err(invalid(format!("limit is from 1 to {MAX_HISTORY}")));
        }
        match self.caller(call).await.ask(Action::History(ReadHistory { topic, since, limit })).reply().await? {
            Reply::History(answer) => Ok(history(&answer, call.busy())),
            Reply::Event(event) => Err(refused(*event)),
            Reply::Published(_) | Reply::Operated(_) => Err(unexpected()),
        }
    }

    /// Drops what a topic keeps. Its epoch and its offsets go on.
    pub(super) fn delete_history(&self, call: &Call<'_>) -> Result<ApiAnswer, Refusal> {
        let topic = call.topic(&self.config())?;
        may(&call.key, Permission::Publish, &topic, &self.config())?;
        let deleted = self.callers.with_hub(|hub| hub.delete_history(&topic));
        call.audit("delete_history", topic.as_str(), deleted);
        Ok(json(&object!({"deleted": deleted})))
    }
}

/// The bounds of a page: how many entries are looked at, and from where on.
pub(super) fn page(call: &Call<'_>) -> Result<(usize, u64), Refusal> {
    let limit = call.query.parsed("limit", "a whole number")?.unwrap_or(DEFAULT_PAGE);
    if !(1..=MAX_PAGE).contains(&limit) {
        return Err(invalid(format!("limit is from 1 to {MAX_PAGE}")));
    }
    let cursor = call.query.parsed("cursor", "the cursor of an earlier answer")?;
    Ok((limit, cursor.unwrap_or_default()))
}

/// A page as JSON, with the cursor of the next one, if there is one.
pub(super) fn with_cursor(name: &str, items: Vec<Value>, next: Option<u64>) -> Value {
    let mut page = Map::from_iter([(name.to_owned(), Value::Array(items))]);
    if let Some(next) = next {
        page.insert("cursor".to_owned(), Value::String(next.to_string()));
    }
    Value::Object(page)
}

/// Checks that a key has a grant.
pub(super) fn may(key: &ApiKey, permission: Permission, topic: &Topic, config: &Config) -> Result<(), Refusal> {
    let permissions = Permissions { rules: &config.rules, default: config.admission.default };
    let requester = Requester { user: None, client: None, grants: key.grants(), is_api_key: true };
    let decision = permissions.decide(&requester, permission, &Target::Topic(topic.clone()));
    Ok(decision.to_result(permission, topic.as_str())?)
}

fn shown(info: &TopicInfo) -> Value {
    let TopicInfo { topic, subscribers, position, publications } = info;
    match position {
        Some(Position { epoch, offset }) => object!({
            "topic": topic, "subscribers": subscribers, "epoch": epoch, "offset": offset, "publications": publications,
        }),
        None => object!({"topic": topic, "subscribers": subscribers, "publications": publications}),
    }
}

/// Reads a position as `epoch:offset`.
fn position(text: &str) -> Result<Position, Refusal> {
    let read = || {
        let (epoch, offset) = text.rsplit_once(':')?;
        let offset = offset.parse().ok().filter(|offset| *offset <= Position::MAX_OFFSET)?;
        Some(Position { epoch: epoch.parse().ok()?, offset })
    };
    read().ok_or_else(|| invalid("since must be epoch:offset"))
}

/// The refusal that the hub has sent in place of an answer.
pub(super) fn refused(event: Event) -> Refusal {
    match event {
        Event::Error(fault) => refusal(fault.code, fault.reason),
        _ => unexpected(),
    }
}

/// The hub has answered something else than what was asked for. That does not happen.
pub(super) fn unexpected() -> Refusal {
    refusal(ErrorCode::Internal, "the answer has the wrong kind")
}

/// Publications in one answer.
const MAX_HISTORY: u32 = 1_000;

/// Entries that are looked at for one page.
const DEFAULT_PAGE: usize = 100;
const MAX_PAGE: usize = 1_000;
