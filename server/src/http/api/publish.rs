//! Publishing over HTTP: one message, or many in one request.

use super::answer::{ApiAnswer, json, json_of_length};
use super::body::{invalid, read_json};
use super::{Api, Call};
use crate::config::Config;
use crate::http::query::check_topic;
use crate::http::response::Refusal;
use crate::pubsub::caller::{Caller, Reply};
use hubcast_protocol::event::Published;
use hubcast_protocol::request::{Key, MAX_KEY, Publish};
use hubcast_protocol::{ErrorCode, Payload, Topic};
use hyper::StatusCode;
use hyper::header::{HeaderMap, HeaderName};
use serde::{Deserialize, Serialize, Serializer};
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
enum Outcome<'a> {
    Published(PublishedFields<'a>),
    Refused { error: Value },
}

#[derive(Serialize)]
struct PublishedFields<'a> {
    topic: &'a Topic,
    #[serde(skip_serializing_if = "Option::is_none")]
    epoch: Option<hubcast_protocol::Epoch>,
    #[serde(skip_serializing_if = "Option::is_none")]
    offset: Option<u64>,
    receivers: u64,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    duplicate: bool,
}

/// What became of the messages of a batch.
#[derive(Default)]
struct Results {
    /// By the index of the message. `None` if the hub did not answer.
    replies: Vec<Option<Reply>>,
    /// The messages that were refused before the hub got them, by index.
    refused: Vec<(usize, Refusal)>,
    /// Why messages without an answer have none.
    unanswered: Option<Refusal>,
}

impl Api {
    /// Publishes one message, or a batch: one after another, each with its own outcome.
    pub(super) async fn publish(&self, call: &mut Call<'_>) -> Result<ApiAnswer, Refusal> {
        let body = self.body(call).await?;
        let (one, messages) = match body.len() {
            ..LONG_BODY_BYTES => read_body(&body)?,
            _ => {
                let _permit = self.long_body.acquire().await;
                let read = read_body(&body)?;
                yield_now().await;
                read
            }
        };
        let header = idempotency_key(call.headers)?;
        let Some(messages) = messages else {
            let publish = read(&one, header.as_deref(), None, &self.config())?;
            let topic = publish.topic.clone();
            let reply = self.caller(call).await.ask(publish.into()).reply().await?;
            let published = published(&reply)?;
            call.audit_published(topic.as_str(), 1);
            return Ok(json(&published));
        };
        if one.topic.is_some() || one.message.is_some() || one.key.is_some() {
            return Err(invalid("a batch has messages, and each of them has its own topic, message and key"));
        }
        if messages.len() > MAX_BATCH {
            return Err(invalid(format!("a batch has at most {MAX_BATCH} messages")));
        }
        let results = match messages.is_empty() {
            true => Results::default(),
            false => self.publish_all(&*self.caller(call).await, header.as_deref(), &messages).await?,
        };
        let count = messages.len();
        call.audit_published("a batch", count);
        Ok(json_of_length(&results, count * RESULT_BYTES))
    }

