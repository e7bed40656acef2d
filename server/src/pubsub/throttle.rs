//! Throttling: how long publishers wait for receivers that are far behind.
//!
//! A publisher is paused only for what it sends to receivers that are behind; one that sends them little is not
//! paused. The pauses take a tenth of its time at most. What happens to a receiver that is still too slow depends on
//! its subscription.

use std::collections::HashMap;
use std::time::{Duration, Instant};

/// The publishers of one worker that send to receivers which are behind.
#[derive(Debug, Default)]
pub(super) struct Throttle {
    by_slot: HashMap<u32, Publisher>,
}

#[derive(Debug)]
struct Publisher {
    /// Bytes sent to receivers that are behind, since the last pause.
    bytes: usize,
    /// When the pauses so far will be made up for: each one moves this by ten times its length.
    settled_at: Instant,
}

impl Throttle {
    /// Notes that a publisher sent so many bytes to a receiver that is behind. Says whether it is to be paused now,
    /// for `pause`.
    pub(super) fn note(&mut self, slot: u32, bytes: usize, pause: Duration, now: Instant) -> bool {
        let publisher = self.by_slot.entry(slot).or_insert(Publisher { bytes: 0, settled_at: now });
        publisher.bytes += bytes;
        if publisher.bytes < BYTES_PER_PAUSE {
            return false;
        }
        let settled_at = publisher.settled_at.max(now) + pause * (100 / SHARE_PERCENT);
        let is_paused = settled_at - now <= WINDOW;
        if is_paused {
            (publisher.bytes, publisher.settled_at) = (0, settled_at);
        }
        is_paused
    }

    /// Removes a slot that another connection gets.
    pub(super) fn forget(&mut self, slot: u32) {
        self.by_slot.remove(&slot);
    }

    /// Removes publishers whose pauses are made up for, if there are many publishers.
    pub(super) fn tidy(&mut self, now: Instant) {
        if self.by_slot.len() > KEPT_PUBLISHERS {
            self.by_slot.retain(|_, publisher| publisher.settled_at > now);
            self.by_slot.shrink_to(KEPT_PUBLISHERS);
        }
    }
}

/// Bytes that a publisher sends to receivers that are behind before it is paused.
const BYTES_PER_PAUSE: usize = 16 * 1024;

/// Share of its time for which a publisher is paused at most, and the time over which that is counted: half a second
/// in five.
const SHARE_PERCENT: u32 = 10;
const WINDOW: Duration = Duration::from_secs(5);

/// Publishers that are kept before any is removed.
const KEPT_PUBLISHERS: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    const PAUSE: Duration = Duration::from_millis(10);

    #[test]
    fn who_sends_little_is_not_paused() {
        let (mut throttle, now) = (Throttle::default(), Instant::now());
        let paused = (0..160).filter(|_| throttle.note(1, 1024, PAUSE, now)).count();
        assert_eq!(paused, 10, "after each 16 KiB");
        assert!(!throttle.note(2, 1024, PAUSE, now), "another one");
    }

    #[test]
    fn nobody_is_paused_for_more_than_a_tenth_of_its_time() {
        let (mut throttle, start) = (Throttle::default(), Instant::now());
        let mut paused_in = |seconds: std::ops::Range<u64>| {
            let times = (seconds.start * 1000..seconds.end * 1000).step_by(5);
            let at = times.map(|millis| start + Duration::from_millis(millis));
            PAUSE * u32::try_from(at.filter(|at| throttle.note(1, BYTES_PER_PAUSE, PAUSE, *at)).count()).unwrap()
        };
        let first = paused_in(0..10);
        let at_once = Duration::from_millis(500);
        let tenth = Duration::from_secs(1);
        assert!((tenth..=tenth + at_once).contains(&first), "{first:?}");
        let later = paused_in(10..60);
        assert!((Duration::from_millis(4900)..=Duration::from_millis(5100)).contains(&later), "{later:?}");
    }

    #[test]
    fn who_is_settled_is_forgotten() {
        let (mut throttle, now) = (Throttle::default(), Instant::now());
        (0..2000).for_each(|slot| _ = throttle.note(slot, BYTES_PER_PAUSE, PAUSE, now));
        throttle.tidy(now);
        assert_eq!(throttle.by_slot.len(), 2000);
        throttle.tidy(now + Duration::from_secs(1));
        assert!(throttle.by_slot.is_empty());
    }
}
