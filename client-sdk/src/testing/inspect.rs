//! What a test asks of its server directly, without a client.

use super::{TestServer, now};
use crate::publish::encode;
use crate::{
    ClientId, DecodeError, Message, Presence, PublishError, Published, Refused, RequestError, Topic, TopicName,
};
use hubcast_protocol::request::{Action, Publish, ReadHistory};
use hubcast_protocol::{Event, Request, RequestId, event};
use serde::{Serialize, de::DeserializeOwned};

impl TestServer {
    /// Publishes, as another client would.
    ///
    /// ```
    /// # use hubcast_client::testing::TestServer;
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let server = TestServer::start();
    /// let client = server.client().await?;
    /// let mut prices = client.subscribe::<u32>("prices").await?;
    /// assert_eq!(server.subscribers("prices"), [client.id().ok_or("connected")?]);
    ///
    /// server.publish("prices", &250)?;
    /// assert_eq!(prices.next().await.ok_or("it goes on")??, 250);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// When the value cannot be a message, and when the server refuses it.
    ///
    /// # Panics
    /// While the server is stopped.
    pub fn publish<T: Serialize + ?Sized>(
        &self,
        topic: impl Into<Topic<T>>,
        value: &T,
    ) -> Result<Published, PublishError> {
        let (topic, payload) = (topic.into().into_name(), encode(value)?);
        match self.ask(Action::Publish(Publish { topic, payload, echo: true, key: None })) {
            Ok(Event::Published(event::Published { offset, receivers, .. })) => Ok(Published { offset, receivers }),
            Ok(other) => unreachable!("{other:?} answers no publish"),
            Err(refused) => Err(PublishError::Refused(refused)),
        }
    }

    /// The publications that the server keeps of a topic, oldest first; of more than 1,000 the last ones.
    ///
    /// # Errors
    /// When the topic keeps no history.
    ///
    /// # Panics
    /// While the server is stopped.
    pub fn history<T: DeserializeOwned>(
        &self,
        topic: impl Into<Topic<T>>,
    ) -> Result<Vec<Result<Message<T>, DecodeError>>, RequestError> {
        let topic = topic.into().into_name();
        match self.ask(Action::History(ReadHistory { topic, since: None, limit: None })) {
            Ok(Event::History(event::History { topic, epoch, messages, .. })) => {
                let messages = messages.into_iter().map(|entry| event::Message {
                    topic: topic.clone(),
                    epoch: Some(epoch),
                    offset: Some(entry.offset),
                    payload: entry.payload,
                    user: entry.user,
                    time: entry.time,
                });
                Ok(messages.map(|message| Message::decode(&message)).collect())
            }
            Ok(other) => unreachable!("{other:?} answers no history"),
            Err(refused) => Err(RequestError::Refused(refused)),
        }
    }

    /// The members of a topic.
    ///
    /// # Errors
    /// When the topic has no presence.
    ///
    /// # Panics
    /// While the server is stopped.
    pub fn presence(&self, topic: impl Into<TopicName>) -> Result<Presence, RequestError> {
        match self.ask(Action::Presence(topic.into())) {
            Ok(Event::Presence(presence)) => Ok(presence),
            Ok(other) => unreachable!("{other:?} answers no presence"),
            Err(refused) => Err(RequestError::Refused(refused)),
        }
    }

    /// The connections that a publication to this topic would reach, by their subscriptions to the topic and to
    /// patterns. Empty while the server is stopped.
    pub fn subscribers(&self, topic: impl Into<TopicName>) -> Vec<ClientId> {
        self.state().subscribers(&topic.into())
    }

    /// The number of open connections.
    pub fn connections(&self) -> usize {
        self.state().sessions().len()
    }

    fn ask(&self, action: Action) -> Result<Event, Refused> {
        let request = Request::new(RequestId::Number(1), action);
        let answer = self.state().ask(now(), request);
        self.wake();
        match answer.expect("the server is not stopped") {
            Event::Error(refusal) => Err(refusal.into()),
            answer => Ok(answer),
        }
    }
}
