//! The reader of requests, from the fields of a frame. It serves both dialects, which differ in what they accept.

use crate::fields::{Fields, Name, NotAnObject, WrongType, lossy_string};
use crate::request::{Action, Identify, Key, MAX_INFO, MAX_KEY, MAX_SEQUENCE, PRODUCER_BYTES, Publish};
use crate::request::{ReadHistory, RejectedRequest, Request, Slow, Start, Subscribe, Target};
use crate::{AccessToken, Dialect, Epoch, ErrorCode, ErrorReply, MemberSecret, Payload, Position, RequestId, Topic};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::collections::BTreeMap;

/// Reads one frame of a client that speaks `dialect`.
pub(crate) fn read(dialect: Dialect, text: &str) -> Result<Request, RejectedRequest> {
    let fields = Fields::read(text).map_err(|fault| RejectedRequest { id: None, fault: fault.into() })?;
    let reader = Reader { dialect, fields };
    let id = reader.id().map_err(|fault| RejectedRequest { id: None, fault })?;
    match reader.action() {
        Ok(action) => Ok(Request { id, action }),
        Err(fault) => Err(RejectedRequest { id, fault }),
    }
}

struct Reader<'a> {
    dialect: Dialect,
    fields: Fields<'a>,
}

impl Reader<'_> {
    fn id(&self) -> Result<Option<RequestId>, ErrorReply> {
        match self.dialect {
            Dialect::Plain => Ok(None),
            _ => self.option(Name::Id, "a whole number up to 2^53 or a string up to 64 bytes", json),
        }
    }

    fn action(&self) -> Result<Action, ErrorReply> {
        if self.dialect == Dialect::Plain {
            // The original server checked the types of all three of its fields, whatever the action.
            self.fields.text(Name::Topic)?;
            self.fields.text(Name::Message)?;
        }
        let name = match (self.fields.text(Name::Action)?, self.dialect) {
            (Some(name), _) => name,
            (None, Dialect::Plain) => Cow::Borrowed(""),
            (None, _) => return Err(invalid("action is missing")),
        };
        match name.trim().to_lowercase().as_str() {
            "publish" => self.publish().map(Action::Publish),
            "subscribe" => self.subscribe().map(Action::Subscribe),
            "unsubscribe" => self.target().map(Action::Unsubscribe),
            "ping" => Ok(Action::Ping),
            "history" => self.history().map(Action::History),
            "presence" => self.presence().map(Action::Presence),
            "identify" => self.identify().map(Action::Identify),
            "authenticate" => self.token().map(Action::Authenticate),
            _ => Err(unknown_action()),
        }
    }

    fn publish(&self) -> Result<Publish, ErrorReply> {
        let payload = match self.fields.get(Name::Message) {
            Some(value) => Payload::from_json(value).map_err(|fault| invalid(fault.to_string()))?,
            None => Payload::from(""),
        };
        Ok(Publish {
            topic: self.topic_alone()?,
            payload,
            echo: self.option(Name::Echo, BOOLEAN, json)?.unwrap_or(true),
            key: self.key()?,
        })
    }

    /// The idempotency key. One that is out of bounds is refused in both dialects: if it were ignored, a repetition
    /// would take effect again.
    fn key(&self) -> Result<Option<Key>, ErrorReply> {
        let key = self.option(Name::Key, KEY, lossy_string)?;
        if key.as_ref().is_some_and(|key| key.len() > MAX_KEY) {
            return Err(WrongType(Name::Key, KEY).into());
        }
        let producer = self.option(Name::Producer, PRODUCER, lossy_string)?;
        let sequence = self.option(Name::Sequence, SEQUENCE, json::<u64>)?;
        match (producer, sequence) {
            (Some(_), Some(_)) if key.is_some() => {
                Err(invalid("a publish has a key or a producer with its sequence, not both"))
            }
            (Some(producer), _) if sequence.is_some() && !PRODUCER_BYTES.contains(&producer.len()) => {
                Err(WrongType(Name::Producer, PRODUCER).into())
            }
            (Some(_), Some(sequence)) if !(1..=MAX_SEQUENCE).contains(&sequence) => {
                Err(WrongType(Name::Sequence, SEQUENCE).into())
            }
            (Some(producer), Some(sequence)) => Ok(Some(Key::Number { producer: producer.into(), sequence })),
            (None, None) => Ok(key.map(|key| Key::Text(key.into()))),
            // For a plain client, one of the two alone is an unknown field, as it was to the original server.
            _ if self.dialect == Dialect::Plain => Ok(key.map(|key| Key::Text(key.into()))),
            (Some(_), None) => Err(invalid("sequence is missing: producer and sequence come together")),
            (None, Some(_)) => Err(invalid("producer is missing: producer and sequence come together")),
        }
    }

    fn subscribe(&self) -> Result<Subscribe, ErrorReply> {
        let target = self.target()?;
        Ok(Subscribe {
            start: self.start(&target)?,
            presence: self.option(Name::Presence, BOOLEAN, json)?.unwrap_or(false),
            slow: self.option(Name::Slow, "\"disconnect\", \"drop\" or \"latest\"", slow)?.unwrap_or_default(),
            target,
        })
    }

    fn start(&self, target: &Target) -> Result<Start, ErrorReply> {
        let count = |name| self.option(name, WHOLE, whole).map(|count| count.filter(|count| *count > 0));
        let (last, or_last) = (count(Name::Last)?, count(Name::OrLast)?);
        let recovered = match target {
            Target::Topic(_) => self.option(Name::Recover, POSITION, position)?.map(|after| match or_last {
                Some(count) => Start::AfterOrLast(after, count),
                None => Start::After(after),
            }),
            Target::Pattern(_) => self.option(Name::Recover, POSITIONS, positions)?.map(Start::AfterEach),
        };
        Ok(recovered.or(last.map(Start::Last)).unwrap_or_default())
    }

    fn history(&self) -> Result<ReadHistory, ErrorReply> {
        self.typed_only(ErrorCode::NoHistory)?;
        Ok(ReadHistory {
            topic: self.topic_alone()?,
            since: self.option(Name::Since, POSITION, position)?,
            limit: self.option(Name::Limit, WHOLE, whole)?,
        })
    }

    fn presence(&self) -> Result<Topic, ErrorReply> {
        self.typed_only(ErrorCode::NoPresence)?;
        self.topic_alone()
    }

    /// What a client says of itself. Both fields are checked in both dialects: who has sent them means them.
    fn identify(&self) -> Result<Identify, ErrorReply> {
        let secret = self.fields.text(Name::Secret)?.ok_or(invalid("secret is missing"))?;
        let secret = MemberSecret::new(secret).map_err(|fault| invalid(fault.to_string()))?;
        let info = self.fields.get(Name::Info);
        if info.is_some_and(|info| info.get().len() > MAX_INFO) {
            return Err(invalid(format!("info has at most {MAX_INFO} bytes of JSON")));
        }
        let info = info.map(Payload::from_json).transpose().map_err(|fault| invalid(format!("info: {fault}")))?;
        Ok(Identify { secret, info })
    }

    /// The token of `authenticate`. For a plain client without one it is an action that the original server did not
    /// know.
    fn token(&self) -> Result<AccessToken, ErrorReply> {
        let token = match (self.fields.text(Name::Token), self.dialect) {
            (Ok(Some(token)), _) => token,
            (_, Dialect::Plain) => return Err(unknown_action()),
            (Ok(None), _) => return Err(invalid("token is missing")),
            (Err(fault), _) => return Err(fault.into()),
        };
        AccessToken::new(token).map_err(|fault| invalid(fault.to_string()))
    }

    /// Refuses a request whose answer is more than text in the plain dialect, which cannot express it. In the typed
    /// dialect, refuses it without an id, because then there would be no answer.
    fn typed_only(&self, code: ErrorCode) -> Result<(), ErrorReply> {
        match (self.dialect, self.fields.get(Name::Id)) {
            (Dialect::Plain, _) => Err(ErrorReply::new(code, "only the typed dialect (hubcast.v1) can answer this")),
            (_, None) => Err(invalid("id is missing: without it there is no answer")),
            (_, Some(_)) => Ok(()),
        }
    }

    fn target(&self) -> Result<Target, ErrorReply> {
        let pattern = match self.fields.get(Name::Pattern) {
            None => return self.topic().map(Target::Topic),
            Some(value) => lossy_string(value.get()),
        };
        match (pattern, self.fields.get(Name::Topic)) {
            (None, _) if self.dialect == Dialect::Plain => self.topic().map(Target::Topic),
            (None, _) => Err(invalid("pattern must be a string")),
            (Some(_), Some(_)) => Err(invalid("a request has a topic or a pattern, not both")),
            (Some(pattern), None) => match pattern.parse() {
                Ok(pattern) => Ok(Target::Pattern(pattern)),
                Err(fault) => Err(ErrorReply::new(ErrorCode::InvalidPattern, format!("{fault}"))),
            },
        }
    }

    /// The topic of an action that takes no pattern. For a plain client `pattern` is a field of its own there.
    fn topic_alone(&self) -> Result<Topic, ErrorReply> {
        match (self.fields.get(Name::Pattern), self.dialect) {
            (Some(_), Dialect::Typed) => Err(invalid("this action has a topic, and takes no pattern")),
            _ => self.topic(),
        }
    }

    fn topic(&self) -> Result<Topic, ErrorReply> {
        match (self.fields.text(Name::Topic)?, self.dialect) {
            (Some(topic), _) => Ok(Topic::new(topic)),
            (None, Dialect::Plain) => Ok(Topic::from("")),
            (None, _) => Err(invalid("topic is missing")),
        }
    }

    /// A field that the original server did not know. For a plain client a value that does not fit is ignored, because
    /// the client may use the name for something else.
    fn option<'a, T>(
        &'a self,
        name: Name,
        expected: &'static str,
        read: impl FnOnce(&'a str) -> Option<T>,
    ) -> Result<Option<T>, ErrorReply> {
        let Some(value) = self.fields.get(name) else { return Ok(None) };
        match (read(value.get()), self.dialect) {
            (fitting, Dialect::Plain) => Ok(fitting),
            (None, _) => Err(WrongType(name, expected).into()),
            (fitting, _) => Ok(fitting),
        }
    }
}

