//! Waits that do not count the time in which the process stood still: it was stopped, or the machine was suspended.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::time::{Instant, Sleep, sleep, sleep_until};

/// Waits this long for a client. A wait that ends late begins anew, because the client may have done its part
/// meanwhile, and nothing could be read. Before a wait ends, the tasks of the worker read once more what has come.
pub(crate) struct PatientSleep {
    alarm: Alarm,
    deadline: Instant,
    length: Duration,
    is_last_look: bool,
}

/// A timer of the runtime that waits one after another share. Clones are the same timer.
///
/// Most waits end early, because the client is quick. Then the timer stays set, and the next wait finds it set to a
/// time before its own end. So the runtime is asked about once in the length of a wait, and not once for each wait. All
/// waits of one alarm belong to one task.
#[derive(Clone, Debug, Default)]
pub(crate) struct Alarm(Arc<Mutex<Option<Pin<Box<Sleep>>>>>);

impl Alarm {
    /// Wakes the task of `context` at `deadline`, or earlier.
    fn poll_until(&self, deadline: Instant, context: &mut Context<'_>) -> Poll<()> {
        let mut timer = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let timer = timer.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        if timer.deadline() > deadline {
            timer.as_mut().reset(deadline);
        }
        loop {
            ready!(timer.as_mut().poll(context));
            if timer.deadline() >= deadline {
                return Poll::Ready(());
            }
            timer.as_mut().reset(deadline);
        }
    }
}

impl PatientSleep {
    pub(crate) fn new(length: Duration) -> Self {
        Self::with_alarm(Alarm::default(), length)
    }

    /// A wait that shares its timer with others of its task.
    pub(crate) fn with_alarm(alarm: Alarm, length: Duration) -> Self {
        Self::until(alarm, Instant::now() + length, length)
    }

    /// A wait of this length that has begun already, and ends at `deadline`.
    pub(crate) fn until(alarm: Alarm, deadline: Instant, length: Duration) -> Self {
        Self { alarm, deadline, length, is_last_look: false }
    }

    fn wait_again(&mut self, length: Duration, is_last_look: bool) {
        self.deadline = Instant::now() + length;
        self.is_last_look = is_last_look;
    }
}

impl Future for PatientSleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        loop {
            ready!(self.alarm.poll_until(self.deadline, context));
            let late = Instant::now().saturating_duration_since(self.deadline);
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
