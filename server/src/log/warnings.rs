//! Warnings about events that may happen a thousand times a second: the first one at once, then a count each minute.

use std::mem;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::Notify;

/// The warnings that all workers share, so that each comes once, even if several workers have a reason for it.
#[derive(Debug, Default)]
pub(crate) struct Warnings {
    counts: Mutex<[Paced; EACH.len()]>,
    /// Whether a proxy in front of an open server was seen.
    proxy_seen: AtomicBool,
    /// Notified when something was counted and is not in the log yet.
    pending: Notify,
}

/// Events that an operator must know about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Warning {
    /// A connection was answered 503, because the maximum number of connections is reached.
    Full,
    /// A connection was answered 403 for its `Origin`.
    Origin,
    /// A request was answered 401, because it has no token that is right, where one is needed.
    Token,
    /// A request of the API was answered 401 or 429, because it has no API key that is right.
    ApiKey,
    /// A connection was closed or cut because its client does not read.
    SlowConsumer,
    /// A TLS handshake failed.
    Tls,
    /// A connection has no PROXY header that is right, where each must have one.
    ProxyHeader,
    /// A connection was answered 503, because the server is stopping.
    Draining,
    /// A connection was closed, or misses something, because too much waits in the whole process.
    TooMuchWaits,
    /// A connection was opened or closed, and has no line in the log.
    ConnectionLines,
}

/// Counts the reasons for a warning, and decides when to write it.
#[derive(Debug, Default)]
pub(crate) struct Paced {
    pending: u64,
    pace: Pace,
}

/// Allows something at once, and after that once a minute.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    not_before: Option<Instant>,
}

impl Warnings {
    /// Counts a reason for a warning, and writes the warning to the log if it is time.
    pub(crate) fn note(&self, warning: Warning, now: Instant) {
        self.note_times(warning, 1, now);
    }

    /// Counts several reasons at once.
    pub(crate) fn note_times(&self, warning: Warning, times: u64, now: Instant) {
        let due = self.counts.lock().unwrap_or_else(PoisonError::into_inner)[warning as usize].note_times(times, now);
        match due {
            Some(times) => warning.write(times),
            None => self.pending.notify_one(),
        }
    }

    /// Warns, once, that a proxy stands in front of a server where everybody may do everything: whoever reaches the
    /// proxy may, too.
    pub(crate) fn note_proxy(&self) {
        if !self.proxy_seen.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                "a request came through a proxy, and everybody may do everything here: whoever reaches the proxy may, \
                 too; set up `tokens` or `api_keys`"
            );
        }
    }

    /// Writes what was counted since the last warning when a minute is over, even if no further reason comes.
    pub(crate) async fn report_each_minute(&self) {
        loop {
            self.pending.notified().await;
            tokio::time::sleep(MINUTE).await;
            self.report_rest(Instant::now());
        }
    }

    fn report_rest(&self, now: Instant) {
        let due = {
            let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
            EACH.map(|warning| (warning, counts[warning as usize].rest(now)))
        };
        for (warning, times) in due {
            match times {
                Rest::Due(times) => warning.write(times),
                // The last warning was less than a minute ago.
                Rest::Waits => self.pending.notify_one(),
                Rest::Nothing => {}
            }
        }
    }
}

impl Warning {
    fn write(self, times: u64) {
        tracing::warn!(times, "{}", self.text());
    }

