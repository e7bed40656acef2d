//! Publishing many values to one topic in order, without waiting for each confirmation.

mod receipt;
mod send_error;
mod sink;

pub use receipt::Receipt;
pub use send_error::SendError;

use crate::driver::DriverCommand;
use crate::error::{EncodeError, PublishError};
use crate::handle::Shared;
use crate::publish::encode;
use crate::room::{OVERHEAD, Permit};
use crate::window::{Outcome, Promise, Until, Window};
use hubcast_protocol::request::{self, PRODUCER_WINDOW};
use hubcast_protocol::{Payload, Topic};
use serde::Serialize;
use std::collections::VecDeque;
use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use tokio::sync::oneshot;

/// Publishes values to one topic, in order. [`Client::publisher`](crate::Client::publisher) makes one.
///
/// [`Publisher::send`] waits only for room: at most 256 publications (the [window](Publisher::window)) are under way at
/// a time. [`Publisher::flush`] waits until all of them are confirmed. It is also a [`Sink`](futures_util::Sink), so `stream.forward(...)`
/// publishes a whole stream.
///
/// ```no_run
/// # async fn example(client: hubcast_client::Client) -> Result<(), Box<dyn std::error::Error>> {
/// let mut prices = client.publisher::<u64>("prices");
/// for price in 0..10_000 {
///     prices.send(price).await?;
/// }
/// prices.flush().await?;
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// Every value that was given to `send` is either confirmed, or handed back once: in the [`SendError`] of the same call
/// or of a later call of `send` or `flush`. The errors come in the order of sending, one in each call. When
/// `send` returns an error, it has nevertheless taken its own value, unless the error contains that very value. After
/// an error the publisher works on: call `flush` until it returns `Ok` to get all errors.
///
/// # Order
/// The server takes the publications in the order of `send`, also over reconnects. A publication that fails is handed
/// back and not sent again by itself: also one that the server refuses for a while (`rate_limited`, `unavailable`).
/// Those after it may be under way already, and the server may take them. To publish the failed one after them, or not
/// at all, is the program's decision. Where none may overtake another, use a window of 1.
///
/// # A server that does not answer
/// A server that is slow, or gone for a while, makes `send` wait, and nothing else. A publication fails when it has
/// waited for the client's [`request_timeout`](crate::ClientBuilder::request_timeout). Here
/// [`PublishError::QueueFull`] does not happen: a publisher waits for room within the bounds of all requests of the
/// client, in turn with other publishers.
///
/// # Memory
/// Until its outcome is taken, each value is kept, and its JSON until it is confirmed: at most the window times the
/// largest message. [`ClientBuilder::request_queue_bytes`](crate::ClientBuilder::request_queue_bytes) bounds the JSON
/// of all requests of the client together.
///
/// # Dropping it
/// What was taken is published nevertheless; only its outcome is discarded. A publisher keeps its client open. If it is
/// the last handle of the client, the client closes after it, and waits for confirmations as
/// [`Client::close`](crate::Client::close) does.
pub struct Publisher<T> {
    shared: Arc<Shared>,
    topic: Topic,
    echo: bool,
    most: usize,
    /// The values of the publications of `window`, in the same order.
    values: VecDeque<T>,
    window: Arc<Window>,
    /// The permit that `poll_ready` has got, or waits for, for the next `start_send`.
    permit: Option<Permit>,
    taking: Option<Taking>,
}

type Taking = Pin<Box<dyn Future<Output = Permit> + Send + Sync>>;

impl<T> Publisher<T> {
    pub(crate) fn new(shared: Arc<Shared>, topic: Topic) -> Self {
        let (values, window) = (VecDeque::new(), Arc::default());
        Self { shared, topic, echo: true, most: PRODUCER_WINDOW, values, window, permit: None, taking: None }
    }

    /// The most publications that are under way at a time, from 1 to 256; by default 256, which is also the most that a
    /// client has under way, over all its publishers.
    #[must_use = "it returns the changed publisher"]
    pub fn window(mut self, publications: usize) -> Self {
        self.most = publications.clamp(1, PRODUCER_WINDOW);
        self
    }

    /// With `false`, this client's own subscriptions do not receive the publications; see
    /// [`Publish::echo`](crate::Publish::echo).
    #[must_use = "it returns the changed publisher"]
    pub fn echo(mut self, echo: bool) -> Self {
        self.echo = echo;
        self
    }

    /// The topic.
    pub fn topic(&self) -> &Topic {
        &self.topic
    }

