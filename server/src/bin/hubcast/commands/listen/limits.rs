//! When a subscription has gone on for long enough.

use crate::commands::client::exit::Failure;
use crate::settings::units::DurationText;
use std::future::pending;
use std::time::{Duration, Instant};

/// The flags `--count`, `--wait` and `--timeout`, and how far they are.
#[derive(Debug)]
pub(crate) struct Limits {
    messages: u64,
    most: Option<u64>,
    /// The longest silence, and when it began.
    wait: Option<(Duration, Instant)>,
    end: Option<Instant>,
}

impl Limits {
    pub(crate) fn new(
        most: Option<u64>,
        wait: Option<DurationText>,
        timeout: Option<DurationText>,
        now: Instant,
    ) -> Self {
        let end = timeout.map(|timeout| now + timeout.0);
        Self { messages: 0, most, wait: wait.map(|wait| (wait.0, now)), end }
    }

    /// Takes an event into account that was printed.
    pub(crate) fn count(&mut self, is_message: bool) {
        if is_message {
            self.messages += 1;
            if let Some((_, began)) = &mut self.wait {
                *began = Instant::now();
            }
        }
    }

    /// Whether all messages have come that were asked for.
    pub(crate) fn are_reached(&self) -> bool {
        self.most.is_some_and(|most| self.messages >= most)
    }

    /// Waits until the time is over, or the silence too long.
    pub(crate) async fn over(&self) {
        let silence = self.wait.map(|(wait, began)| began + wait);
        match silence.into_iter().chain(self.end).min() {
            Some(at) => tokio::time::sleep_until(at.into()).await,
            None => pending().await,
        }
    }

    /// The outcome when the time is over.
    pub(crate) fn verdict(&self) -> Result<(), Failure> {
        if self.messages > 0 { Ok(()) } else { Err(Failure::silent()) }
    }
}
