//! The wall clock, as numbers: the time since 1970-01-01 UTC. It can be set, so it measures no waits.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Seconds since 1970-01-01 UTC.
pub(crate) fn unix_now() -> u64 {
    passed().as_secs()
}

/// Milliseconds since 1970-01-01 UTC.
pub(crate) fn unix_ms() -> u64 {
    u64::try_from(passed().as_millis()).unwrap_or(u64::MAX)
}

fn passed() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}
