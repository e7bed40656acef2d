//! The client as a program uses it.

use crate::TopicName;
use crate::error::{CloseError, ConnectError, RequestError, SubscribeError};
use crate::event::{DecodeError, Message};
use crate::handle::Shared;
use crate::machine::{Answer, Command, Failure, Status};
use crate::members::Members;
use crate::publish::Publish;
use crate::publisher::Publisher;
use crate::statuses::Statuses;
use crate::subscribe::{self, Subscribe};
use crate::subscription::{PatternSubscription, Subscription};
use crate::topic::Topic;
use hubcast_protocol::event::{self, Presence};
use hubcast_protocol::request::ReadHistory;
use hubcast_protocol::{AnonymousId, ClientId, Epoch, MemberSecret, Position};
use serde::{Serialize, de::DeserializeOwned};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A client of one server. It connects again whenever the connection breaks.
///
/// Clones are the same client. It closes when [`Client::close`] is called, or when the last clone, the last
/// subscription and the last publisher are dropped.
#[derive(Clone, Debug)]
pub struct Client {
    shared: Arc<Shared>,
}

/// A part of a topic's history, oldest first.
#[derive(Debug)]
#[non_exhaustive]
pub struct History<T> {
    /// The epoch that these messages belong to. If it differs from the epoch of the `since` position, the history that
    /// this position belonged to is gone.
    pub epoch: Epoch,
    /// The last offset of the whole history, not only of this part.
    pub offset: u64,
    /// The messages asked for. One that is not a `T` is an error, and the others are there all the same.
    pub messages: Vec<Result<Message<T>, DecodeError>>,
}

impl Client {
    pub(crate) fn new(shared: Shared) -> Self {
        Self { shared: Arc::new(shared) }
    }

    /// Waits until the server has welcomed the first connection.
    pub(crate) async fn welcome(&self) -> Result<(), ConnectError> {
        self.shared.call(Command::Connect, None).await?;
        Ok(())
    }

    /// Begins to connect, and does not wait.
    pub(crate) fn connect_lazily(&self) {
        self.shared.begin(Command::ConnectLazily);
    }

    /// Subscribes to a topic: `.await` the returned [`Subscribe`], after setting its options where needed. In a topic's name
    /// nothing is a wildcard: `a.*` is a topic too. For patterns see [`Client::subscribe_pattern`].
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

    /// Subscribes to all topics that match a pattern. A pattern is tokens separated by `.`: `*` stands for one token,
    /// and `>`, which must be the last, for one or more.
    pub fn subscribe_pattern<T: DeserializeOwned>(&self, pattern: &str) -> Subscribe<PatternSubscription<T>> {
        Subscribe::to_pattern(self.shared.clone(), pattern)
    }

    /// Subscribes to the private topics of this client: its [`Client::id`], and `@` followed by its user.
    ///
    /// The server sends these messages without a subscription, so this does not wait. Messages that come while there is
    /// no connection are lost, and a [`Gap`](crate::Gap) says that there may be some. Where the server keeps a history of
    /// the user's topic and the token grants it, [`Client::subscribe`] to `@` and the user's name resumes it.
    pub fn direct<T: DeserializeOwned>(&self) -> Subscription<T> {
        subscribe::direct(&self.shared)
    }

    /// Publishes a value: `.await` the returned [`Publish`], after setting its options where needed.
    ///
    /// The value is converted to JSON at once. A value whose JSON is `null`, such as `None` or `()`, is refused with
    /// [`EncodeError::Null`](crate::EncodeError::Null), because on the wire `null` means an empty text. A `null` inside
    /// another value is allowed.
    ///
    /// The value must have the topic's type. To publish a `&str` to a `Topic<String>`, or a slice to a topic of
    /// vectors, pass the name: `client.publish(topic.name(), "hi")`.
    pub fn publish<T: Serialize + ?Sized>(&self, topic: impl Into<Topic<T>>, value: &T) -> Publish {
        Publish::new(self.shared.clone(), topic.into().into_name(), value)
    }

    /// A publisher of many values to one topic. It publishes them in order, without waiting for the confirmation of
    /// each, and makes its caller wait when the server cannot keep up.
    pub fn publisher<T: Serialize>(&self, topic: impl Into<Topic<T>>) -> Publisher<T> {
        Publisher::new(self.shared.clone(), topic.into().into_name())
    }

