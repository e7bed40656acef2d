//! What has become of the events of one hook, for metrics.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// The counters of one hook. The first worker writes them; anybody may read them at any time.
#[derive(Debug, Default)]
pub struct HookCounters {
    delivered: AtomicU64,
    dropped: [AtomicU64; 3],
    failed: AtomicU64,
    waiting: AtomicU64,
    durations: [AtomicU64; DURATIONS.len() + 1],
    microseconds: AtomicU64,
}

/// Why an event was dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dropped {
    /// Too many events waited.
    Full,
    /// It could not be delivered in time.
    Age,
    /// The receiver wants no more events.
    Gone,
}

/// The upper bounds of the classes of [`HookCounters::durations`].
pub const DURATIONS: [Duration; 8] = [
    Duration::from_millis(5),
    Duration::from_millis(25),
    Duration::from_millis(100),
    Duration::from_millis(250),
    Duration::from_secs(1),
    Duration::from_millis(2_500),
    Duration::from_secs(5),
    Duration::from_secs(10),
];

impl HookCounters {
    /// Events that the receiver has confirmed.
    pub fn delivered(&self) -> u64 {
        self.delivered.load(Relaxed)
    }

    /// Events that were dropped for this reason.
    pub fn dropped(&self, why: Dropped) -> u64 {
        self.dropped[why as usize].load(Relaxed)
    }

    /// Requests that failed.
    pub fn failed(&self) -> u64 {
        self.failed.load(Relaxed)
    }

    /// Events that wait to be sent now, with those of a request that is not answered.
    pub fn waiting(&self) -> u64 {
        self.waiting.load(Relaxed)
    }

    /// How many requests took at most as long as each of [`DURATIONS`] and longer than the one before; the last number
    /// is of those that took longer than all of them.
    pub fn durations(&self) -> [u64; DURATIONS.len() + 1] {
        self.durations.each_ref().map(|count| count.load(Relaxed))
    }

    /// The time of all requests together.
    pub fn time(&self) -> Duration {
        Duration::from_micros(self.microseconds.load(Relaxed))
    }
}

impl HookCounters {
    pub(super) fn add_delivered(&self, events: usize) {
        add(&self.delivered, events as u64);
    }

    pub(super) fn add_dropped(&self, why: Dropped, events: u64) {
        add(&self.dropped[why as usize], events);
    }

    pub(super) fn set_waiting(&self, events: usize) {
        self.waiting.store(events as u64, Relaxed);
    }

    pub(super) fn add_request(&self, took: Duration, has_failed: bool) {
        let class = DURATIONS.iter().position(|bound| took <= *bound).unwrap_or(DURATIONS.len());
        add(&self.durations[class], 1);
        add(&self.microseconds, u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
        add(&self.failed, u64::from(has_failed));
    }
}

/// Only one thread writes.
fn add(cell: &AtomicU64, more: u64) {
    cell.store(cell.load(Relaxed).saturating_add(more), Relaxed);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_counted_in_the_class_of_its_duration() {
        let counters = HookCounters::default();
        for milliseconds in [0, 5, 6, 10_000, 10_001, 15_000] {
            counters.add_request(Duration::from_millis(milliseconds), milliseconds > 10_000);
        }
        assert_eq!(counters.durations(), [2, 1, 0, 0, 0, 0, 0, 1, 2]);
        assert_eq!((counters.failed(), counters.time()), (2, Duration::from_millis(35_012)));
    }
}
