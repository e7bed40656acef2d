//! The streams of a subscription.

use crate::driver::DriverCommand;
use crate::event::{Event, ItemError, Message};
use crate::handle::Shared;
use crate::inbox::Inbox;
use crate::machine::{Closed, Delivery, Ended, Gap, GapReason, SubscriptionId};
use crate::positions::Positions;
use futures_core::Stream;
use hubcast_protocol::request::Start;
use hubcast_protocol::{Position, Topic};
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;
use std::fmt;
use std::future::poll_fn;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

/// The values published to one topic, as a stream; dropping it unsubscribes.
///
/// Where publications are missing, the item [`ItemError::Gap`] says which and why, and the stream goes on:
///
/// ```no_run
/// # async fn example(client: hubcast_client::Client) -> Result<(), Box<dyn std::error::Error>> {
/// use hubcast_client::ItemError;
///
/// let mut prices = client.subscribe::<f64>("prices").await?;
/// while let Some(price) = prices.next().await {
///     match price {
///         Ok(price) => println!("{price}"),
///         Err(ItemError::Gap(gap)) => println!("{gap}"), // "prices" misses publications 3 to 5: …
///         Err(ItemError::Decode(error)) => println!("{error}"),
///         Err(error) => return Err(error.into()), // the subscription is over
///     }
/// }
/// # Ok(())
/// # }
/// ```
///
/// Unread items wait in a queue of 1,024 items and 4 MiB, or as much as [`Subscribe::queue`](crate::Subscribe::queue)
/// and [`Subscribe::queue_bytes`](crate::Subscribe::queue_bytes) set. When it is full, the oldest items are dropped, and
/// a gap takes their place. A subscription that is not read delays neither its client nor other subscriptions.
///
/// The stream ends when the client is closed. If the server ended it, the last item says why.
pub struct Subscription<T> {
    events: Events<T>,
}

/// The messages of all topics that match a pattern, as a stream; dropping it unsubscribes.
///
/// Like a [`Subscription`], but every item is a [`Message`] with its topic.
pub struct PatternSubscription<T> {
    events: Events<T>,
}

/// All events of a subscription, as a stream; dropping it unsubscribes.
pub struct Events<T> {
    reader: Reader,
    of: PhantomData<fn() -> T>,
}

/// The reading end of one subscription, without a message type.
pub(crate) struct Reader {
    id: SubscriptionId,
    inbox: Arc<Inbox>,
    shared: Arc<Shared>,
    positions: Positions,
    skips_gaps: bool,
    is_over: bool,
}

impl<T: DeserializeOwned> Subscription<T> {
    /// The next value; `None` when the client is closed. A future that is dropped has taken nothing.
    pub async fn next(&mut self) -> Option<Result<T, ItemError>> {
        poll_fn(|context| self.poll_value(context)).await
    }

    /// The position of the last item that this stream gave out, or where the subscription began. A program that stores
    /// it passes it to [`Subscribe::recover`](crate::Subscribe::recover) after its own restart, and gets all that came
    /// later. `None` on a topic without history.
    pub fn position(&self) -> Option<Position> {
        self.events.reader.positions.of_topic()
    }

    /// The same subscription as a stream of all its events: positions, gaps, joins and leaves.
    pub fn events(self) -> Events<T> {
        self.events
    }

    fn poll_value(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<T, ItemError>>> {
        self.events.poll_message(context).map_ok(|message| message.value)
    }
}

impl<T: DeserializeOwned> PatternSubscription<T> {
    /// The next message; `None` when the client is closed. A future that is dropped has taken nothing.
    pub async fn next(&mut self) -> Option<Result<Message<T>, ItemError>> {
        poll_fn(|context| self.events.poll_message(context)).await
    }

    /// The positions of the last items that this stream gave out, by topic. A program that stores them passes them to
    /// [`Subscribe::recover`](crate::Subscribe::recover) after its own restart. A topic of which nothing was received is
    /// not among them; of more topics than
    /// [`ClientBuilder::topics_per_pattern`](crate::ClientBuilder::topics_per_pattern), only those received last are.
    pub fn positions(&self) -> BTreeMap<Topic, Position> {
        self.events.positions()
    }

    /// The same subscription as a stream of all its events: gaps, joins and leaves.
    pub fn events(self) -> Events<T> {
        self.events
    }
}

impl<T: DeserializeOwned> Events<T> {
    /// The next event; `None` when the client is closed. A future that is dropped has taken nothing.
    pub async fn next(&mut self) -> Option<Result<Event<T>, ItemError>> {
        poll_fn(|context| self.poll_event(context)).await
    }

    /// The position of the last event that this stream gave out: see [`Subscription::position`]. `None` under a
    /// pattern.
    pub fn position(&self) -> Option<Position> {
        self.reader.positions.of_topic()
    }

