//! Publishing over HTTP: one message, or many in one request.

use super::answer::{ApiAnswer, json};
use super::body::{invalid, read_json};
use super::{Api, Call, check_topic};
use crate::config::Config;
use crate::http::response::Refusal;
use crate::pubsub::caller::{Caller, Reply};
use hubcast_protocol::event::Published;
use hubcast_protocol::request::{Key, MAX_KEY, Publish};
use hubcast_protocol::{ErrorCode, Payload, Topic};
use hyper::StatusCode;
use hyper::header::HeaderMap;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;
use tokio::task::yield_now;

/// The body of a request.
#[derive(Deserialize)]
struct Body<'a, M> {
    #[serde(borrow, default)]
    topic: Option<&'a RawValue>,
    #[serde(borrow, default)]
    message: Option<&'a RawValue>,
    #[serde(borrow, default)]
    key: Option<&'a RawValue>,
    #[serde(default = "Option::default")]
    messages: Option<M>,
}

/// One message. Its fields are read one by one, so that a refusal says which one is wrong.
#[derive(Deserialize)]
struct Fields<'a> {
    #[serde(borrow, default)]
    topic: Option<&'a RawValue>,
    #[serde(borrow, default)]
    message: Option<&'a RawValue>,
    #[serde(borrow, default)]
    key: Option<&'a RawValue>,
}

/// The answer to one publication.
#[derive(Serialize)]
#[serde(untagged)]
enum Outcome {
    Published(PublishedFields),
    Refused { error: Value },
}

#[derive(Serialize)]
struct PublishedFields {
    topic: Topic,
    #[serde(skip_serializing_if = "Option::is_none")]
    epoch: Option<hubcast_protocol::Epoch>,
    #[serde(skip_serializing_if = "Option::is_none")]
    offset: Option<u64>,
    receivers: u64,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    duplicate: bool,
}

#[derive(Serialize)]
struct Results {
    results: Vec<Outcome>,
}

impl Api {
    /// Publishes one message, or a batch: one after another, each with its own outcome.
    pub(super) async fn publish(&self, mut call: Call<'_>) -> Result<ApiAnswer, Refusal> {
        let body = self.body(&mut call).await?;
        let (one, messages) = read_body(&body)?;
        let header = idempotency_key(call.headers)?;
        let Some(messages) = messages else {
            let publish = read(&one, header.as_deref(), None, &self.config)?;
            let topic = publish.topic.clone();
            let published = published(self.caller(&call).await.ask(publish.into()).reply().await?)?;
            tracing::debug!(target: "hubcast::audit", key = &*call.key.id, topic = topic.as_str(), "published");
            return Ok(json(&published));
        };
        if one.topic.is_some() || one.message.is_some() || one.key.is_some() {
            return Err(invalid("a batch has messages, and each of them has its own topic, message and key"));
        }
        if messages.len() > MAX_BATCH {
            return Err(invalid(format!("a batch has at most {MAX_BATCH} messages")));
        }
        let results = match messages.is_empty() {
            true => Vec::new(),
            false => self.publish_all(&*self.caller(&call).await, header.as_deref(), &messages).await?,
        };
        tracing::debug!(target: "hubcast::audit", key = &*call.key.id, messages = results.len(), "published a batch");
        Ok(json(&Results { results }))
    }

    /// Publishes the messages of a batch, and returns what became of each. With an `Idempotency-Key`, messages without a
    /// key of their own have that key and their number.
    async fn publish_all(
        &self,
        caller: &Caller,
        header: Option<&str>,
        messages: &[Result<Fields<'_>, Refusal>],
    ) -> Result<Vec<Outcome>, Refusal> {
        let (batch, mut outcomes, mut last) = (caller.batch(messages.len()), Vec::with_capacity(messages.len()), None);
        for (number, some) in messages.chunks(READ_AT_ONCE).enumerate() {
            let actions = (number * READ_AT_ONCE..).zip(some).map(|(number, fields)| {
                let publish = match fields {
                    Ok(fields) => {
                        let numbered = header.filter(|_| fields.key.is_none()).map(|key| format!("{key}/{number}"));
                        read(fields, numbered.as_deref(), last.as_ref(), &self.config)
                    }
                    Err(refusal) => Err(refusal.clone()),
                };
                match publish {
                    Ok(publish) => {
                        outcomes.push(None);
                        last = Some(publish.topic.clone());
                        Some(publish.into())
                    }
                    Err(refusal) => {
                        outcomes.push(Some(refused(&refusal)));
                        None
                    }
                }
            });
            batch.ask(number * READ_AT_ONCE, actions);
            yield_now().await;
        }
        let replies = batch.replies().await?;
        let closed = || caller.closed().map_or_else(super::topics::unexpected, Refusal::from);
        let outcome = |(refused_before, reply): (Option<Outcome>, Option<Reply>)| match (refused_before, reply) {
            (Some(outcome), _) => outcome,
            (None, Some(reply)) => published(reply).map_or_else(|refusal| refused(&refusal), Outcome::Published),
            (None, None) => refused(&closed()),
        };
        Ok(outcomes.into_iter().zip(replies).map(outcome).collect())
    }
}

/// The messages of a batch, each by itself.
type Messages<'a> = Vec<Result<Fields<'a>, Refusal>>;

/// Reads a body: one message, and the messages of a batch if it is one.
fn read_body(body: &[u8]) -> Result<(Fields<'_>, Option<Messages<'_>>), Refusal> {
    // Nearly all bodies are right, and are read in one go.
    if let Ok(Body { topic, message, key, messages }) = serde_json::from_slice::<Body<'_, Vec<Fields<'_>>>>(body) {
        let messages = messages.map(|messages| messages.into_iter().map(Ok).collect());
        return Ok((Fields { topic, message, key }, messages));
    }
    let Body { topic, message, key, messages } = read_json::<Body<'_, &RawValue>>(body)?;
    let each = messages.map(|messages| serde_json::from_str::<Vec<&RawValue>>(messages.get())).transpose();
    let each = each.map_err(|_| invalid("messages must be a list"))?;
    let messages = each.map(|each| each.into_iter().map(read_fields).collect());
    Ok((Fields { topic, message, key }, messages))
}

fn read_fields(message: &RawValue) -> Result<Fields<'_>, Refusal> {
    serde_json::from_str(message.get()).map_err(|_| invalid("each of the messages must be an object"))
}

