//! Making a subscription, with options.

use crate::driver::DriverCommand;
use crate::error::SubscribeError;
use crate::handle::Shared;
use crate::inbox::QueueBounds;
use crate::machine::{Answer, Command, Source, SubscribeRequest, SubscriptionId};
use crate::subscription::{PatternSubscription, Reader, Subscription};
use hubcast_protocol::request::{Slow, Start};
use hubcast_protocol::{InvalidPattern, Pattern, Position, Target, Topic};
use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;

/// A subscription that is not requested yet. Set its options, then `.await` it.
///
/// Several subscriptions of one client to the same topic or pattern are one subscription at the server. Each has its
/// own queue and its own position.
///
/// `.await` turns it into a future. So does `.into_future()`, for functions that need a future, such as `tokio::spawn`
/// or `futures::future::join_all`. Its error is a [`SubscribeError`]. Dropping the future drops the subscription.
#[must_use = "nothing is subscribed to before it is awaited"]
pub struct Subscribe<S> {
    shared: Arc<Shared>,
    listen: Result<SubscribeRequest, InvalidPattern>,
    queue: QueueBounds,
    skips_gaps: bool,
    of: PhantomData<fn() -> S>,
}

impl<S> Subscribe<S> {
    pub(crate) fn to_topic(shared: Arc<Shared>, topic: Topic) -> Self {
        Self::new(shared, Ok(SubscribeRequest::live(Source::Target(Target::Topic(topic)))))
    }

    pub(crate) fn to_pattern(shared: Arc<Shared>, pattern: &str) -> Self {
        let pattern = pattern.parse::<Pattern>();
        Self::new(shared, pattern.map(|pattern| SubscribeRequest::live(Source::Target(Target::Pattern(pattern)))))
    }

    fn new(shared: Arc<Shared>, listen: Result<SubscribeRequest, InvalidPattern>) -> Self {
        let queue = shared.queues.each;
        Self { shared, listen, queue, skips_gaps: false, of: PhantomData }
    }

    /// Joins and leaves are delivered too, as events. On a topic without presence the subscription fails with
    /// [`NoPresence`](SubscribeError::NoPresence). Under a pattern this has no effect.
    ///
    /// Joins and leaves while the connection is lost are not delivered, and the server does not replay them: ask
    /// [`Client::presence`](crate::Client::presence) at first and after every
    /// [`Event::Resumed`](crate::Event::Resumed). With a [`slow`](Self::slow) option other than `Disconnect`, ask also
    /// after a gap with the reason [`MissedPresence`](crate::GapReason::MissedPresence).
    pub fn presence(self) -> Self {
        self.with(|listen| listen.presence = true)
    }

    /// What the server does when the connection cannot keep up. Among this client's subscriptions to the same topic,
    /// the option that loses least applies to all.
    pub fn slow(self, slow: Slow) -> Self {
        self.with(|listen| listen.slow = slow)
    }

    /// The most items that wait unread; by default 1,024. A newer item then replaces the oldest, and a gap says so.
    pub fn queue(mut self, items: usize) -> Self {
        self.queue.items = items.max(1);
        self
    }

    /// The most bytes that wait unread; by default 4 MiB. Newer items then replace the oldest, and a gap says so. A
    /// message counts with its payload, its topic, and some 300 bytes for itself. The bound includes the memory in
    /// which the next message is read and decoded. So a message that is larger than a third of the bound is delivered
    /// only to a reader that waits for it; otherwise there is a gap in its place. With 0 that holds for every message.
    pub fn queue_bytes(mut self, bytes: usize) -> Self {
        self.queue.bytes = bytes;
        self
    }

    /// The stream of values does not report gaps: for a program that only wants the newest values, and does not care
    /// which ones it missed. Its [events](Subscription::events) contain the gaps all the same.
    pub fn skip_gaps(self) -> Self {
        Self { skips_gaps: true, ..self }
    }

    fn with(mut self, set: impl FnOnce(&mut SubscribeRequest)) -> Self {
        if let Ok(listen) = &mut self.listen {
            set(listen);
        }
        self
    }
}

