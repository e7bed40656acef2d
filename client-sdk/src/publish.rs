//! Publishing, with wishes.

use crate::error::{EncodeError, PublishError};
use crate::handle::Shared;
use crate::idempotency::IdempotencyKey;
use crate::machine::{Answer, Closed, Command, Failure, Published};
use hubcast_protocol::request;
use hubcast_protocol::{Payload, Topic};
use serde::Serialize;
use std::pin::Pin;
use std::sync::Arc;

/// A publication to be: say how, then `.await` it until the server has taken it.
///
/// Without a connection it waits for one; what was sent and not confirmed is sent again. The number that the client gives
/// it makes that harmless for as long as the server knows the number, by default two minutes and not over a crash
/// ([`IdempotencyKey`]). At most 256 publications of a client are sent and not confirmed; the next ones wait.
///
/// It becomes a future with `.await`, or with `.into_future()` where one is wanted, as for `tokio::spawn` or
/// `futures::future::join_all`; its error is a [`PublishError`]. The whole request, which is the JSON of the value with
/// the topic and the key around it, must not have more bytes than the server takes, by default 64 KiB.
///
/// A future that was polled and then dropped has published all the same: only the confirmation finds nobody.
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

    /// With `false` this client's own subscriptions do not hear it. (After a reconnect they may: what is replayed
    /// then does not tell whose it was.)
    pub fn echo(self, echo: bool) -> Self {
        self.with(|publish| publish.echo = echo)
    }

    /// A second publication with the same key, while the server remembers the first, has no effect and is answered as
    /// the first. Without one the client numbers its publications itself.
    ///
    /// It is a text of the program's choice, or what an error handed back:
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

    fn with(mut self, wish: impl FnOnce(&mut request::Publish)) -> Self {
        if let Ok(publish) = &mut self.publish {
            wish(publish);
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

fn encode<T: Serialize + ?Sized>(value: &T) -> Result<Payload, EncodeError> {
    let json = serde_json::value::to_raw_value(value)?;
    if json.get() == "null" {
        return Err(EncodeError::Null);
    }
    Ok(Payload::from_json(&json)?)
}
