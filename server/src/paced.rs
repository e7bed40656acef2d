//! Warnings that may come often.

use std::time::{Duration, Instant};

/// Lets a warning through at once, and after that one a minute, which says how often there was reason for one.
#[derive(Debug, Default)]
pub(crate) struct Paced {
    untold: u64,
    not_before: Option<Instant>,
}

impl Paced {
    /// Notes a reason for a warning. Says for how many reasons to warn now, if at all.
    pub(crate) fn note(&mut self, now: Instant) -> Option<u64> {
        self.untold += 1;
        if self.not_before.is_some_and(|at| now < at) {
            return None;
        }
        self.not_before = Some(now + PAUSE);
        Some(std::mem::take(&mut self.untold))
    }
}

/// Time between two warnings.
const PAUSE: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_is_told_at_once_and_the_others_by_the_minute() {
        let (mut paced, start) = (Paced::default(), Instant::now());
        let told: Vec<_> = (0..=120).map(|second| paced.note(start + Duration::from_secs(second))).collect();
        assert_eq!(told.iter().flatten().collect::<Vec<_>>(), [&1, &60, &60]);
    }
}
