//! Publishing over HTTP: one message, or many in one request.

use super::answer::{ApiAnswer, json};
use super::body::{invalid, read_json};
use super::{Api, Call, check_topic};
use crate::config::Config;
use crate::http::response::Refusal;
use crate::pubsub::caller::{Answering, Caller, Reply};
use hubcast_protocol::event::Published;
use hubcast_protocol::request::{Key, MAX_KEY, Publish};
use hubcast_protocol::{ErrorCode, Event, Payload, Topic};
use hyper::StatusCode;
use hyper::header::HeaderMap;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;
use tokio::task::yield_now;

/// The body of a request. The fields are read one by one, so that a refusal says which one is wrong.
#[derive(Deserialize)]
struct Fields<'a> {
    #[serde(borrow, default)]
    topic: Option<&'a RawValue>,
    #[serde(borrow, default)]
    message: Option<&'a RawValue>,
    #[serde(borrow, default)]
    key: Option<&'a RawValue>,
    #[serde(borrow, default)]
    messages: Option<&'a RawValue>,
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
        let fields: Fields<'_> = read_json(&body)?;
        let header = idempotency_key(call.headers)?;
        let Some(messages) = fields.messages else {
            let publish = read(&fields, header.as_deref(), &self.config)?;
            let topic = publish.topic.clone();
            let published = published(self.caller(&call).await.ask(publish.into())).await?;
            tracing::debug!(target: "hubcast::audit", key = &*call.key.id, topic = topic.as_str(), "published");
            return Ok(json(&published));
        };
        if fields.topic.is_some() || fields.message.is_some() || fields.key.is_some() {
            return Err(invalid("a batch has messages, and each of them has its own topic, message and key"));
        }
        if header.is_some() {
            return Err(invalid("a batch has no Idempotency-Key: give each message its own key"));
        }
        let Ok(messages) = serde_json::from_str::<Vec<&RawValue>>(messages.get()) else {
            return Err(invalid("messages must be a list"));
        };
        if messages.len() > MAX_BATCH {
            return Err(invalid(format!("a batch has at most {MAX_BATCH} messages")));
        }
        let caller = self.caller(&call).await;
        let mut begun = Vec::with_capacity(messages.len());
        for some in messages.chunks(READ_AT_ONCE) {
            for message in some {
                begun.push(self.begin(&caller, message));
            }
            yield_now().await;
        }
        let mut results = Vec::with_capacity(begun.len());
        for publication in begun {
            results.push(match publication {
                Ok(publication) => {
                    published(publication).await.map_or_else(|refusal| refused(&refusal), Outcome::Published)
                }
                Err(refusal) => refused(&refusal),
            });
        }
        tracing::debug!(target: "hubcast::audit", key = &*call.key.id, messages = results.len(), "published a batch");
        Ok(json(&Results { results }))
    }

    /// Reads one message of a batch and publishes it.
    fn begin<'c>(&self, caller: &'c Caller, message: &RawValue) -> Result<Answering<'c>, Refusal> {
        let fields: Fields<'_> =
            serde_json::from_str(message.get()).map_err(|_| invalid("each of the messages must be an object"))?;
        let publish = read(&fields, None, &self.config)?;
        Ok(caller.ask(publish.into()))
    }
}

/// Waits for the answer to a publication.
async fn published(publication: Answering<'_>) -> Result<PublishedFields, Refusal> {
    match publication.reply().await? {
        Reply::Event(event) => match *event {
            Event::Published(Published { topic, epoch, offset, receivers, duplicate, .. }) => {
                Ok(PublishedFields { topic, epoch, offset, receivers, duplicate })
            }
            other => Err(super::topics::refused(other)),
        },
        _ => Err(super::topics::unexpected()),
    }
}

fn refused(refusal: &Refusal) -> Outcome {
    Outcome::Refused { error: refusal.to_json() }
}

/// Reads one publication. `header` is the value of `Idempotency-Key`.
fn read(fields: &Fields<'_>, header: Option<&str>, config: &Config) -> Result<Publish, Refusal> {
    let topic = fields.topic.ok_or_else(|| invalid("topic is needed"))?;
    let most = config.messages.message;
    let length = topic.get().len() + fields.message.map_or(0, |message| message.get().len());
    if length > most {
        let reason = format!("a message has at most {most} bytes with its topic, and this one has {length}");
        return Err(Refusal::of(StatusCode::PAYLOAD_TOO_LARGE, ErrorCode::MessageTooLarge, reason));
    }
    let topic = Topic::from(text(topic, "topic")?);
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