impl From<NotAnObject> for ErrorReply {
    fn from(fault: NotAnObject) -> Self {
        match fault {
            NotAnObject::NotJson(fault) => Self::new(ErrorCode::InvalidJson, format!("not JSON: {fault}")),
            NotAnObject::OtherJson => invalid("a request is a JSON object"),
        }
    }
}

impl From<WrongType> for ErrorReply {
    fn from(fault: WrongType) -> Self {
        invalid(fault.to_string())
    }
}

fn unknown_action() -> ErrorReply {
    ErrorReply::new(ErrorCode::UnknownAction, "no action has this name")
}

fn invalid(reason: impl Into<Cow<'static, str>>) -> ErrorReply {
    ErrorReply::new(ErrorCode::InvalidRequest, reason)
}

fn json<T: serde::de::DeserializeOwned>(json: &str) -> Option<T> {
    serde_json::from_str(json).ok()
}

/// A position as a client sends it, before its epoch is read.
#[derive(Deserialize)]
struct SentPosition<'a> {
    #[serde(borrow)]
    epoch: &'a RawValue,
    offset: u64,
}

/// A position. An epoch that no history can have is not an error: its history is gone.
fn position(json: &str) -> Option<Position> {
    // serde would also read an array as the fields in their order.
    let sent: SentPosition<'_> = json.starts_with('{').then(|| serde_json::from_str(json).ok())??;
    let epoch = lossy_string(sent.epoch.get())?.parse().unwrap_or(Epoch::OF_NONE);
    Some(Position { epoch, offset: sent.offset })
}

fn positions(json: &str) -> Option<BTreeMap<Topic, Position>> {
    let sent: BTreeMap<Topic, &RawValue> = serde_json::from_str(json).ok()?;
    sent.into_iter().map(|(topic, sent)| Some((topic, position(sent.get())?))).collect()
}

/// A count. One that is larger than any count here stands for the largest.
fn whole(json: &str) -> Option<u32> {
    json.bytes().all(|byte| byte.is_ascii_digit()).then(|| json.parse().unwrap_or(u32::MAX))
}

fn slow(json: &str) -> Option<Slow> {
    match lossy_string(json)?.as_ref() {
        "disconnect" => Some(Slow::Disconnect),
        "drop" => Some(Slow::Drop),
        "latest" => Some(Slow::Latest),
        _ => None,
    }
}

const BOOLEAN: &str = "true or false";
const WHOLE: &str = "a whole number";
const KEY: &str = "a string up to 256 bytes";
const PRODUCER: &str = "a string of 16 to 64 bytes";
const SEQUENCE: &str = "a whole number from 1 to 2^53";
const POSITION: &str = "an object with epoch, a string, and offset, a whole number";
const POSITIONS: &str = "an object of topics, each with its position: an object with epoch and offset";
