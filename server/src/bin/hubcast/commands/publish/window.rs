//! Publications under way, in the order of sending.

use hubcast_client::{Publish, PublishError, Published};
use std::collections::VecDeque;
use std::future::{poll_fn, ready};
use std::pin::Pin;
use std::task::Poll;

/// What was sent and is not confirmed, at most 256 publications and about 8 MiB. With each goes a value of the caller,
/// which comes back if it fails.
pub(crate) struct Window<T> {
    under_way: VecDeque<(T, usize, Sending)>,
    bytes: usize,
}

type Sending = Pin<Box<dyn Future<Output = Result<Published, PublishError>> + Send>>;

impl<T> Default for Window<T> {
    fn default() -> Self {
        Self { under_way: VecDeque::new(), bytes: 0 }
    }
}

impl<T> Window<T> {
    /// Sends a publication of so many bytes when there is room for it. A future that is dropped before has sent nothing.
    /// Returns one that failed, which is an earlier one.
    pub(crate) async fn send(&mut self, value: T, bytes: usize, publish: Publish) -> Option<(T, PublishError)> {
        let mut failure = None;
        while failure.is_none() && (self.under_way.len() >= MOST || self.bytes >= MOST_BYTES) {
            failure = self.confirm().await;
        }
        let mut sending = publish.into_future();
        // The first poll sends it, so that it goes before the next one.
        let answer = poll_fn(|context| Poll::Ready(sending.as_mut().poll(context))).await;
        if let Poll::Ready(outcome) = answer {
            sending = Box::pin(ready(outcome));
        }
        self.bytes += bytes;
        self.under_way.push_back((value, bytes, sending));
        failure
    }

    /// Whether everything is confirmed.
    pub(crate) fn is_empty(&self) -> bool {
        self.under_way.is_empty()
    }

    /// Waits until everything is confirmed. Returns one that failed; `None` if nothing is left.
    pub(crate) async fn settle(&mut self) -> Option<(T, PublishError)> {
        while !self.under_way.is_empty() {
            if let Some(failure) = self.confirm().await {
                return Some(failure);
            }
        }
        None
    }

    /// Waits for the outcome of the oldest publication. A future that is dropped has taken nothing.
    async fn confirm(&mut self) -> Option<(T, PublishError)> {
        let (_, _, sending) = self.under_way.front_mut()?;
        let outcome = sending.await;
        let (value, bytes, _) = self.under_way.pop_front()?;
        self.bytes -= bytes;
        outcome.err().map(|why| (value, why))
    }
}

/// The most publications that are not confirmed.
const MOST: usize = 256;
/// The bytes of these publications from which on the next one waits.
const MOST_BYTES: usize = 8 << 20;
