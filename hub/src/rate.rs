//! How often a session may ask.

use std::time::{Duration, Instant};

/// A token bucket that also counts how long its owner went on after it was empty.
#[derive(Debug)]
pub(crate) struct Bucket {
    /// When the bucket would be full again if nothing more were taken.
    full_at: Instant,
    /// What one token costs in time.
    token: Duration,
}

/// What the bucket says to one more request.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Pass,
    Refuse,
    /// A second's worth was refused already.
    Disconnect,
}

const BURST: Duration = Duration::from_secs(1);

impl Bucket {
    /// A full bucket that refills by `per_second` tokens a second and holds as many.
    pub(crate) fn new(now: Instant, per_second: u32) -> Self {
        Self { full_at: now, token: Duration::from_secs(1) / per_second.max(1) }
    }

    /// Takes a token. A refused request costs one too, so that only who slows down gets through again.
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