    /// Reads a topic's history forward from the position `since`; without a position, the last `limit` messages.
    ///
    /// # Errors
    /// When the topic keeps no history, or when no answer comes in time.
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
            Message::decode(&event::Message {
                topic,
                epoch: Some(epoch),
                offset: Some(entry.offset),
                payload,
                user: entry.user,
                time: entry.time,
            })
        });
        Ok(History { epoch, offset, messages: messages.collect() })
    }

    /// The connections that are subscribed to a topic.
    ///
    /// # Errors
    /// When the topic keeps no presence, or when no answer comes in time.
    pub async fn presence(&self, topic: impl Into<TopicName>) -> Result<Presence, RequestError> {
        match self.shared.call(Command::Presence(topic.into()), None).await? {
            Answer::Presence(presence) => Ok(presence),
            _ => Err(self.unexpected_answer()),
        }
    }

    /// A list of the members of a topic that keeps itself up to date. It subscribes to the topic, so this connection is a
    /// member too. Dropping it ends that.
    ///
    /// # Errors
    /// When the topic has no presence, or sends no joins and leaves, and as [`Client::subscribe`].
    pub async fn members(&self, topic: impl Into<TopicName>) -> Result<Members, SubscribeError> {
        Members::watch(self.shared.clone(), topic.into()).await
    }

    /// Sends a ping to the server and returns the time until its answer. The client stays connected without this.
    ///
    /// # Errors
    /// When no answer comes in time.
    pub async fn ping(&self) -> Result<Duration, RequestError> {
        let asked = Instant::now();
        self.shared.call(Command::Ping, None).await?;
        Ok(asked.elapsed())
    }

    /// The id of the latest connection, which is also the name of its private topic. Every reconnect changes it. `None`
    /// before the first connection, which only a client has that was made by
    /// [`ClientBuilder::connect_lazily`](crate::ClientBuilder::connect_lazily).
    pub fn id(&self) -> Option<ClientId> {
        self.shared.status.borrow().client
    }

    /// The user that the token of the latest connection names, as the server says. Messages to `@` and this name reach
    /// the client: see [`Client::direct`].
    pub fn user(&self) -> Option<Box<str>> {
        self.shared.status.borrow().user.clone()
    }

    /// Makes the next attempt to connect now, if the client waits for it: for a program that knows that the network is
    /// back. Otherwise this does nothing.
    pub async fn reconnect(&self) {
        // On a client that is closed there is nothing to do.
        let _ = self.shared.call(Command::Reconnect, None).await;
    }

    /// The secret by which presence recognises this client: see
    /// [`ClientBuilder::member_secret`](crate::ClientBuilder::member_secret).
    pub fn member_secret(&self) -> &MemberSecret {
        &self.shared.secret
    }

    /// The id that presence shows of this client if it has no user. It stays the same over reconnects.
    pub fn anonymous_id(&self) -> AnonymousId {
        AnonymousId::of(&self.shared.secret)
    }

    /// The current status of the client.
    pub fn status(&self) -> Status {
        self.shared.status.borrow().clone()
    }

    /// Follows the status of the client: `changed().await` waits for the next change.
    pub fn statuses(&self) -> Statuses {
        Statuses::new(self.shared.status.clone())
    }

    /// Waits until all requests are answered, then closes for good. All streams end.
    ///
    /// This waits for publications, pings and reads of history or presence, and for the connection that they may need,
    /// for at most [`ClientBuilder::close_timeout`](crate::ClientBuilder::close_timeout). Subscriptions that the server
    /// has not confirmed yet are given up. Later requests fail. On a client that is closed already, whatever closed it,
    /// this returns at once and without an error.
    ///
    /// # Errors
    /// When a request was still unanswered at the end of the close timeout (by default five seconds), or when the
    /// server ended the client before all requests were answered.
    pub async fn close(&self) -> Result<(), CloseError> {
        match self.shared.call(Command::Close, None).await {
            Err(Failure::Unfinished(unanswered)) => Err(CloseError { unanswered }),
            _ => Ok(()),
        }
    }

    /// The error for an answer that belongs to another command. The machine never gives such an answer.
    fn unexpected_answer(&self) -> RequestError {
        RequestError::Closed(self.shared.closed())
    }
}