    /// The text of the warning, with the setting that it is about.
    fn text(self) -> &'static str {
        match self {
            Self::Full => "the server is full (`max_connections`): new connections are answered 503",
            Self::Origin => {
                "connections are answered 403, because `origins` does not list their Origin; log level debug shows each"
            }
            Self::Token => "connections are answered 401, because they show no right token; log level debug shows each",
            Self::ApiKey => "requests of the API are refused, because they show no right API key",
            Self::SlowConsumer => {
                "slow consumers are closed with 4002 or cut: more than `max_outbox` waits for them, or they read nothing \
                 for `write_timeout`"
            }
            Self::Tls => "TLS handshakes fail; log level debug shows why each does",
            Self::ProxyHeader => {
                "connections are cut, because they do not begin with a PROXY header of a proxy in `trusted_proxies`"
            }
            Self::Draining => "the server is stopping: new connections are answered 503",
            Self::ConnectionLines => {
                "clients come and go faster than the log tells, which is a hundred lines a second from each worker: lines \
                 are left out; `/metrics` counts all of them"
            }
            Self::TooMuchWaits => "`max_waiting` is reached: the slowest readers are closed or miss something",
        }
    }
}

/// What a count has that is not in the log yet.
#[derive(Debug, PartialEq, Eq)]
enum Rest {
    Nothing,
    Waits,
    Due(u64),
}

impl Paced {
    /// Counts a reason for a warning. If it is time to warn, returns the number of reasons.
    pub(crate) fn note(&mut self, now: Instant) -> Option<u64> {
        self.note_times(1, now)
    }

    fn note_times(&mut self, times: u64, now: Instant) -> Option<u64> {
        self.pending += times;
        self.pace.is_due(now).then(|| mem::take(&mut self.pending))
    }

    /// What was counted and is not in the log yet.
    fn rest(&mut self, now: Instant) -> Rest {
        match self.pending {
            0 => Rest::Nothing,
            _ if self.pace.is_due(now) => Rest::Due(mem::take(&mut self.pending)),
            _ => Rest::Waits,
        }
    }
}

impl Pace {
    /// Whether it is time. If so, the next time is in a minute.
    pub(crate) fn is_due(&mut self, now: Instant) -> bool {
        let is_due = self.not_before.is_none_or(|at| now >= at);
        if is_due {
            self.not_before = Some(now + MINUTE);
        }
        is_due
    }
}

/// All warnings, in the order of the enum.
const EACH: [Warning; 10] = [
    Warning::Full,
    Warning::Origin,
    Warning::Token,
    Warning::ApiKey,
    Warning::SlowConsumer,
    Warning::Tls,
    Warning::ProxyHeader,
    Warning::Draining,
    Warning::TooMuchWaits,
    Warning::ConnectionLines,
];

/// Time between two warnings of one kind.
const MINUTE: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_is_logged_at_once_and_the_others_by_the_minute() {
        let (mut paced, start) = (Paced::default(), Instant::now());
        let due: Vec<_> = (0..=120).map(|second| paced.note(start + Duration::from_secs(second))).collect();
        assert_eq!(due.iter().flatten().collect::<Vec<_>>(), [&1, &60, &60]);
    }

    #[test]
    fn what_is_left_is_logged_after_a_minute_though_nothing_happens_any_more() {
        let (mut paced, start) = (Paced::default(), Instant::now());
        let after = |seconds| start + Duration::from_secs(seconds);
        assert_eq!(paced.note(start), Some(1));
        assert_eq!(paced.rest(after(60)), Rest::Nothing);
        assert_eq!((paced.note(after(1)), paced.note(after(2))), (None, None));
        assert_eq!(paced.rest(after(59)), Rest::Waits);
        assert_eq!(paced.rest(after(60)), Rest::Due(2));
        assert_eq!(paced.rest(after(61)), Rest::Nothing);
        assert_eq!(paced.note(after(62)), None, "the count was a warning too");
    }

    #[test]
    fn each_warning_has_a_count_of_its_own() {
        let (warnings, now) = (Warnings::default(), Instant::now());
        EACH.iter().for_each(|warning| warnings.note(*warning, now));
        warnings.note(Warning::Origin, now);
        let pending = warnings.counts.lock().unwrap().each_ref().map(|count| count.pending);
        assert_eq!(pending, [0, 1, 0, 0, 0, 0, 0, 0, 0, 0]);
    }
}
