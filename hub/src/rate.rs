//! The rate limit of a session's requests.

use std::time::{Duration, Instant};

/// A token bucket that also counts the requests that come after it is empty.
#[derive(Debug)]
pub(crate) struct Bucket {
    /// When the bucket is full again if no more tokens are taken.
    full_at: Instant,
    /// The time in which one token is refilled.
    token: Duration,
}

/// The decision on one more request.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Pass,
    Refuse,
    /// One second's worth of requests was refused already.
    Disconnect,
}

const BURST: Duration = Duration::from_secs(1);

impl Bucket {
    /// A full bucket. It refills by `per_second` tokens a second and has room for as many.
    pub(crate) fn new(now: Instant, per_second: u32) -> Self {
        Self { full_at: now, token: Duration::from_secs(1) / per_second.max(1) }
    }

    /// Whether all tokens are there.
    pub(crate) fn is_full(&self, now: Instant) -> bool {
        self.full_at <= now
    }

    /// Takes a token. A refused request costs one too, so that a client gets through again only after it slows down.
    pub(crate) fn take(&mut self, now: Instant) -> Verdict {
        let full_at = self.full_at.max(now) + self.token;
        match full_at - now {
            owed if owed > 2 * BURST => return Verdict::Disconnect,
            owed if owed > BURST => self.full_at = full_at,
            _ => {
                self.full_at = full_at;
                return Verdict::Pass;
            }
        }
        Verdict::Refuse
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seconds_worth_passes_at_once_another_is_refused_and_then_it_is_over() {
        let start = Instant::now();
        let mut bucket = Bucket::new(start, 10);
        let verdicts: Vec<_> = (0..21).map(|_| bucket.take(start)).collect();
        assert!(verdicts[..10].iter().all(|verdict| *verdict == Verdict::Pass));
        assert!(verdicts[10..20].iter().all(|verdict| *verdict == Verdict::Refuse));
        assert_eq!(verdicts[20], Verdict::Disconnect);
    }

    #[test]
    fn who_slows_down_gets_through_again() {
        let start = Instant::now();
        let mut bucket = Bucket::new(start, 10);
        for _ in 0..15 {
            bucket.take(start);
        }
        assert_eq!(bucket.take(start + Duration::from_millis(500)), Verdict::Refuse);
        assert_eq!(bucket.take(start + Duration::from_millis(1200)), Verdict::Pass);
    }
}
