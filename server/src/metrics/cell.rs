//! Cells: numbers that one thread writes, and that any thread reads.
//!
//! As only one thread writes, a change is a load and a store, and never an instruction that locks the bus.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// A number that only grows.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

/// A number that grows and shrinks.
#[derive(Debug, Default)]
pub(crate) struct Gauge(AtomicI64);

/// How often something took how long.
#[derive(Debug, Default)]
pub(crate) struct Histogram {
    /// For each bound of [`DURATION_BOUNDS`], how often it took at most that long and longer than the bound before; at the end,
    /// how often it took longer than the last.
    buckets: [Counter; DURATION_BOUNDS.len() + 1],
    nanoseconds: Counter,
}

/// The largest value of the last half minute, and of the half minute before it.
#[derive(Debug, Default)]
pub(crate) struct Peak {
    now: AtomicU64,
    before: AtomicU64,
    /// The half minute of `now`, counted from the first one that the process knows of.
    window: AtomicU64,
}

impl Counter {
    pub(crate) fn add(&self, more: u64) {
        self.0.store(self.0.load(Relaxed).wrapping_add(more), Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

impl Gauge {
    pub(crate) fn add(&self, more: i64) {
        self.0.store(self.0.load(Relaxed).wrapping_add(more), Relaxed);
    }

    pub(crate) fn get(&self) -> i64 {
        self.0.load(Relaxed)
    }
}

impl Histogram {
    pub(crate) fn note(&self, took: Duration) {
        let bucket = DURATION_BOUNDS.iter().position(|bound| took <= *bound).unwrap_or(DURATION_BOUNDS.len());
        self.buckets[bucket].add(1);
        self.nanoseconds.add(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX));
    }

    /// How often something took no time that is worth a look at the clock.
    pub(crate) fn note_nothing(&self) {
        self.buckets[0].add(1);
    }

    /// How often, in each bucket.
    pub(crate) fn buckets(&self) -> [u64; DURATION_BOUNDS.len() + 1] {
        self.buckets.each_ref().map(Counter::get)
    }

    /// The sum of all durations, in seconds.
    pub(crate) fn seconds(&self) -> f64 {
        Duration::from_nanos(self.nanoseconds.get()).as_secs_f64()
    }
}

impl Peak {
    pub(crate) fn note(&self, value: u64, since: Duration) {
        let window = since.as_secs() / PEAK_WINDOW.as_secs();
        let known = self.window.load(Relaxed);
        if window != known {
            self.before.store(if window == known + 1 { self.now.load(Relaxed) } else { 0 }, Relaxed);
            self.now.store(0, Relaxed);
            self.window.store(window, Relaxed);
        }
        if value > self.now.load(Relaxed) {
            self.now.store(value, Relaxed);
        }
    }

    pub(crate) fn get(&self, since: Duration) -> u64 {
        let window = since.as_secs() / PEAK_WINDOW.as_secs();
        match window.saturating_sub(self.window.load(Relaxed)) {
            0 => self.now.load(Relaxed).max(self.before.load(Relaxed)),
            1 => self.now.load(Relaxed),
            _ => 0,
        }
    }
}

/// The bounds of the buckets of every histogram of durations.
pub(crate) const DURATION_BOUNDS: [Duration; 13] = [
    Duration::from_micros(50),
    Duration::from_micros(100),
    Duration::from_micros(250),
    Duration::from_micros(500),
    Duration::from_millis(1),
    Duration::from_micros(2_500),
    Duration::from_millis(5),
    Duration::from_millis(10),
    Duration::from_millis(25),
    Duration::from_millis(50),
    Duration::from_millis(100),
    Duration::from_millis(250),
    Duration::from_secs(1),
];

const PEAK_WINDOW: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_in_the_bucket_of_the_first_bound_that_holds_it() {
        let histogram = Histogram::default();
        for took in [0, 50, 51, 1_000_000, 1_000_001] {
            histogram.note(Duration::from_micros(took));
        }
        histogram.note_nothing();
        let mut expected = [0; DURATION_BOUNDS.len() + 1];
        (expected[0], expected[1], expected[12], expected[13]) = (3, 1, 1, 1);
        assert_eq!(histogram.buckets(), expected);
        assert!((histogram.seconds() - 2.000_102).abs() < 1e-9);
    }

    #[test]
    fn a_peak_is_forgotten_after_a_minute() {
        let (peak, at) = (Peak::default(), Duration::from_secs);
        peak.note(7, at(1_000));
        peak.note(5, at(1_001));
        assert_eq!([peak.get(at(1_010)), peak.get(at(1_030)), peak.get(at(1_080))], [7, 7, 0]);
        peak.note(3, at(1_030));
        assert_eq!([peak.get(at(1_031)), peak.get(at(1_060))], [7, 3]);
    }
}
