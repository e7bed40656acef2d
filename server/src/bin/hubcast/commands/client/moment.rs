//! Moments as text.

use humantime::format_rfc3339_millis;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The time now, in UTC by RFC 3339, such as `2026-11-26T20:00:00.123Z`.
pub(crate) fn now() -> String {
    format_rfc3339_millis(SystemTime::now()).to_string()
}

/// The same for a number of milliseconds since 1970-01-01 UTC. A server may say any number: after the year 9999 it is the
/// end of that year.
pub(crate) fn rfc3339(unix_millis: u64) -> String {
    format_rfc3339_millis(UNIX_EPOCH + Duration::from_millis(unix_millis.min(LAST_MILLI))).to_string()
}

/// The end of the year 9999.
const LAST_MILLI: u64 = 253_402_300_799_999;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_of_a_server_is_shown_whatever_it_is() {
        for (millis, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (1_790_000_000_123, "2026-09-21T14:13:20.123Z"),
            (u64::MAX, "9999-12-31T23:59:59.999Z"),
        ] {
            assert_eq!(rfc3339(millis), text);
        }
    }
}
