//! Publishing, with options.

use crate::error::{EncodeError, PublishError};
use crate::handle::Shared;
use crate::idempotency::IdempotencyKey;
use crate::machine::{Answer, Closed, Command, Failure, Published};
use hubcast_protocol::request;
use hubcast_protocol::{Payload, Topic};
use serde::Serialize;
use std::pin::Pin;
use std::sync::Arc;

/// A publication that is not sent yet. Set its options, then `.await` it until the server has confirmed it.
///
/// Without a connection it waits for one. A publication that was sent and not confirmed is sent again. The client
/// numbers its publications, so the server recognizes the second as a repetition for as long as it knows the number: by
/// default two minutes, and not over a crash ([`IdempotencyKey`]). At most 256 publications of a client are sent and
/// not confirmed at a time; others wait.
///
/// `.await` turns it into a future. So does `.into_future()`, for functions that need a future, such as `tokio::spawn`
/// or `futures::future::join_all`. Its error is a [`PublishError`]. The whole request is the JSON of the value with the
/// topic and the key around it; it must not have more bytes than the server takes, by default 64 KiB.
///
/// A future that was polled and then dropped still publishes; only its confirmation is discarded.
#[derive(Debug)]
#[must_use = "nothing is published before it is awaited"]
pub struct Publish {
    shared: Arc<Shared>,
    publish: Result<request::Publish, EncodeError>,
}

impl Publish {
    pub(crate) fn new<T: Serialize + ?Sized>(shared: Arc<Shared>, topic: Topic, value: &T) -> Self {
        let publish = encode(value).map(|payload| request::Publish { topic, payload, echo: true, key: None });
        Self { shared, publish }
    }

    /// With `false`, this client's own subscriptions do not receive the publication. After a reconnect they may:
    /// replayed publications do not say which client published them.
    pub fn echo(self, echo: bool) -> Self {
        self.with(|publish| publish.echo = echo)
    }

    /// Sets the key. While the server remembers it, a second publication with the same key has no effect and gets the
    /// answer of the first. Without this option the client numbers its publications itself.
    ///
    /// The key is a text of the program's choice, or one that an error returned:
    ///
    /// ```no_run
    /// # async fn example(client: hubcast_client::Client) -> Result<(), hubcast_client::PublishError> {
    /// use hubcast_client::PublishError;
    ///
    /// match client.publish("commands", "paid").await {
    ///     Err(PublishError::Timeout { key: Some(key) }) => client.publish("commands", "paid").key(key).await?,
    ///     other => other?,
    /// };
    /// # Ok(())
    /// # }
    /// ```
    pub fn key(self, key: impl Into<IdempotencyKey>) -> Self {
        self.with(|publish| publish.key = Some(key.into().0))
    }

    fn with(mut self, set: impl FnOnce(&mut request::Publish)) -> Self {
        if let Ok(publish) = &mut self.publish {
            set(publish);
        }
        self
    }
}

impl IntoFuture for Publish {
    type Output = Result<Published, PublishError>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            match self.shared.call(Command::Publish(self.publish?), None).await? {
                Answer::Published(published) => Ok(published),
                // Every other answer belongs to another command.
                _ => Err(Failure::Closed { why: Closed::ByUser, key: None }.into()),
            }
        })
    }
}

pub(crate) fn encode<T: Serialize + ?Sized>(value: &T) -> Result<Payload, EncodeError> {
    let json = serde_json::value::to_raw_value(value).map_err(|error| EncodeError::Json(error.into()))?;
    if json.get() == "null" {
        return Err(EncodeError::Null);
    }
    Ok(Payload::from_json(&json)?)
}