impl<T> Subscribe<Subscription<T>> {
    /// Begins with the last messages of the topic's history, at most this many; with 1 it is the current value. Then the
    /// live messages follow.
    ///
    /// The same happens after every reconnect whose position the server does not have any more: after the gap for what
    /// is lost, the last messages that the server still has come, and then the live ones. Together with
    /// [`Subscribe::recover`], the subscription begins after the position, or with the last messages if the position is
    /// gone.
    ///
    /// Other subscriptions of this client to the same topic do not receive these messages again.
    ///
    /// On a topic without history the subscription fails with
    /// [`NoHistory`](crate::SubscribeError::NoHistory).
    pub fn last(self, count: u32) -> Self {
        self.with(|listen| {
            listen.start = match std::mem::take(&mut listen.start) {
                Start::After(position) | Start::AfterOrLast(position, _) => after_or_last(position, count),
                _ => Start::Last(count),
            }
        })
    }

    /// Begins after a position, such as that of the last message that an earlier run of the program handled
    /// ([`Subscription::position`]). The first event is [`Event::Resumed`](crate::Event::Resumed), which says whether
    /// all later messages could be recovered. If not, a [`Gap`](crate::Gap) follows.
    ///
    /// Other subscriptions of this client to the same topic do not receive these messages again.
    pub fn recover(self, position: Position) -> Self {
        self.with(|listen| {
            listen.start = match listen.start {
                Start::Last(count) | Start::AfterOrLast(_, count) => after_or_last(position, count),
                _ => Start::After(position),
            }
        })
    }
}

impl<T> Subscribe<PatternSubscription<T>> {
    /// Begins after a position for each of these topics ([`PatternSubscription::positions`]); the other topics begin
    /// live. The first event is [`Event::Resumed`](crate::Event::Resumed), and a [`Gap`](crate::Gap) follows for each
    /// topic that could not be recovered. What the server still has of such a topic can be read with
    /// [`Client::history`](crate::Client::history).
    pub fn recover(self, positions: BTreeMap<Topic, Position>) -> Self {
        self.with(|listen| listen.start = Start::AfterEach(positions))
    }
}

impl<S: From<Reader> + 'static> IntoFuture for Subscribe<S> {
    type Output = Result<S, SubscribeError>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        let Self { shared, listen, queue, skips_gaps, .. } = self;
        Box::pin(async move {
            let (listen, id, inbox) = (listen?, shared.next_subscription(), shared.inbox(queue));
            let (start, topic, watches) = (listen.start.clone(), listen.source.topic().cloned(), listen.presence);
            // From here on, dropping this future drops the reader, which unsubscribes.
            let mut reader = Reader::new(id, inbox.clone(), shared.clone(), topic.clone(), skips_gaps);
            let (begin, presence) = match shared.call(Command::Subscribe(id, listen), Some(inbox)).await? {
                Answer::Subscribed { begin, presence } => (begin, presence),
                // Every other answer belongs to another command.
                _ => (None, false),
            };
            match topic {
                Some(topic) if watches && !presence => return Err(SubscribeError::NoPresence { topic }),
                Some(topic) if begin.is_none() && matches!(start, Start::Last(1..)) => {
                    return Err(SubscribeError::NoHistory { topic });
                }
                _ => reader.begin(start, begin),
            }
            Ok(S::from(reader))
        })
    }
}

impl<S> fmt::Debug for Subscribe<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscribe").field("listen", &self.listen).field("queue", &self.queue).finish_non_exhaustive()
    }
}

fn after_or_last(position: Position, count: u32) -> Start {
    match count {
        0 => Start::After(position),
        count => Start::AfterOrLast(position, count),
    }
}

/// Subscribes to the private topics. The server is not asked, because it sends them anyway.
pub(crate) fn direct<T>(shared: &Arc<Shared>) -> Subscription<T> {
    let (id, inbox): (SubscriptionId, _) = (shared.next_subscription(), shared.inbox(shared.queues.each));
    let reader = Reader::new(id, inbox.clone(), shared.clone(), None, false);
    shared.tell(DriverCommand::Subscribe(id, inbox));
    reader.into()
}