    /// Waits until all publications are confirmed, also those with a [`Receipt`].
    ///
    /// Dropping the future changes nothing: no error is lost.
    ///
    /// # Errors
    /// The first failure that was not handed out yet. Call it again for the next one: it returns `Ok` when no
    /// publication is under way and no failure is left.
    pub async fn flush(&mut self) -> Result<(), SendError<T>> {
        poll_fn(|context| self.poll_over(context)).await
    }

    fn poll_over(&mut self, context: &mut Context<'_>) -> Poll<Result<(), SendError<T>>> {
        ready!(self.poll_window(Until::Over, context));
        Poll::Ready(self.next_failure().map_or(Ok(()), Err))
    }

    fn poll_window(&mut self, until: Until, context: &mut Context<'_>) -> Poll<()> {
        let (confirmed, there) = self.window.poll(until, context);
        self.values.drain(..confirmed);
        there
    }

    /// Takes out the first failure, if no unanswered publication is before it.
    fn next_failure(&mut self) -> Option<SendError<T>> {
        let (confirmed, failed) = self.window.take_failed();
        self.values.drain(..confirmed);
        let why = match failed? {
            Outcome::Failed(why) => why,
            _ => PublishError::Closed { why: self.shared.closed(), key: None },
        };
        self.values.pop_front().map(|value| SendError::new(value, why))
    }

    fn cost(&self, payload: &Payload) -> usize {
        self.topic.as_str().len() + payload.as_plain().len() + OVERHEAD
    }

    /// Publishes without waiting.
    fn publish(&self, payload: Result<Payload, EncodeError>, permit: Option<Permit>, promise: Promise) {
        match (payload, permit) {
            (Ok(payload), Some(permit)) => {
                let (topic, echo) = (self.topic.clone(), self.echo);
                let publish = request::Publish { topic, payload, echo, key: None };
                self.shared.tell(DriverCommand::Publish { publish, promise, permit });
            }
            (Ok(_), None) => promise.fail(PublishError::QueueFull),
            (Err(why), _) => promise.fail(why.into()),
        }
    }
}

impl<T: Serialize> Publisher<T> {
    /// Publishes a value after all values before it: waits only until there is room for it.
    ///
    /// The future is safe to drop: until it returns, the value is not taken, and it is dropped with the future.
    /// Afterwards it is under way.
    ///
    /// # Errors
    /// With this value, or with an earlier one that failed: see [`Publisher`]. In both cases the publisher goes on.
    pub async fn send(&mut self, value: T) -> Result<(), SendError<T>> {
        let payload = encode(&value);
        poll_fn(|context| self.poll_window(Until::Room(self.most), context)).await;
        let permit = self.take_permit(&payload).await;
        self.push(value, payload, permit)
    }

    /// Publishes a value as [`Publisher::send`] does, and returns its [`Receipt`]: a future of the confirmation, or of
    /// the error. No other call returns an error with this value.
    ///
    /// The future is safe to drop: until it returns, the value is not taken, and it is dropped with the future.
    pub async fn send_with_receipt(&mut self, value: T) -> Receipt<T> {
        let payload = encode(&value);
        poll_fn(|context| self.poll_window(Until::RoomForReceipt(self.most), context)).await;
        let permit = self.take_permit(&payload).await;
        let (receipt, answer) = oneshot::channel();
        self.publish(payload, permit, self.window.receipt(receipt));
        Receipt::new(self.shared.clone(), answer, value)
    }

    async fn take_permit(&self, payload: &Result<Payload, EncodeError>) -> Option<Permit> {
        match payload {
            Ok(payload) => Some(self.shared.room.take(self.cost(payload)).await),
            Err(_) => None,
        }
    }

    /// Takes the value, and hands out the first failure.
    fn push(
        &mut self,
        value: T,
        payload: Result<Payload, EncodeError>,
        permit: Option<Permit>,
    ) -> Result<(), SendError<T>> {
        // Before this value takes its place in the window: the failed one makes room.
        let earlier = self.next_failure();
        self.values.push_back(value);
        self.publish(payload, permit, self.window.entry());
        // This value itself may have failed already.
        earlier.or_else(|| self.next_failure()).map_or(Ok(()), Err)
    }
}

// The values are never pinned.
impl<T> Unpin for Publisher<T> {}

impl<T> fmt::Debug for Publisher<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Publisher").field("topic", &self.topic).field("window", &self.most).finish_non_exhaustive()
    }
}