    /// The positions of the last events that this stream gave out, by topic: see [`PatternSubscription::positions`].
    pub fn positions(&self) -> BTreeMap<Topic, Position> {
        self.reader.positions.all()
    }

    fn poll_message(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Message<T>, ItemError>>> {
        loop {
            match ready!(self.poll_event(context)) {
                Some(Ok(Event::Message(message))) => return Poll::Ready(Some(Ok(message))),
                Some(Ok(Event::Gap(gap))) if self.reader.reports(&gap) => return Poll::Ready(Some(Err(gap.into()))),
                Some(Ok(_)) => {}
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => return Poll::Ready(None),
            }
        }
    }

    /// The next delivery as it is.
    pub(crate) async fn next_delivery(&mut self) -> Option<Delivery> {
        poll_fn(|context| self.reader.poll(context)).await
    }

    /// The queue that this stream reads.
    pub(crate) fn inbox(&self) -> Arc<Inbox> {
        self.reader.inbox.clone()
    }

    fn poll_event(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Event<T>, ItemError>>> {
        let event = match ready!(self.reader.poll(context)) {
            None | Some(Delivery::Ended(Ended::Closed(Closed::ByUser))) => return Poll::Ready(None),
            Some(Delivery::Ended(why)) => Err(ItemError::Ended(why)),
            Some(Delivery::Message(message)) => Message::decode(&message).map(Event::Message).map_err(Into::into),
            Some(Delivery::Resumed(resumed)) => Ok(Event::Resumed(resumed)),
            Some(Delivery::Gap(gap)) => Ok(Event::Gap(gap)),
            Some(Delivery::Joined(member)) => Ok(Event::Joined(member)),
            Some(Delivery::Left(member)) => Ok(Event::Left(member)),
            // Only a list of members asks for these, and reads them itself.
            Some(Delivery::Presence(_)) => return self.poll_event(context),
        };
        Poll::Ready(Some(event))
    }
}

impl Reader {
    /// The reader of a queue; `topic` is that of the subscription, if it has one.
    pub(crate) fn new(
        id: SubscriptionId,
        inbox: Arc<Inbox>,
        shared: Arc<Shared>,
        topic: Option<Topic>,
        skips_gaps: bool,
    ) -> Self {
        let positions = Positions::new(topic, shared.queues.topics);
        Self { id, inbox, shared, positions, skips_gaps, is_over: false }
    }

    /// Sets the position at which the subscription begins: the one that the program gave, or that of the server's
    /// confirmation.
    pub(crate) fn begin(&mut self, start: Start, confirmed: Option<Position>) {
        match start {
            Start::After(position) | Start::AfterOrLast(position, _) => self.positions.begin(Some(position)),
            Start::AfterEach(positions) => {
                positions.iter().for_each(|(topic, position)| self.positions.set(topic, Some(*position)));
            }
            Start::Live | Start::Last(_) => self.positions.begin(confirmed),
        }
    }

    /// Whether the stream of values reports this gap.
    fn reports(&self, gap: &Gap) -> bool {
        !self.skips_gaps && gap.reason != GapReason::MissedPresence
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Option<Delivery>> {
        if self.is_over {
            return Poll::Ready(None);
        }
        let delivery = ready!(self.inbox.poll(context));
        if let Delivery::Gap(gap) = &delivery
            && gap.reason == GapReason::SlowReader
        {
            tracing::warn!(target: "hubcast_client", "{gap}");
        }
        self.positions.take(&delivery);
        self.is_over = matches!(delivery, Delivery::Ended(_));
        Poll::Ready(Some(delivery))
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.shared.tell(DriverCommand::Unsubscribe(self.id));
    }
}

impl<T: DeserializeOwned> Stream for Subscription<T> {
    type Item = Result<T, ItemError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.poll_value(context)
    }
}

impl<T: DeserializeOwned> Stream for PatternSubscription<T> {
    type Item = Result<Message<T>, ItemError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.events.poll_message(context)
    }
}

impl<T: DeserializeOwned> Stream for Events<T> {
    type Item = Result<Event<T>, ItemError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.poll_event(context)
    }
}

impl<T> From<Reader> for Events<T> {
    fn from(reader: Reader) -> Self {
        Self { reader, of: PhantomData }
    }
}

impl<T> From<Reader> for Subscription<T> {
    fn from(reader: Reader) -> Self {
        Self { events: reader.into() }
    }
}

impl<T> From<Reader> for PatternSubscription<T> {
    fn from(reader: Reader) -> Self {
        Self { events: reader.into() }
    }
}

impl<T> fmt::Debug for Subscription<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Subscription").field(&self.events.reader.id.0).finish()
    }
}

impl<T> fmt::Debug for PatternSubscription<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PatternSubscription").field(&self.events.reader.id.0).finish()
    }
}

impl<T> fmt::Debug for Events<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Events").field(&self.reader.id.0).finish()
    }
}