/// Reads the answer to a publication.
fn published(reply: Reply) -> Result<PublishedFields, Refusal> {
    match reply {
        Reply::Published(Published { topic, epoch, offset, receivers, duplicate, .. }) => {
            Ok(PublishedFields { topic, epoch, offset, receivers, duplicate })
        }
        Reply::Event(event) => Err(super::topics::refused(*event)),
        _ => Err(super::topics::unexpected()),
    }
}

fn refused(refusal: &Refusal) -> Outcome {
    Outcome::Refused { error: refusal.to_json() }
}

/// Reads one publication. `header` is the value of `Idempotency-Key`. If the topic is that of the one before, both share
/// its text.
fn read(
    fields: &Fields<'_>,
    header: Option<&str>,
    before: Option<&Topic>,
    config: &Config,
) -> Result<Publish, Refusal> {
    let topic = fields.topic.ok_or_else(|| invalid("topic is needed"))?;
    let most = config.messages.message;
    let length = topic.get().len() + fields.message.map_or(0, |message| message.get().len());
    if length > most {
        let reason = format!("a message has at most {most} bytes with its topic, and this one has {length}");
        return Err(Refusal::of(StatusCode::PAYLOAD_TOO_LARGE, ErrorCode::MessageTooLarge, reason));
    }
    let topic = match (unescaped(topic), before) {
        (Some(text), Some(before)) if text == before.as_str() => before.clone(),
        (Some(text), _) => Topic::from(text),
        (None, _) => Topic::from(text(topic, "topic")?),
    };
    check_topic(&topic, config)?;
    let payload = match fields.message {
        Some(message) => Payload::from_json(message).map_err(|fault| invalid(format!("message: {fault}")))?,
        None => Payload::from(""),
    };
    let key = fields.key.map(|key| text(key, "key")).transpose()?;
    let key = match (key, header) {
        (Some(key), Some(header)) if key != header => {
            return Err(invalid("key and the header Idempotency-Key are different"));
        }
        (key, header) => key.or(header.map(str::to_owned)),
    };
    if key.as_ref().is_some_and(|key| key.len() > MAX_KEY) {
        return Err(invalid(format!("key has at most {MAX_KEY} bytes")));
    }
    Ok(Publish { topic, payload, echo: true, key: key.map(|key| Key::Text(key.into())) })
}

/// The text of a JSON string without escapes.
fn unescaped(value: &RawValue) -> Option<&str> {
    let inner = value.get().strip_prefix('"')?.strip_suffix('"')?;
    (!inner.contains('\\')).then_some(inner)
}

/// Reads a field that is text.
fn text(value: &RawValue, name: &str) -> Result<String, Refusal> {
    serde_json::from_str(value.get()).map_err(|_| invalid(format!("{name} must be text")))
}

/// The header `Idempotency-Key`, as text or in quotes (draft-ietf-httpapi-idempotency-key-header).
fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, Refusal> {
    let mut values = headers.get_all("idempotency-key").iter();
    let (Some(value), rest) = (values.next(), values.next()) else { return Ok(None) };
    let value = value.to_str().ok().filter(|value| rest.is_none() && !value.is_empty());
    let value = value.ok_or_else(|| invalid("Idempotency-Key must be one text of ASCII characters"))?;
    let inner = value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    Ok(Some(inner.unwrap_or(value).to_owned()))
}

/// Messages of one batch.
const MAX_BATCH: usize = 1_000;

/// Messages of a batch that are read before others get their turn.
const READ_AT_ONCE: usize = 50;
