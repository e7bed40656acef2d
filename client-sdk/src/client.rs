//! The handle that a program holds.

use crate::TopicName;
use crate::error::{CloseError, ConnectError, RequestError};
use crate::event::Message;
use crate::handle::Shared;
use crate::machine::{Answer, Command, Failure, Status};
use crate::publish::Publish;
use crate::subscribe::{self, Subscribe};
use crate::subscription::{PatternSubscription, Subscription};
use crate::topic::Topic;
use hubcast_protocol::event::{self, Presence};
use hubcast_protocol::request::ReadHistory;
use hubcast_protocol::{ClientId, Epoch, Position};
use serde::{Serialize, de::DeserializeOwned};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// A client of one server: connected, and connected again whenever the connection breaks.
///
/// Clones are the same client. It closes when [`Client::close`] is called, or when the last clone and the last
/// subscription are dropped.
#[derive(Clone, Debug)]
pub struct Client {
    shared: Arc<Shared>,
}

/// A part of a topic's history, oldest first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct History<T> {
    /// Which history. When it is not that of the position that was asked from, the past of that position is gone.
    pub epoch: Epoch,
    /// Its last offset.
    pub offset: u64,
    /// The messages asked for.
    pub messages: Vec<Message<T>>,
}

impl Client {
    pub(crate) fn new(shared: Shared) -> Self {
        Self { shared: Arc::new(shared) }
    }

    /// Waits for the first welcome.
    pub(crate) async fn welcome(&self) -> Result<(), ConnectError> {
        self.shared.call(Command::Connect, None).await?;
        Ok(())
    }

    /// Listens to a topic: `.await` what this returns, after saying more about it where that is needed.
    ///
    /// ```no_run
    /// # async fn example(client: hubcast_client::Client) -> Result<(), Box<dyn std::error::Error>> {
    /// let mut world = client.subscribe::<String>("world").last(1).await?;
    /// while let Some(greeting) = world.next().await {
    ///     println!("{}", greeting?);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn subscribe<T: DeserializeOwned>(&self, topic: impl Into<Topic<T>>) -> Subscribe<Subscription<T>> {
        Subscribe::to_topic(self.shared.clone(), topic.into().into_name())
    }

    /// Listens to all topics that match: tokens separated by `.`, where `*` stands for one token and `>`, as the
    /// last one, for one or more.
    pub fn subscribe_pattern<T: DeserializeOwned>(&self, pattern: &str) -> Subscribe<PatternSubscription<T>> {
        Subscribe::to_pattern(self.shared.clone(), pattern)
    }

    /// Listens to what is sent to this client alone: published to its [`Client::id`], or to `@` and its user.
    ///
    /// The server sends it anyway, so there is nothing to wait for. What is sent to an id after its connection broke
    /// is lost; the events say so.
    pub fn direct<T: DeserializeOwned>(&self) -> Subscription<T> {
        subscribe::direct(&self.shared)
    }

    /// Publishes a value: `.await` what this returns, after saying more about it where that is needed.
    ///
    /// The value is turned into JSON at once. A value whose JSON is `null`, such as `None` or `()`, is refused with
    /// [`EncodeError::Null`](crate::EncodeError::Null): on the wire it is an empty text. Within another value `null` is
    /// what it is.
    ///
    /// The value is of the topic's type. To publish a `&str` to a `Topic<String>`, or a slice to a topic of vectors, say
    /// the name: `client.publish(topic.name(), "hi")`.
    pub fn publish<T: Serialize + ?Sized>(&self, topic: impl Into<Topic<T>>, value: &T) -> Publish {
        Publish::new(self.shared.clone(), topic.into().into_name(), value)
    }

    /// Reads a topic's history forward from a position, or the last `limit` messages without one.
    ///
    /// # Errors
    /// When the topic keeps no history, when a message is not a `T`, or when no answer comes in time.
    pub async fn history<T: DeserializeOwned>(
        &self,
        topic: impl Into<Topic<T>>,
        since: Option<Position>,
        limit: Option<u32>,
    ) -> Result<History<T>, RequestError> {
        let command = Command::History(ReadHistory { topic: topic.into().into_name(), since, limit });
        let Answer::History(history) = self.shared.call(command, None).await? else {
            return Err(self.unexpected_answer());
        };
        let event::History { topic, epoch, offset, messages, .. } = history;
        let messages = messages.into_iter().map(|entry| {
            let (topic, payload) = (topic.clone(), entry.payload);
            Message::decode(&event::Message { topic, epoch: Some(epoch), offset: Some(entry.offset), payload })
        });
        Ok(History { epoch, offset, messages: messages.collect::<Result<_, _>>()? })
    }

    /// Who is subscribed to a topic.
    ///
    /// # Errors
    /// When the topic keeps no presence, or when no answer comes in time.
    pub async fn presence(&self, topic: impl Into<TopicName>) -> Result<Presence, RequestError> {
        match self.shared.call(Command::Presence(topic.into()), None).await? {
            Answer::Presence(presence) => Ok(presence),
            _ => Err(self.unexpected_answer()),
        }
    }

    /// Asks the server for a sign of life; gives the time that it took. Nothing of this is needed to stay connected.
    ///
    /// # Errors
    /// When no answer comes in time.
    pub async fn ping(&self) -> Result<Duration, RequestError> {
        let asked = Instant::now();
        self.shared.call(Command::Ping, None).await?;
        Ok(asked.elapsed())
    }

    /// The id of the latest connection, and its private topic. After a reconnect it is another one.
    ///
    /// # Panics
    /// Never: a client that can be called has been welcomed.
    pub fn id(&self) -> ClientId {
        let client = self.shared.status.borrow().client;
        client.expect("connecting waits for the first welcome, and an id is only ever replaced by the next")
    }

    /// How the client stands now.
    pub fn status(&self) -> Status {
        self.shared.status.borrow().clone()
    }

    /// How the client stands, to be watched: `changed().await`, then look.
    pub fn statuses(&self) -> watch::Receiver<Status> {
        self.shared.status.clone()
    }

    /// Waits until everything is answered that was asked, then closes for good. All streams end.
    ///
    /// Publications and questions are waited for, also for the connection that they may need, as long as
    /// [`ClientBuilder::close_timeout`](crate::ClientBuilder::close_timeout) says; subscriptions that do not stand yet are given up. What is asked after this
    /// fails. A client that is closed already, by whomever, closes at once and without an error.
    ///
    /// # Errors
    /// When something was still unanswered after five seconds, or what was set; and when the server ended the client
    /// meanwhile.
    pub async fn close(&self) -> Result<(), CloseError> {
        match self.shared.call(Command::Close, None).await {
            Err(Failure::Unfinished(unanswered)) => Err(CloseError { unanswered }),
            _ => Ok(()),
        }
    }

    /// An answer that belongs to another command, which the machine never gives.
    fn unexpected_answer(&self) -> RequestError {
        RequestError::Closed(self.shared.closed())
    }
}
