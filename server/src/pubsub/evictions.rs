//! Warnings about evictions: histories lose publications when all of them together reach their bound.

use crate::log::warnings::Pace;
use hubcast_hub::Evicted;
use std::time::Instant;

/// Decides when to warn: at once, and then once a minute while evictions go on.
#[derive(Debug, Default)]
pub(super) struct Evictions {
    /// The evictions of which it has warned.
    reported: Evicted,
    pace: Pace,
}

impl Evictions {
    /// The evictions to warn of now. `evicted` counts all of them so far.
    pub(super) fn unreported(&mut self, now: Instant, evicted: Evicted) -> Option<Evicted> {
        if evicted == self.reported || !self.pace.is_due(now) {
            return None;
        }
        let reported = std::mem::replace(&mut self.reported, evicted);
        let publications = evicted.publications - reported.publications;
        Some(Evicted { publications, histories: evicted.histories - reported.histories })
    }
}

/// Writes the warning to the log.
pub(super) fn warn(evicted: Evicted) {
    let Evicted { publications, histories } = evicted;
    tracing::warn!(
        publications,
        histories,
        "all histories together reached `history_max_bytes`: publications were dropped before their time, \
         and histories forgotten"
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn evicted(publications: u64, histories: u64) -> Evicted {
        Evicted { publications, histories }
    }

    #[test]
    fn the_first_eviction_is_logged_at_once_and_later_ones_together_after_a_minute() {
        let (mut evictions, start) = (Evictions::default(), Instant::now());
        let mut reported = |second, so_far| evictions.unreported(start + Duration::from_secs(second), so_far);
        assert_eq!(reported(0, evicted(0, 0)), None);
        assert_eq!(reported(1, evicted(3, 1)), Some(evicted(3, 1)));
        assert_eq!(reported(2, evicted(5, 1)), None);
        assert_eq!(reported(60, evicted(9, 1)), None);
        assert_eq!(reported(61, evicted(9, 1)), Some(evicted(6, 0)));
        assert_eq!(reported(200, evicted(9, 1)), None, "nothing new");
        assert_eq!(reported(201, evicted(10, 2)), Some(evicted(1, 1)), "at once again");
    }
}
