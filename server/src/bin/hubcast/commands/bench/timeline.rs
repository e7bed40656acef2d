//! What a load did from moment to moment, for the files that show it.

use super::latency::{Latency, nanoseconds, new_latency};
use hdrhistogram::Histogram;
use serde::Serialize;
use std::time::Duration;

/// A part of the measurement.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Moment {
    /// Its end, in seconds since the measurement began.
    pub(super) seconds: f64,
    /// What was done in it, for each second.
    pub(super) per_second: f64,
    /// `None` if nothing was done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) latency_us: Option<Latency>,
}

/// A measurement in parts of the same length. Times are nanoseconds of the load's clock.
#[derive(Debug)]
pub(super) struct Timeline {
    begin: u64,
    length: u64,
    /// What was done in the part that has not ended.
    latency: Histogram<u64>,
    moments: Vec<Moment>,
    most: usize,
}

impl Timeline {
    /// A measurement that begins at this time.
    pub(super) fn new(begin: u64, duration: Duration) -> Self {
        let most = (duration.as_millis() / SHORTEST.as_millis()).clamp(1, MOST as u128);
        let most = usize::try_from(most).unwrap_or(MOST);
        let length = (nanoseconds(duration) / most as u64).max(1);
        Self { begin, length, latency: new_latency(), moments: Vec::with_capacity(most), most }
    }

    /// Takes into account what was done at `now`, so long after it was due.
    pub(super) fn record(&mut self, now: u64, latency: u64) {
        self.pass(now);
        if self.moments.len() < self.most {
            self.latency.saturating_record(latency);
        }
    }

    /// The moments until now, where the measurement ends.
    pub(super) fn end(mut self, now: u64) -> Vec<Moment> {
        self.pass(now);
        self.moments
    }

    /// Ends the parts that are over.
    fn pass(&mut self, now: u64) {
        while self.moments.len() < self.most && now >= self.begin + (self.moments.len() as u64 + 1) * self.length {
            let seconds = Duration::from_nanos(self.length).as_secs_f64();
            self.moments.push(Moment {
                seconds: seconds * (self.moments.len() + 1) as f64,
                per_second: self.latency.len() as f64 / seconds,
                latency_us: Latency::new(&self.latency),
            });
            self.latency.reset();
        }
    }
}

/// The shortest part: a shorter one shows the scheduler of the machine, and not the server.
const SHORTEST: Duration = Duration::from_millis(100);

/// The most parts.
const MOST: usize = 120;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_moment_has_what_was_done_in_it() {
        let mut timeline = Timeline::new(1_000_000_000, Duration::from_millis(300));
        timeline.record(1_000_000_000, 5_000);
        timeline.record(1_099_999_999, 7_000);
        timeline.record(1_250_000_000, 9_000);
        timeline.record(1_300_000_000, 9_000);
        let moments = timeline.end(1_310_000_000);
        let shown: Vec<_> = moments.iter().map(|moment| (moment.per_second, moment.latency_us.is_some())).collect();
        assert_eq!(shown, [(20.0, true), (0.0, false), (10.0, true)]);
        assert!((moments[2].seconds - 0.3).abs() < 1e-9);
    }
}
