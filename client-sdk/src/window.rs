//! What became of the publications of one publisher.

use crate::error::PublishError;
use crate::machine::{Answer, Failure, Published};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use tokio::sync::oneshot;

/// The outcomes of a publisher's publications, in the order of sending, until the publisher takes them.
///
/// The publisher and the driver share it. It keeps no values: the publisher has them in the same order.
#[derive(Debug, Default)]
pub(crate) struct Window {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    /// The number of the oldest entry of `outcomes`.
    first: u64,
    /// `None` while a publication is not answered.
    outcomes: VecDeque<Option<Outcome>>,
    /// How many publications with a receipt are not answered. They have no entry in `outcomes`.
    receipts: usize,
    /// The publisher, if it waits for an outcome.
    publisher: Option<Waker>,
}

/// What became of one publication.
#[derive(Debug)]
pub(crate) enum Outcome {
    Confirmed,
    Failed(PublishError),
    /// The driver is gone, so the client is closed.
    Abandoned,
}

/// What a publisher waits for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Until {
    /// Fewer than so many publications wait for their answer or to be taken, or the oldest has failed.
    Room(usize),
    /// Fewer than so many publications wait for their answer.
    RoomForReceipt(usize),
    /// All publications are confirmed, or the oldest of the others has failed.
    Over,
}

/// The driver's side of one publication: it takes the outcome. Dropped without one, the outcome is
/// [`Outcome::Abandoned`].
#[derive(Debug)]
pub(crate) struct Promise {
    window: Arc<Window>,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    /// An entry of the window, by its number.
    Entry(u64),
    Receipt(oneshot::Sender<Result<Published, PublishError>>),
    Kept,
}

impl Window {
    /// Adds a publication whose outcome the publisher takes.
    pub(crate) fn entry(self: &Arc<Self>) -> Promise {
        let mut inner = self.lock();
        inner.outcomes.push_back(None);
        let number = inner.first + inner.outcomes.len() as u64 - 1;
        Promise { window: self.clone(), kind: Kind::Entry(number) }
    }

    /// Adds a publication whose outcome goes to a receipt.
    pub(crate) fn receipt(self: &Arc<Self>, receipt: oneshot::Sender<Result<Published, PublishError>>) -> Promise {
        self.lock().receipts += 1;
        Promise { window: self.clone(), kind: Kind::Receipt(receipt) }
    }

    /// Removes the confirmed publications before the first other one, and returns how many they were. If what the
    /// publisher waits for is not there, wakes it at the next outcome.
    pub(crate) fn poll(&self, until: Until, context: &mut Context<'_>) -> (usize, Poll<()>) {
        let mut inner = self.lock();
        let confirmed = inner.take_confirmed();
        if inner.is_there(until) {
            return (confirmed, Poll::Ready(()));
        }
        match &mut inner.publisher {
            Some(publisher) => publisher.clone_from(context.waker()),
            none => *none = Some(context.waker().clone()),
        }
        (confirmed, Poll::Pending)
    }

    /// Removes the confirmed publications before the first other one, and that one if it has failed. Returns how many
    /// were confirmed, and the failure.
    pub(crate) fn take_failed(&self) -> (usize, Option<Outcome>) {
        let mut inner = self.lock();
        let confirmed = inner.take_confirmed();
        let failed = inner.outcomes.front_mut().and_then(Option::take);
        if failed.is_some() {
            inner.outcomes.pop_front();
            inner.first += 1;
        }
        (confirmed, failed)
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // A poisoned lock is safe to use: every change is complete before anything could panic.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn take_confirmed(&mut self) -> usize {
        let mut confirmed = 0;
        while let Some(Some(Outcome::Confirmed)) = self.outcomes.front() {
            self.outcomes.pop_front();
            confirmed += 1;
        }
        self.first += confirmed as u64;
        confirmed
    }

    fn is_there(&self, until: Until) -> bool {
        let has_failed = matches!(self.outcomes.front(), Some(Some(_)));
        match until {
            Until::Room(most) => has_failed || self.outcomes.len() + self.receipts < most,
            Until::RoomForReceipt(most) => {
                let unanswered = self.outcomes.iter().filter(|outcome| outcome.is_none()).count();
                unanswered + self.receipts < most
            }
            Until::Over => has_failed || self.outcomes.is_empty() && self.receipts == 0,
        }
    }

    fn settle(&mut self, number: u64, outcome: Outcome) {
        let place = number.checked_sub(self.first).and_then(|place| usize::try_from(place).ok());
        if let Some(entry) = place.and_then(|place| self.outcomes.get_mut(place)) {
            *entry = Some(outcome);
        }
    }
}

impl Promise {
    /// Takes the result of the publish. The caller wakes the returned waker: after a batch of results, so that the
    /// publisher finds all of them.
    #[must_use = "the publisher may wait for this"]
    pub(crate) fn keep(mut self, result: Result<Answer, Failure>) -> Option<Waker> {
        let result = match result {
            Ok(Answer::Published(published)) => Ok(published),
            // Every other answer belongs to another command.
            Ok(_) => return None,
            Err(failure) => Err(failure.into()),
        };
        self.settle(Some(result))
    }

    /// Settles a publication that the driver does not get, because its value cannot be a message.
    pub(crate) fn fail(mut self, why: PublishError) {
        // The publisher itself calls this, so it does not wait.
        let _ = self.settle(Some(Err(why)));
    }

    /// Stores the outcome; `None` if there is none and will be none.
    fn settle(&mut self, result: Option<Result<Published, PublishError>>) -> Option<Waker> {
        let kind = std::mem::replace(&mut self.kind, Kind::Kept);
        let mut inner = self.window.lock();
        match kind {
            Kind::Entry(number) => {
                let outcome = match result {
                    Some(Ok(_)) => Outcome::Confirmed,
                    Some(Err(why)) => Outcome::Failed(why),
                    None => Outcome::Abandoned,
                };
                inner.settle(number, outcome);
            }
            Kind::Receipt(receipt) => {
                inner.receipts -= 1;
                if let Some(result) = result {
                    // The program may have dropped its receipt.
                    let _ = receipt.send(result);
                }
            }
            Kind::Kept => return None,
        }
        inner.publisher.take()
    }
}

impl Drop for Promise {
    fn drop(&mut self) {
        if let Some(publisher) = self.settle(None) {
            publisher.wake();
        }
    }
}