    /// Publishes the messages of a batch, and returns what became of each. With an `Idempotency-Key`, messages without a
    /// key of their own have that key and their number.
    async fn publish_all(
        &self,
        caller: &Caller,
        header: Option<&str>,
        messages: &[Option<Fields<'_>>],
    ) -> Result<Results, Refusal> {
        let (batch, mut refused, mut last) = (caller.batch(messages.len()), Vec::new(), None);
        for (number, some) in messages.chunks(READ_AT_ONCE).enumerate() {
            let first = number * READ_AT_ONCE;
            let actions = (first..).zip(some).map(|(index, fields)| {
                let publish = fields.as_ref().ok_or_else(|| invalid("each of the messages must be an object"));
                let publish = publish.and_then(|fields| {
                    let numbered = header.filter(|_| fields.key.is_none()).map(|key| format!("{key}/{index}"));
                    read(fields, numbered.as_deref(), last.as_ref(), &self.config())
                });
                match publish {
                    Ok(publish) => {
                        last = Some(publish.topic.clone());
                        Some(publish.into())
                    }
                    Err(refusal) => {
                        refused.push((index, refusal));
                        None
                    }
                }
            });
            batch.ask(first, actions);
            yield_now().await;
        }
        let replies = batch.replies().await?;
        Ok(Results { replies, refused, unanswered: caller.closed().map(Refusal::from) })
    }
}

impl Results {
    /// What became of each message, in order.
    fn outcomes(&self) -> impl Iterator<Item = Outcome<'_>> {
        let mut refused = self.refused.iter().peekable();
        self.replies.iter().enumerate().map(move |(index, reply)| {
            if let Some((_, refusal)) = refused.next_if(|(of, _)| *of == index) {
                return Outcome::refused(refusal);
            }
            match reply.as_ref().map(published) {
                Some(Ok(published)) => Outcome::Published(published),
                Some(Err(refusal)) => Outcome::refused(&refusal),
                None => Outcome::refused(self.unanswered.as_ref().unwrap_or(&super::topics::unexpected())),
            }
        })
    }
}

impl Serialize for Results {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        struct Each<'a>(&'a Results);

        impl Serialize for Each<'_> {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_seq(self.0.outcomes())
            }
        }

        serializer.collect_map([("results", Each(self))])
    }
}

impl Outcome<'_> {
    fn refused(refusal: &Refusal) -> Self {
        Self::Refused { error: refusal.to_json() }
    }
}

/// The messages of a batch. `None` stands for one that is no object with such fields.
type Messages<'a> = Vec<Option<Fields<'a>>>;

/// Reads a body: one message, and the messages of a batch if it is one.
fn read_body(body: &[u8]) -> Result<(Fields<'_>, Option<Messages<'_>>), Refusal> {
    // Nearly all bodies are right, and are read in one go. Whether they are UTF-8 is checked once, and not value by
    // value.
    if let Ok(text) = str::from_utf8(body)
        && let Ok(Body { topic, message, key, messages }) = serde_json::from_str::<Body<'_, _>>(text)
    {
        return Ok((Fields { topic, message, key }, messages));
    }
    let Body { topic, message, key, messages } = read_json::<Body<'_, &RawValue>>(body)?;
    let each = messages.map(|messages| serde_json::from_str::<Vec<&RawValue>>(messages.get())).transpose();
    let each = each.map_err(|_| invalid("messages must be a list"))?;
    let messages = each.map(|each| each.into_iter().map(|message| serde_json::from_str(message.get()).ok()).collect());
    Ok((Fields { topic, message, key }, messages))
}

/// Reads the answer to a publication.
fn published(reply: &Reply) -> Result<PublishedFields<'_>, Refusal> {
    match reply {
        Reply::Published(Published { topic, epoch, offset, receivers, duplicate, .. }) => {
            Ok(PublishedFields { topic, epoch: *epoch, offset: *offset, receivers: *receivers, duplicate: *duplicate })
        }
        Reply::Event(event) => Err(super::topics::refused((**event).clone())),
        _ => Err(super::topics::unexpected()),
    }
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
    let key = key.or_else(|| header.map(str::to_owned));
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
    let mut values = headers.get_all(&IDEMPOTENCY_KEY).iter();
    let (Some(value), rest) = (values.next(), values.next()) else { return Ok(None) };
    let value = value.to_str().ok().filter(|value| rest.is_none() && !value.is_empty());
    let value = value.ok_or_else(|| invalid("Idempotency-Key must be one text of ASCII characters"))?;
    let inner = value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    Ok(Some(inner.unwrap_or(value).to_owned()))
}

static IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// Messages of one batch.
const MAX_BATCH: usize = 1_000;

/// Bytes of a body from which on reading it takes long: some ten microseconds.
const LONG_BODY_BYTES: usize = 16 * 1024;

/// Bytes of the answer to one publication, about.
const RESULT_BYTES: usize = 64;

/// Messages of a batch that are read before others get their turn.
const READ_AT_ONCE: usize = 64;
