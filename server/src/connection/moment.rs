//! A moment in half the memory of an [`Instant`]: each connection keeps several.

use std::num::NonZeroU64;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

/// Nanoseconds after [`BEGIN`]. It lasts for 584 years.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Moment(NonZeroU64);

impl Moment {
    pub(super) fn instant(self) -> Instant {
        *BEGIN + Duration::from_nanos(self.0.get())
    }
}

impl From<Instant> for Moment {
    fn from(at: Instant) -> Self {
        let since = at.saturating_duration_since(*BEGIN).as_nanos();
        Self(NonZeroU64::new(u64::try_from(since).unwrap_or(u64::MAX)).unwrap_or(NonZeroU64::MIN))
    }
}

/// A day before the first connection, so that no moment is before it: the clock of a test may be behind that of the system.
static BEGIN: LazyLock<Instant> = LazyLock::new(|| {
    let now = Instant::now();
    now.checked_sub(Duration::from_secs(24 * 3600)).unwrap_or(now)
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_as_exact_as_the_clock_however_long_the_process_runs() {
        assert_eq!(size_of::<Option<Moment>>(), 8);
        let now = Instant::now();
        for after in [Duration::ZERO, Duration::from_nanos(1), Duration::from_secs(100 * 365 * 24 * 3600)] {
            assert_eq!(Moment::from(now + after).instant(), now + after);
        }
        let earlier = now - Duration::from_secs(3600);
        assert_eq!(Moment::from(earlier).instant(), earlier);
    }
}
