//! Waits that do not count the time in which the process stood still: it was stopped, or the machine was suspended.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::time::{Instant, Sleep, sleep};

/// Waits this long for a client. A wait that ends late begins anew, because the client may have done its part
/// meanwhile, and nothing could be read. Before a wait ends, the tasks of the worker read once more what has come.
pub(crate) struct PatientSleep {
    sleep: Pin<Box<Sleep>>,
    length: Duration,
    is_last_look: bool,
}

impl PatientSleep {
    pub(crate) fn new(length: Duration) -> Self {
        Self { sleep: Box::pin(sleep(length)), length, is_last_look: false }
    }

    fn wait_again(&mut self, length: Duration, is_last_look: bool) {
        self.sleep.set(sleep(length));
        self.is_last_look = is_last_look;
    }
}

impl Future for PatientSleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        loop {
            ready!(self.sleep.as_mut().poll(context));
            let late = Instant::now().saturating_duration_since(self.sleep.deadline());
            if late >= STALL_MIN {
                let length = self.length;
                self.wait_again(length, false);
            } else if self.is_last_look {
                return Poll::Ready(());
            } else {
                self.wait_again(LAST_LOOK, true);
            }
        }
    }
}

/// Waits until the process has run for this long. Time in which it stood still for a quarter of a second or more is not
/// counted.
pub(crate) async fn sleep_while_running(length: Duration) {
    let mut left = length;
    while !left.is_zero() {
        let step = left.min(STEP);
        sleep(step).await;
        left -= step;
    }
}

/// A delay from which on the process counts as having stood still.
pub(crate) const STALL_MIN: Duration = Duration::from_millis(250);

/// How long the tasks have to read what has come, before a wait ends.
const LAST_LOOK: Duration = Duration::from_millis(20);

/// The longest part of a wait in which time that stood still goes unnoticed.
const STEP: Duration = STALL_MIN;

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;
    use tokio::runtime::{Builder, Runtime};
    use tokio::task::yield_now;
    use tokio::time::timeout;

    fn runtime() -> Runtime {
        Builder::new_current_thread().enable_time().build().unwrap()
    }

    /// Whether `wait` goes on for a while after a stall of twice its length.
    fn outlasts_a_stall(wait: impl Future<Output = ()>) -> bool {
        runtime().block_on(async {
            let mut wait = std::pin::pin!(wait);
            assert!(timeout(Duration::from_millis(1), &mut wait).await.is_err());
            thread::sleep(LENGTH * 2);
            yield_now().await;
            let goes_on = timeout(LENGTH / 3, &mut wait).await.is_err();
            if goes_on {
                wait.await;
            }
            goes_on
        })
    }

    const LENGTH: Duration = Duration::from_millis(600);

    #[test]
    fn a_wait_ends_in_its_time() {
        for wait in [true, false] {
            let begun = Instant::now();
            runtime().block_on(async {
                match wait {
                    true => PatientSleep::new(LENGTH).await,
                    false => sleep_while_running(LENGTH).await,
                }
            });
            assert!(begun.elapsed() >= LENGTH);
        }
    }

    #[test]
    fn time_that_stood_still_does_not_count() {
        assert!(outlasts_a_stall(async { PatientSleep::new(LENGTH).await }));
        assert!(outlasts_a_stall(sleep_while_running(LENGTH)));
        assert!(!outlasts_a_stall(async { sleep(LENGTH).await }), "a usual wait is over");
    }
}
