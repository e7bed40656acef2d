//! The confirmation of one publication of a publisher.

use super::SendError;
use crate::error::PublishError;
use crate::handle::Shared;
use crate::machine::Published;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use tokio::sync::oneshot;

/// The confirmation of one publication, from [`Publisher::send_with_receipt`](crate::Publisher::send_with_receipt).
///
/// A future: its result is the server's confirmation, or the value and why it failed. Dropping it discards only that
/// result; the value is published nevertheless.
#[must_use = "the receipt alone says whether the value was published"]
pub struct Receipt<T> {
    shared: Arc<Shared>,
    answer: oneshot::Receiver<Result<Published, PublishError>>,
    /// `None` when the future has returned it.
    value: Option<T>,
}

impl<T> Receipt<T> {
    pub(super) fn new(
        shared: Arc<Shared>,
        answer: oneshot::Receiver<Result<Published, PublishError>>,
        value: T,
    ) -> Self {
        Self { shared, answer, value: Some(value) }
    }
}

// The value is never pinned.
impl<T> Unpin for Receipt<T> {}

impl<T> Future for Receipt<T> {
    type Output = Result<Published, SendError<T>>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let answer = ready!(Pin::new(&mut self.answer).poll(context));
        let value = self.value.take().expect("a future that has returned is not polled again");
        // The driver is gone only when the client is closed.
        let answer = answer.unwrap_or_else(|_| Err(PublishError::Closed { why: self.shared.closed(), key: None }));
        Poll::Ready(answer.map_err(|why| SendError::new(value, why)))
    }
}

impl<T> fmt::Debug for Receipt<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receipt").finish_non_exhaustive()
    }
}
