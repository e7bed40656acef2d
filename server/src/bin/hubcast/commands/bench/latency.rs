//! Latencies: their histogram, and the percentiles that are shown of it.

use hdrhistogram::Histogram;
use serde::Serialize;
use std::fmt;
use std::time::Duration;

/// Percentiles in microseconds.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Latency {
    p50: f64,
    p90: f64,
    p99: f64,
    p999: f64,
    max: f64,
}

impl Latency {
    /// The percentiles of these nanoseconds; `None` if there are none.
    pub(super) fn new(nanoseconds: &Histogram<u64>) -> Option<Self> {
        let at = |quantile| nanoseconds.value_at_quantile(quantile) as f64 / 1000.0;
        (!nanoseconds.is_empty()).then(|| Self {
            p50: at(0.5),
            p90: at(0.9),
            p99: at(0.99),
            p999: at(0.999),
            max: at(1.0),
        })
    }

    /// Each with its name, from the smallest to the largest.
    pub(super) fn named(&self) -> [(&'static str, f64); 5] {
        let Self { p50, p90, p99, p999, max } = *self;
        [("p50", p50), ("p90", p90), ("p99", p99), ("p99.9", p999), ("max", max)]
    }
}

impl fmt::Display for Latency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = self.named().map(|(name, microseconds)| format!("{name} {:.2} ms", microseconds / 1000.0));
        f.write_str(&shown.join(", "))
    }
}

/// A histogram of nanoseconds, up to an hour, exact to three digits.
pub(super) fn new_latency() -> Histogram<u64> {
    Histogram::new_with_bounds(1, 3_600_000_000_000, 3).expect("these bounds are valid")
}

pub(super) fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
