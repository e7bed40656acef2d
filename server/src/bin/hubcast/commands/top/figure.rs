//! Numbers as short texts.

use indicatif::{BinaryBytes, HumanCount};
use std::time::Duration;

/// A number with separators.
pub(super) fn count(number: u64) -> String {
    HumanCount(number).to_string()
}

/// A number in at most five characters, such as `12.3k`.
pub(super) fn short(number: f64) -> String {
    match number {
        n if n < 9.95 => format!("{n:.1}"),
        n if n < 9_999.5 => format!("{n:.0}"),
        n if n < 99_950.0 => format!("{:.1}k", n / 1e3),
        n if n < 999_500.0 => format!("{:.0}k", n / 1e3),
        n if n < 99.95e6 => format!("{:.1}M", n / 1e6),
        n => format!("{:.0}M", n / 1e6),
    }
}

/// A rate, or a dash while it is not known.
pub(super) fn rate(rate: Option<f64>) -> String {
    rate.map_or_else(|| "-".to_owned(), short)
}

/// Bytes, such as `1.20 MiB`.
pub(super) fn bytes(bytes: u64) -> String {
    BinaryBytes(bytes).to_string()
}

/// A time in its two largest units.
pub(super) fn time(time: Duration) -> String {
    let seconds = time.as_secs();
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) if seconds < 10 && time.subsec_millis() > 0 => format!("{:.1} s", time.as_secs_f64()),
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, minutes) => format!("{minutes} m {} s", seconds % 60),
        (0, hours, minutes) => format!("{hours} h {minutes} m"),
        (days, hours, _) => format!("{days} d {hours} h"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        for (number, text) in [
            (0.0, "0.0"),
            (9.96, "10"),
            (9_999.0, "9999"),
            (12_345.0, "12.3k"),
            (123_456.0, "123k"),
            (1_250_000.0, "1.2M"),
        ] {
            assert_eq!(short(number), text);
        }
        for (millis, text) in [(0, "0 s"), (1_500, "1.5 s"), (65_000, "1 m 5 s"), (90_000_000, "1 d 1 h")] {
            assert_eq!(time(Duration::from_millis(millis)), text);
        }
    }
}
