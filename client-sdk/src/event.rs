//! The events of a subscription, with the program's own types.

use crate::machine::{Ended, Gap, Resumed};
use hubcast_protocol::event::{self, Author, Member};
use hubcast_protocol::{Payload, Position, Topic};
use serde::de::DeserializeOwned;
use std::error::Error;

/// One event of a subscription.
///
/// After every reconnect there is a `Resumed`. If the queue was full, one `Resumed` may stand for several reconnects.
/// Unless it says that everything was recovered, a `Gap` says what is missing: no publication is left out without a
/// `Gap`.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Event<T> {
    /// A publication.
    Message(Message<T>),
    /// The subscription continues after its connection was lost, or after
    /// [`Subscribe::recover`](crate::Subscribe::recover).
    Resumed(Resumed),
    /// Publications that this subscription does not receive or, as its reason says, joins and leaves.
    Gap(Gap),
    /// A member joined: its connection subscribed. Only with [`Subscribe::presence`](crate::Subscribe::presence). After
    /// a `Resumed`, and after a `Gap` with the reason [`MissedPresence`](crate::GapReason::MissedPresence) or
    /// [`SlowReader`](crate::GapReason::SlowReader), joins and leaves are missing: ask
    /// [`Client::presence`](crate::Client::presence) for the current members.
    Joined(Member),
    /// A member left. Only with [`Subscribe::presence`](crate::Subscribe::presence).
    Left(Member),
}

/// A publication, with its topic and position.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Message<T> {
    /// The topic that it was published to.
    pub topic: Topic,
    /// A position to resume after this message; `None` on a topic without history.
    pub position: Option<Position>,
    /// The published value.
    pub value: T,
    /// Who published it and when, as the server says: on topics whose rule asks for that.
    pub author: Option<Author>,
}

/// An error item of a stream.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ItemError {
    /// A message is not of the stream's type; the stream goes on.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// Publications are missing before the next item; the stream goes on. [`Events`](crate::Events) has
    /// [`Event::Gap`] in its place.
    #[error(transparent)]
    Gap(#[from] Gap),
    /// The subscription ended, and the program did not end it; no item follows.
    #[error(transparent)]
    Ended(#[from] Ended),
}

/// A message that is not of the expected type.
#[derive(Debug, thiserror::Error)]
#[error("a message on {topic:?} is not of the expected type")]
#[non_exhaustive]
pub struct DecodeError {
    /// The topic that it was published to.
    pub topic: Topic,
    /// Its position in the history; `None` on a topic without history.
    pub position: Option<Position>,
    /// The payload as the server sent it.
    pub payload: Payload,
    /// Why it cannot be read as the expected type.
    pub source: Box<dyn Error + Send + Sync>,
}

impl<T: DeserializeOwned> Message<T> {
    pub(crate) fn decode(message: &event::Message) -> Result<Self, DecodeError> {
        let (topic, position) = (message.topic.clone(), message.position());
        let value = match &message.payload {
            Payload::Text(text) => serde_json::from_value(serde_json::Value::from(text.as_ref())),
            Payload::Json(json) => serde_json::from_str(json.get()),
        };
        match value {
            Ok(value) => Ok(Self { topic, position, value, author: message.author() }),
            Err(source) => {
                Err(DecodeError { topic, position, payload: message.payload.clone(), source: source.into() })
            }
        }
    }
}
