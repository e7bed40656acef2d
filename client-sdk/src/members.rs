//! The members of a topic, as a list that keeps itself.

mod list;

pub use list::MemberList;

use crate::error::SubscribeError;
use crate::handle::Shared;
use crate::machine::{Closed, Delivery, Ended, Failure, GapReason, State};
use crate::statuses::Statuses;
use crate::subscribe::Subscribe;
use crate::subscription::{Events, Subscription};
use futures_util::FutureExt;
use hubcast_protocol::Topic;
use serde::de::IgnoredAny;
use std::fmt;
use std::future::pending;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::time::Instant;

/// The members of a topic, kept up to date by a task until this is dropped. [`Client::members`](crate::Client::members)
/// makes one.
///
/// ```no_run
/// # async fn example(client: hubcast_client::Client) -> Result<(), Box<dyn std::error::Error>> {
/// let mut members = client.members("room.7").await?;
/// loop {
///     let list = members.current();
///     println!("{} people are here", list.people().count());
///     members.changed().await?;
/// }
/// # }
/// ```
pub struct Members {
    lists: watch::Receiver<Arc<MemberList>>,
    ended: Arc<OnceLock<Ended>>,
    task: AbortHandle,
}

impl Members {
    pub(crate) async fn watch(shared: Arc<Shared>, topic: Topic) -> Result<Self, SubscribeError> {
        let subscribe = Subscribe::<Subscription<IgnoredAny>>::to_topic(shared.clone(), topic.clone()).presence();
        let events = subscribe.await?.events();
        let mut keeper = Keeper { topic, events, shared, list: MemberList::default(), ask_at: None };
        keeper.ask();
        while !keeper.list.is_current() {
            let delivery = keeper.events.next_delivery().await;
            match keeper.take_all(delivery) {
                Some(Ended::Closed(why)) => return Err(SubscribeError::Closed(why)),
                Some(Ended::Refused(refused)) => return Err(SubscribeError::Refused(refused)),
                Some(Ended::Unsubscribed | Ended::Operator | Ended::Forbidden) => {
                    return Err(SubscribeError::Closed(keeper.shared.closed()));
                }
                None => {}
            }
        }
        let (sender, lists) = watch::channel(Arc::new(keeper.list.clone()));
        let ended = Arc::new(OnceLock::new());
        let task = tokio::spawn(keeper.run(sender, ended.clone())).abort_handle();
        Ok(Self { lists, ended, task })
    }

    /// The list as it is now. This is cheap: all callers share it until it changes.
    pub fn current(&self) -> Arc<MemberList> {
        self.lists.borrow().clone()
    }

    /// Waits until the list has changed since the last call, and returns it. Several changes that come together are
    /// one. Dropping the future loses no change.
    ///
    /// # Errors
    /// When the list is over, because the client is closed or the server has ended the subscription.
    pub async fn changed(&mut self) -> Result<Arc<MemberList>, Ended> {
        match self.lists.changed().await {
            Ok(()) => Ok(self.lists.borrow_and_update().clone()),
            Err(_) => Err(self.ended.get().cloned().unwrap_or(Ended::Closed(Closed::RuntimeGone))),
        }
    }
}

impl Drop for Members {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl fmt::Debug for Members {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Members").field("current", &self.current()).finish_non_exhaustive()
    }
}

/// What keeps one list.
struct Keeper {
    topic: Topic,
    /// Joins, leaves and gaps. The answers to its questions come here too, so that their place among the joins and
    /// leaves is known.
    events: Events<IgnoredAny>,
    shared: Arc<Shared>,
    list: MemberList,
    /// When to ask again: because there is no answer yet, or because the last one was a failure.
    ask_at: Option<Instant>,
}

impl Keeper {
    async fn run(mut self, lists: watch::Sender<Arc<MemberList>>, ended: Arc<OnceLock<Ended>>) {
        let mut statuses = Statuses::new(self.shared.status.clone());
        loop {
            let before = self.list.version();
            tokio::select! {
                status = statuses.changed() => {
                    if status.is_some_and(|status| status.state != State::Connected) {
                        self.list.outdate();
                    }
                }
                delivery = self.events.next_delivery() => {
                    if let Some(why) = self.take_all(delivery) {
                        // Nobody else sets it.
                        let _ = ended.set(why);
                        return;
                    }
                }
                () = sleep_until(self.ask_at) => self.ask(),
            }
            if self.list.version() != before {
                lists.send_replace(Arc::new(self.list.clone()));
            }
        }
    }

    /// Asks for the members. The answer comes among the deliveries.
    fn ask(&mut self) {
        self.ask_at = Some(Instant::now() + ASK_AGAIN);
        self.shared.ask_members(self.topic.clone(), self.events.inbox());
    }

    /// Takes a delivery, and those that wait behind it: the list is shown when all of them are taken. Returns why the
    /// list is over, if it is.
    fn take_all(&mut self, first: Option<Delivery>) -> Option<Ended> {
        let mut next = Some(first);
        for _ in 0..MOST_AT_ONCE {
            let Some(delivery) = next else { break };
            match delivery {
                Some(delivery) => {
                    if let Some(why) = self.take(delivery) {
                        return Some(why);
                    }
                }
                None => return Some(Ended::Closed(self.shared.closed())),
            }
            next = self.events.next_delivery().now_or_never();
        }
        None
    }

    fn take(&mut self, delivery: Delivery) -> Option<Ended> {
        match delivery {
            Delivery::Joined(member) => self.list.join(member),
            Delivery::Left(member) => self.list.leave(&member),
            Delivery::Presence(Ok(presence)) => {
                self.ask_at = None;
                self.list.set(*presence);
            }
            Delivery::Presence(Err(Failure::Refused(refused))) if !refused.retry => {
                return Some(Ended::Refused(refused));
            }
            Delivery::Presence(Err(_)) => self.ask_at = Some(Instant::now() + ASK_AGAIN),
            Delivery::Resumed(_) => {
                self.list.outdate();
                self.ask();
            }
            Delivery::Gap(gap) if matches!(gap.reason, GapReason::MissedPresence | GapReason::SlowReader) => {
                self.list.outdate();
                // An answer that is still to come is newer than the gap.
                if self.ask_at.is_none() {
                    self.ask();
                }
            }
            Delivery::Gap(_) | Delivery::Message(_) => {}
            Delivery::Ended(why) => return Some(why),
        }
        None
    }
}

async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => pending().await,
    }
}

/// The pause before a question is asked again that got no answer, or a failure.
const ASK_AGAIN: Duration = Duration::from_secs(5);

/// The most deliveries that are taken before the list is shown and other tasks have a turn.
const MOST_AT_ONCE: usize = 1000;
