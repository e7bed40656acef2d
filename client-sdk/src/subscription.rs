//! The streams of a subscription.

use crate::driver::DriverCommand;
use crate::event::{Event, ItemError, Message};
use crate::handle::Shared;
use crate::inbox::Inbox;
use crate::machine::{Closed, Delivery, Ended, SubscriptionId};
use futures_core::Stream;
use serde::de::DeserializeOwned;
use std::fmt;
use std::future::poll_fn;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

/// The values published to one topic, as a stream; dropping it unsubscribes.
///
/// The values alone do not show what is missing: [`Subscription::events`] does. Unread items wait in a queue of 1,024
/// items, or as many as [`Subscribe::queue`](crate::Subscribe::queue) sets. When it is full, the oldest item is
/// dropped, and the events contain a [`Gap`](crate::Gap) in its place. A subscription that is not read delays neither
/// its client nor other subscriptions.
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
    is_over: bool,
}

impl<T: DeserializeOwned> Subscription<T> {
    /// The next value; `None` when the client is closed.
    pub async fn next(&mut self) -> Option<Result<T, ItemError>> {
        poll_fn(|context| self.poll_value(context)).await
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
    /// The next message; `None` when the client is closed.
    pub async fn next(&mut self) -> Option<Result<Message<T>, ItemError>> {
        poll_fn(|context| self.events.poll_message(context)).await
    }

    /// The same subscription as a stream of all its events: gaps, joins and leaves.
    pub fn events(self) -> Events<T> {
        self.events
    }
}

impl<T: DeserializeOwned> Events<T> {
    /// The next event; `None` when the client is closed.
    pub async fn next(&mut self) -> Option<Result<Event<T>, ItemError>> {
        poll_fn(|context| self.poll_event(context)).await
    }

    fn poll_message(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Message<T>, ItemError>>> {
        loop {
            match ready!(self.poll_event(context)) {
                Some(Ok(Event::Message(message))) => return Poll::Ready(Some(Ok(message))),
                Some(Ok(_)) => {}
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => return Poll::Ready(None),
            }
        }
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
        };
        Poll::Ready(Some(event))
    }
}

impl Reader {
    pub(crate) fn new(id: SubscriptionId, inbox: Arc<Inbox>, shared: Arc<Shared>) -> Self {
        Self { id, inbox, shared, is_over: false }
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Option<Delivery>> {
        if self.is_over {
            return Poll::Ready(None);
        }
        let delivery = ready!(self.inbox.poll(context));
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
