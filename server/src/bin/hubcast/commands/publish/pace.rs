//! The rate of publishing.

use std::time::{Duration, Instant};

/// Lets one message through at a time, so many in a second.
#[derive(Debug)]
pub(super) struct Pace {
    period: Duration,
    /// When the next message may go.
    next: Option<Instant>,
}

impl Pace {
    /// A pace of so many messages in a second.
    pub(super) fn new(rate: f64) -> Self {
        Self { period: Duration::from_secs_f64(1.0 / rate), next: None }
    }

    /// Waits until the next message may go.
    pub(super) async fn next(&mut self) {
        let now = Instant::now();
        if let Some(next) = self.next.filter(|next| *next > now) {
            tokio::time::sleep_until(next.into()).await;
        }
        self.passed(now);
    }

    /// A message goes. What was late is caught up with for a short time only: a pause must not end in a burst.
    fn passed(&mut self, now: Instant) {
        let earliest = now.checked_sub(MOST_LATE).unwrap_or(now);
        self.next = Some(self.next.unwrap_or(now).max(earliest) + self.period);
    }
}

const MOST_LATE: Duration = Duration::from_millis(50);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_does_not_end_in_a_burst() {
        let (mut pace, begin) = (Pace::new(100.0), Instant::now());
        pace.passed(begin);
        assert_eq!(pace.next, Some(begin + Duration::from_millis(10)));
        pace.passed(begin + Duration::from_millis(30));
        assert_eq!(pace.next, Some(begin + Duration::from_millis(20)));
        pace.passed(begin + Duration::from_secs(9));
        assert_eq!(pace.next, Some(begin + Duration::from_millis(8_960)));
    }
}
