//! When a hook is tried again. Time and chance are arguments.

use std::time::Duration;

/// What became of one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SendOutcome {
    /// The receiver has it.
    Delivered,
    /// It may be tried again, after this time at least if the receiver says so.
    Failed { retry_after: Option<Duration> },
    /// As `Failed`, and the receiver wants less to do.
    Overloaded { retry_after: Option<Duration> },
    /// The receiver wants no more events, ever.
    Gone,
}

impl SendOutcome {
    /// The outcome of an answer with this status (Standard Webhooks 1.0).
    pub(crate) fn of_status(status: u16, retry_after: Option<Duration>) -> Self {
        match status {
            200..300 => Self::Delivered,
            410 => Self::Gone,
            429 | 502 | 504 => Self::Overloaded { retry_after },
            _ => Self::Failed { retry_after },
        }
    }

    /// The time for which the receiver has asked.
    pub(crate) fn retry_after(self) -> Option<Duration> {
        match self {
            Self::Failed { retry_after } | Self::Overloaded { retry_after } => retry_after,
            Self::Delivered | Self::Gone => None,
        }
    }
}

/// The pauses between the requests of one hook.
#[derive(Debug, Default)]
pub(crate) struct RetryPace {
    /// The failures since the last success.
    failures: u32,
    /// The pause after each success, since the receiver was overloaded.
    pause: Duration,
}

impl RetryPace {
    /// The time to the next request. `chance` is any number: the same receiver must not be met by all servers at the
    /// same time.
    pub(crate) fn wait(&mut self, outcome: SendOutcome, chance: u64) -> Duration {
        match outcome {
            SendOutcome::Delivered | SendOutcome::Gone => {
                self.failures = 0;
                let pause = self.pause;
                self.pause = if pause > FIRST_RETRY { pause / 2 } else { Duration::ZERO };
                pause
            }
            SendOutcome::Failed { retry_after } => {
                let longest = self.longest();
                self.at_least(retry_after, part_of(longest, chance))
            }
            SendOutcome::Overloaded { retry_after } => {
                self.pause = (self.pause * 2).clamp(FIRST_RETRY, LONGEST_RETRY);
                let half = self.longest() / 2;
                self.at_least(retry_after, half.max(FIRST_RETRY) + part_of(half, chance))
            }
        }
    }

    /// Counts a failure. Returns the longest time to wait after it.
    fn longest(&mut self) -> Duration {
        let longest = FIRST_RETRY * 2_u32.pow(self.failures.min(6));
        self.failures = self.failures.saturating_add(1);
        longest.min(LONGEST_RETRY)
    }

    fn at_least(&self, retry_after: Option<Duration>, wait: Duration) -> Duration {
        retry_after.map_or(wait, |asked| wait.max(asked.min(LONGEST_RETRY_AFTER)))
    }
}

/// A part of a time, evenly distributed over all of it.
fn part_of(time: Duration, chance: u64) -> Duration {
    let milliseconds = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    Duration::from_millis(chance % (milliseconds + 1))
}

const FIRST_RETRY: Duration = Duration::from_secs(1);
const LONGEST_RETRY: Duration = Duration::from_secs(60);

/// The longest time for which a receiver can ask.
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(3600);

#[cfg(test)]
mod tests {
    use super::*;

    const FAILED: SendOutcome = SendOutcome::Failed { retry_after: None };
    const OVERLOADED: SendOutcome = SendOutcome::Overloaded { retry_after: None };

    /// The longest waits after so many failures.
    fn longest(pace: &mut RetryPace, outcome: SendOutcome, times: usize) -> Vec<u64> {
        (0..times)
            .map(|_| {
                let longest = FIRST_RETRY * 2_u32.pow(pace.failures.min(6));
                let chance = u64::try_from(longest.min(LONGEST_RETRY).as_millis()).unwrap();
                pace.wait(outcome, chance).as_secs()
            })
            .collect()
    }

    #[test]
    fn a_failure_is_tried_again_after_up_to_a_second_and_each_further_one_after_twice_that() {
        let mut pace = RetryPace::default();
        assert_eq!(longest(&mut pace, FAILED, 9), [1, 2, 4, 8, 16, 32, 60, 60, 60]);
        assert_eq!(pace.wait(FAILED, 0), Duration::ZERO, "any part of it");
        assert_eq!(pace.wait(SendOutcome::Delivered, 7), Duration::ZERO);
        assert_eq!(longest(&mut pace, FAILED, 1), [1], "a success begins anew");
    }

    #[test]
    fn the_receiver_can_ask_for_a_longer_time_up_to_an_hour() {
        let mut pace = RetryPace::default();
        for (asked, wait) in [(0, 1), (100, 100), (3600, 3600), (1_000_000, 3600)] {
            let retry_after = Some(Duration::from_secs(asked));
            for outcome in [SendOutcome::Failed { retry_after }, SendOutcome::Overloaded { retry_after }] {
                pace.failures = 0;
                assert_eq!(pace.wait(outcome, 1000).as_secs().max(1), wait, "{outcome:?}");
            }
        }
    }

    #[test]
    fn an_overloaded_receiver_gets_pauses_that_grow_and_go_away_again() {
        let mut pace = RetryPace::default();
        for shortest in [1, 1, 2, 4, 8, 16, 30, 30] {
            assert_eq!(pace.wait(OVERLOADED, 0).as_secs(), shortest);
        }
        let pauses: Vec<_> = (0..8).map(|_| pace.wait(SendOutcome::Delivered, 0).as_millis()).collect();
        assert_eq!(pauses, [60_000, 30_000, 15_000, 7_500, 3_750, 1_875, 937, 0]);
    }

    #[test]
    fn each_status_means_what_the_standard_says() {
        for status in [200, 201, 202, 204, 299] {
            assert_eq!(SendOutcome::of_status(status, None), SendOutcome::Delivered);
        }
        for status in [100, 199, 300, 301, 302, 307, 308, 400, 401, 404, 500, 503] {
            assert_eq!(SendOutcome::of_status(status, None), FAILED, "{status}");
        }
        for status in [429, 502, 504] {
            assert_eq!(SendOutcome::of_status(status, None), OVERLOADED, "{status}");
        }
        assert_eq!(SendOutcome::of_status(410, None), SendOutcome::Gone);
    }
}
