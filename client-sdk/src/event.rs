//! What a subscription brings, with the program's own types.

use crate::machine::{Ended, Gap, Resumed};
use hubcast_protocol::event::{self, Member};
use hubcast_protocol::{Payload, Position, Topic};
use serde::de::DeserializeOwned;

/// Everything that a subscription can say.
///
/// After every reconnect there is a `Resumed`, one for all of them where the queue ran over in the meantime. Unless it
/// says that everything was recovered, a `Gap` says what is missing: no publication is ever left out without one.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Event<T> {
    /// A publication.
    Message(Message<T>),
    /// The subscription stands again after its connection was lost.
    Resumed(Resumed),
    /// Publications that this subscription does not get or, as its reason says, joins and leaves.
    Gap(Gap),
    /// Somebody subscribed; only when presence was asked for. After a `Resumed`, and after a `Gap` with the reason
    /// [`MissedPresence`](crate::GapReason::MissedPresence) or [`SlowReader`](crate::GapReason::SlowReader), ask
    /// [`Client::presence`](crate::Client::presence) who is there: joins and leaves were not heard.
    Joined(Member),
    /// Somebody is gone; only when presence was asked for.
    Left(Member),
}

/// A publication, with where it was published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message<T> {
    /// Where it was published.
    pub topic: Topic,
    /// A position to resume after this message; `None` on a topic without history.
    pub position: Option<Position>,
    /// What was published.
    pub value: T,
}

/// An item of a stream that is not what was expected.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ItemError {
    /// A message is not of the stream's type; the stream goes on.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// The subscription ended without the program's doing; nothing comes after this.
    #[error(transparent)]
    Ended(#[from] Ended),
}

/// A message that is not of the expected type.
#[derive(Debug, thiserror::Error)]
#[error("a message on {topic:?} is not of the expected type")]
pub struct DecodeError {
    /// Where it was published.
    pub topic: Topic,
    /// Where in the history it is.
    pub position: Option<Position>,
    /// What it is instead.
    pub payload: Payload,
    /// Why that does not fit.
    pub source: serde_json::Error,
}

impl<T: DeserializeOwned> Message<T> {
    pub(crate) fn decode(message: &event::Message) -> Result<Self, DecodeError> {
        let (topic, position) = (message.topic.clone(), message.position());
        let value = match &message.payload {
            Payload::Text(text) => serde_json::from_value(serde_json::Value::from(text.as_ref())),
            Payload::Json(json) => serde_json::from_str(json.get()),
        };
        match value {
            Ok(value) => Ok(Self { topic, position, value }),
            Err(source) => Err(DecodeError { topic, position, payload: message.payload.clone(), source }),
        }
    }
}
