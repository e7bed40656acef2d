//! The settings of a client; the defaults suit a program on the internet.

use hubcast_protocol::request::Identify;
use std::time::Duration;

/// The timeouts and bounds of a client.
///
/// Every duration is reduced to thirty days at most, so that [`Duration::MAX`] may stand for "never".
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The time within which the first welcome must come, over all attempts.
    pub connect_timeout: Duration,
    /// The number of addresses that the attempts take in turn. Each has its share of the connect timeout.
    pub addresses: u32,
    /// The longest time for one attempt, from the first packet to the welcome.
    pub attempt_timeout: Duration,
    /// The time within which a request must be answered, or it fails. Time without a connection counts.
    pub request_timeout: Duration,
    /// The longest time that closing waits for unanswered requests.
    pub close_timeout: Duration,
    /// How late the server's ping on a quiet connection may be before the connection is given up.
    pub ping_grace: Duration,
    /// The pauses between attempts.
    pub backoff: Backoff,
    /// The most attempts in a row; when all of them have failed, the client is closed. `None`: any number.
    pub max_attempts: Option<u32>,
    /// The most refused handshakes after the last session; then the client is closed.
    pub max_refusals: u32,
    /// The most requests that wait for a connection or an answer; one more fails at once.
    pub queue: usize,
    /// What the client says of itself at the begin of each session, if it says something.
    pub identity: Option<Identify>,
    /// Whether the program gives tokens.
    pub has_tokens: bool,
    /// The most topics under one pattern whose positions are kept: those with the latest messages.
    pub topics_per_pattern: usize,
}

/// Exponential backoff with full jitter. Before attempt n the pause is random between zero and `min(cap, base *
/// 1.1^n)`, so that clients that lost the same server do not all connect again at once.
///
/// It grows by a tenth and does not double: a short outage should not be followed by a long pause, in which a history
/// of the usual size could drop publications that the client has not received. After two seconds without a server
/// hardly any pause is longer than one second.
///
/// Source: M. Brooker, "Exponential Backoff and Jitter", AWS Architecture Blog, 2015.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Backoff {
    /// The bound of the first pause.
    pub base: Duration,
    /// The bound of every pause.
    pub cap: Duration,
}

impl Backoff {
    /// Pauses that begin with at most `base` and grow to at most `cap`.
    pub const fn new(base: Duration, cap: Duration) -> Self {
        Self { base, cap }
    }

    /// The bound of the pause after this many failures.
    pub(super) fn longest(&self, failures: u32) -> Duration {
        // 128 failures are far past the point where any sensible base reaches its cap, and far from overflow.
        let factor = 1.1_f64.powi(failures.min(128).cast_signed());
        Duration::try_from_secs_f64(self.base.as_secs_f64() * factor).map_or(self.cap, |pause| pause.min(self.cap))
    }
}

/// The bound of the pause after this many refused handshakes in a row: it doubles from one second on, up to the cap of
/// the backoff.
pub(super) fn pause_after_refusals(refusals: u32, backoff: &Backoff) -> Duration {
    let doubled = Duration::from_secs(1).saturating_mul(1_u32 << refusals.saturating_sub(1).min(20));
    doubled.min(backoff.cap)
}

impl Default for Config {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(10),
            addresses: 1,
            attempt_timeout: Duration::from_secs(10),
            request_timeout: Duration::from_secs(30),
            close_timeout: Duration::from_secs(5),
            ping_grace: Duration::from_secs(10),
            backoff: Backoff::default(),
            max_attempts: None,
            max_refusals: 8,
            queue: 1024,
            identity: None,
            has_tokens: false,
            topics_per_pattern: 512,
        }
    }
}

impl Default for Backoff {
    fn default() -> Self {
        Self { base: Duration::from_millis(250), cap: Duration::from_secs(15) }
    }
}
