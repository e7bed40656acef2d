//! The timer of a driver.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Instant;
use tokio::time::Sleep;

/// A timer for the machine's next timeout.
///
/// Almost every input moves that timeout a little later. The timer is then left as it is: it fires too early once, and
/// is set anew.
#[derive(Debug, Default)]
pub(super) struct Deadline {
    timer: Option<Pin<Box<Sleep>>>,
    /// When `timer` fires; `None` if it has fired.
    set_to: Option<Instant>,
}

impl Deadline {
    /// Whether the timer has fired. If not, it wakes the task at `deadline` or earlier.
    pub(super) fn poll(&mut self, deadline: Option<Instant>, context: &mut Context<'_>) -> bool {
        let Some(deadline) = deadline else { return false };
        if self.set_to.is_none_or(|set_to| deadline < set_to) {
            match &mut self.timer {
                Some(timer) => timer.as_mut().reset(deadline.into()),
                none => *none = Some(Box::pin(tokio::time::sleep_until(deadline.into()))),
            }
            self.set_to = Some(deadline);
        }
        let is_over = self.timer.as_mut().is_some_and(|timer| timer.as_mut().poll(context) == Poll::Ready(()));
        if is_over {
            self.set_to = None;
        }
        is_over
    }
}
