//! What can be set about a client, with defaults that suit a program on the internet.

use std::time::Duration;

/// How patient a client is and how much it keeps.
///
/// Every duration is cut to thirty days, so that [`Duration::MAX`] may stand for "never".
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The first welcome must come within this time, whatever number of attempts that takes.
    pub connect_timeout: Duration,
    /// One attempt, from the first packet to the welcome, may take so long.
    pub attempt_timeout: Duration,
    /// A request is answered within this time, or fails; time without a connection counts.
    pub request_timeout: Duration,
    /// Closing waits so long for the answers that are still to come.
    pub close_timeout: Duration,
    /// The server pings a quiet connection; so long after it should have, the connection is given up.
    pub ping_grace: Duration,
    /// How long to wait between attempts.
    pub backoff: Backoff,
    /// Requests that wait for a connection or an answer; one more is refused at once.
    pub queue: usize,
    /// Of so many topics under one pattern the position is kept, those heard last.
    pub topics_per_pattern: usize,
}

/// Exponential backoff with full jitter: before attempt n the pause is random between zero and
/// `min(cap, base * 1.1^n)`, so that clients who lost the same server do not come back together.
///
/// It grows by a tenth and not by doubling: a short outage should not be followed by a long pause, in which a history
/// of the usual size runs over. After two seconds without a server hardly any pause is longer than one.
///
/// Source: M. Brooker, "Exponential Backoff and Jitter", AWS Architecture Blog, 2015.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// The longest pause before the first attempt.
    pub base: Duration,
    /// The longest pause of all.
    pub cap: Duration,
}

impl Backoff {
    /// The longest pause after so many failures.
    pub(super) fn longest(&self, failures: u32) -> Duration {
        // Far past the point where any base has reached any cap, and far from overflow.
        let factor = 1.1_f64.powi(failures.min(128).cast_signed());
        Duration::try_from_secs_f64(self.base.as_secs_f64() * factor).map_or(self.cap, |pause| pause.min(self.cap))
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(10),
            attempt_timeout: Duration::from_secs(10),
            request_timeout: Duration::from_secs(30),
            close_timeout: Duration::from_secs(5),
            ping_grace: Duration::from_secs(10),
            backoff: Backoff::default(),
            queue: 1024,
            topics_per_pattern: 512,
        }
    }
}

impl Default for Backoff {
    fn default() -> Self {
        Self { base: Duration::from_millis(250), cap: Duration::from_secs(15) }
    }
}
