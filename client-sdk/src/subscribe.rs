//! Making a subscription, with wishes.

use crate::driver::DriverCommand;
use crate::error::SubscribeError;
use crate::handle::Shared;
use crate::inbox::Inbox;
use crate::machine::{Command, Source, SubscribeRequest, SubscriptionId};
use crate::subscription::{PatternSubscription, Reader, Subscription};
use hubcast_protocol::request::{Slow, Start};
use hubcast_protocol::{InvalidPattern, Pattern, Position, Target, Topic};
use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;

/// A subscription to be: say what it should be like, then `.await` it.
///
/// Subscriptions of one program to the same topic or pattern are one for the server. Each has its own queue and its
/// own position.
///
/// It becomes a future with `.await`, or with `.into_future()` where one is wanted, as for `tokio::spawn` or
/// `futures::future::join_all`; its error is a [`SubscribeError`]. Whoever drops the future drops the subscription.
#[must_use = "nothing is subscribed to before it is awaited"]
pub struct Subscribe<S> {
    shared: Arc<Shared>,
    listen: Result<SubscribeRequest, InvalidPattern>,
    queue: usize,
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
        let queue = shared.subscription_queue;
        Self { shared, listen, queue, of: PhantomData }
    }

    /// Joins and leaves come too, as events.
    ///
    /// Nobody hears of those who come and go while the connection is lost, and nothing replays them: ask
    /// [`Client::presence`](crate::Client::presence) at first and after every [`Event::Resumed`](crate::Event::Resumed).
    /// With another [`slow`](Self::slow) than `Disconnect` ask too after a gap with the reason
    /// [`MissedPresence`](crate::GapReason::MissedPresence).
    pub fn presence(self) -> Self {
        self.with(|listen| listen.presence = true)
    }

    /// What the server does when the connection cannot keep up. Among subscriptions to the same topic the one that
    /// wants to lose least decides.
    pub fn slow(self, slow: Slow) -> Self {
        self.with(|listen| listen.slow = slow)
    }

    /// Keeps up to this many items that are not read yet; with one more the oldest gives way.
    pub fn queue(self, items: usize) -> Self {
        Self { queue: items, ..self }
    }

    fn with(mut self, wish: impl FnOnce(&mut SubscribeRequest)) -> Self {
        if let Ok(listen) = &mut self.listen {
            wish(listen);
        }
        self
    }
}

impl<T> Subscribe<Subscription<T>> {
    /// Begins with the last messages of the topic's history, as many as there are up to this many; with 1 it is the
    /// current value.
    ///
    /// Where another subscription of this client listens to the topic already, nothing of the past comes: the two share
    /// one, which goes on. [`Client::history`](crate::Client::history) reads it then.
    pub fn last(self, count: u32) -> Self {
        self.with(|listen| listen.start = Start::Last(count))
    }

    /// Begins after a position, such as that of the last message that an earlier run of the program handled. The
    /// first event is [`Event::Resumed`](crate::Event::Resumed), which says whether all that followed could be had.
    ///
    /// Where another subscription of this client listens to the topic already, nothing of the past comes, even where the
    /// server has it: a [`Gap`](crate::Gap) says so. [`Client::history`](crate::Client::history) reads it then.
    pub fn recover(self, position: Position) -> Self {
        self.with(|listen| listen.start = Start::After(position))
    }
}

impl<T> Subscribe<PatternSubscription<T>> {
    /// Begins after a position for each of these topics; the others begin live.
    ///
    /// Where another subscription of this client listens to the same pattern already, nothing of the past comes, even
    /// where the server has it: [`Gap`](crate::Gap)s say so.
    pub fn recover(self, positions: BTreeMap<Topic, Position>) -> Self {
        self.with(|listen| listen.start = Start::AfterEach(positions))
    }
}

impl<S: From<Reader> + 'static> IntoFuture for Subscribe<S> {
    type Output = Result<S, SubscribeError>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        let Self { shared, listen, queue, .. } = self;
        Box::pin(async move {
            let (id, inbox) = (shared.next_subscription(), Arc::new(Inbox::new(queue)));
            // From here on: whoever drops this future drops the reader, which unsubscribes.
            let reader = Reader::new(id, inbox.clone(), shared.clone());
            shared.call(Command::Subscribe(id, listen?), Some(inbox)).await?;
            Ok(S::from(reader))
        })
    }
}

impl<S> fmt::Debug for Subscribe<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscribe").field("listen", &self.listen).field("queue", &self.queue).finish_non_exhaustive()
    }
}

/// Begins to hear the private topics, without asking the server.
pub(crate) fn direct<T>(shared: &Arc<Shared>) -> Subscription<T> {
    let (id, inbox): (SubscriptionId, _) =
        (shared.next_subscription(), Arc::new(Inbox::new(shared.subscription_queue)));
    let reader = Reader::new(id, inbox.clone(), shared.clone());
    shared.tell(DriverCommand::Subscribe(id, inbox));
    reader.into()
}
