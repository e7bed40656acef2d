//! The text of durations, sizes and counts: the same in flags, environment and TOML file.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// A duration, such as `25s`, `500ms` or `2m`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct DurationText(pub(crate) Duration);

/// A number of bytes, such as `64KiB`, `1MiB` or `65536`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Size(pub(crate) usize);

/// A count, such as `100`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(crate) struct Count(pub(crate) u32);

/// A count, or the word `auto` for one that suits this machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AutoCount {
    /// A number that suits this machine.
    Auto,
    /// Exactly this number.
    Exactly(u32),
}

/// `true`, `false`, or the word `auto` for what the other settings suggest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AutoSwitch {
    /// What the other settings suggest.
    Auto,
    /// Exactly this.
    Set(bool),
}

/// Reads a TOML value by the rule for a flag's text, so that a text cannot have two meanings.
pub(crate) fn from_text<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: FromStr<Err = &'static str>,
{
    let text = match toml::Value::deserialize(deserializer)? {
        toml::Value::String(text) => text,
        other => other.to_string(),
    };
    text.parse().map_err(D::Error::custom)
}

/// The number at the start of a text, and the text after it.
fn number_and_unit(text: &str) -> Option<(u64, &str)> {
    let text = text.trim();
    let digits = text.find(|character: char| !character.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    Some((number.parse().ok()?, unit.trim_start()))
}

impl FromStr for DurationText {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (number, unit) = number_and_unit(text).ok_or(NOT_A_PERIOD)?;
        let unit = PERIODS.iter().find(|(name, _)| *name == unit).ok_or(NOT_A_PERIOD)?.1;
        let millis = number.checked_mul(unit).filter(|millis| *millis <= LONGEST).ok_or("too long; at most 720h")?;
        Ok(Self(Duration::from_millis(millis)))
    }
}

impl fmt::Display for DurationText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = self.0.as_millis();
        let whole =
            PERIODS.iter().find(|(_, unit)| millis >= u128::from(*unit) && millis.is_multiple_of(u128::from(*unit)));
        match whole {
            Some((name, unit)) => write!(f, "{}{name}", millis / u128::from(*unit)),
            None => f.write_str("0s"),
        }
    }
}

impl FromStr for Size {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (number, unit) = number_and_unit(text).ok_or(NOT_A_SIZE)?;
        let unit = match unit {
            "" | "B" => 1,
            _ => SIZES.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit)).ok_or(NOT_A_SIZE)?.1,
        };
        let bytes = usize::try_from(number).ok().and_then(|number| number.checked_mul(unit));
        bytes.map(Self).ok_or("more bytes than this machine can count")
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match SIZES.iter().find(|(_, unit)| self.0 >= *unit && self.0.is_multiple_of(*unit)) {
            Some((name, unit)) => write!(f, "{}{name}", self.0 / unit),
            None => write!(f, "{}", self.0),
        }
    }
}

impl FromStr for Count {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.trim().parse().map(Self).map_err(|_| "not a whole number from 0 to 4294967295")
    }
}

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Count {
    /// A count from the library's configuration, which has some as `usize`. Its defaults all fit into `u32`.
    pub(crate) fn of(number: usize) -> Self {
        Self(u32::try_from(number).unwrap_or(u32::MAX))
    }
}

impl FromStr for AutoCount {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.trim() {
            "auto" => Ok(Self::Auto),
            number => {
                number.parse().map(Self::Exactly).map_err(|_| "neither a whole number up to 4,294,967,295 nor auto")
            }
        }
    }
}

impl fmt::Display for AutoCount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Exactly(number) => number.fmt(f),
        }
    }
}

impl FromStr for AutoSwitch {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.trim() {
            "auto" => Ok(Self::Auto),
            "true" => Ok(Self::Set(true)),
            "false" => Ok(Self::Set(false)),
            _ => Err("not true, false or auto"),
        }
    }
}

impl fmt::Display for AutoSwitch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Set(is_on) => is_on.fmt(f),
        }
    }
}

impl<'de> Deserialize<'de> for DurationText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        from_text(deserializer)
    }
}

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        from_text(deserializer)
    }
}

impl<'de> Deserialize<'de> for Count {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        from_text(deserializer)
    }
}

impl<'de> Deserialize<'de> for AutoCount {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        from_text(deserializer)
    }
}

impl<'de> Deserialize<'de> for AutoSwitch {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        from_text(deserializer)
    }
}

impl Serialize for DurationText {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl Serialize for Size {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl Serialize for AutoCount {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Auto => serializer.serialize_str("auto"),
            Self::Exactly(number) => serializer.serialize_u32(*number),
        }
    }
}

impl Serialize for AutoSwitch {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Auto => serializer.serialize_str("auto"),
            Self::Set(is_on) => serializer.serialize_bool(*is_on),
        }
    }
}

/// The units of a [`DurationText`] in milliseconds, the longest first.
const PERIODS: [(&str, u64); 4] = [("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

/// The units of a [`Size`] in bytes, the largest first.
const SIZES: [(&str, usize); 3] = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];

/// Thirty days, in milliseconds: an instant plus this duration cannot overflow.
const LONGEST: u64 = 30 * 24 * 3_600_000;

const NOT_A_PERIOD: &str = "not a duration; write a number with ms, s, m or h, such as \"25s\"";
const NOT_A_SIZE: &str = "not a size; write bytes as a number, or a number with KiB, MiB or GiB, such as \"64KiB\"";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_with_their_unit() {
        for (text, millis) in [("500ms", 500), ("25s", 25_000), ("2m", 120_000), ("1h", 3_600_000), ("0s", 0)] {
            assert_eq!(text.parse(), Ok(DurationText(Duration::from_millis(millis))), "{text}");
        }
    }

    #[test]
    fn what_is_not_a_duration_is_refused() {
        for text in ["", "fast", "25", "s", "-1s", "1.5s", "25 parsecs", "99999999999999999999s"] {
            assert_eq!(text.parse::<DurationText>(), Err(NOT_A_PERIOD), "{text}");
        }
        assert_eq!("721h".parse::<DurationText>(), Err("too long; at most 720h"));
    }

    #[test]
    fn sizes_are_read_with_or_without_a_unit() {
        for (text, bytes) in [("65536", 65_536), ("64KiB", 65_536), ("64 kib", 65_536), ("1MiB", 1 << 20), ("7B", 7)] {
            assert_eq!(text.parse(), Ok(Size(bytes)), "{text}");
        }
    }

    #[test]
    fn what_is_not_a_size_is_refused() {
        for text in ["", "big", "-1", "64KB", "KiB"] {
            assert_eq!(text.parse::<Size>(), Err(NOT_A_SIZE), "{text}");
        }
        assert!("18446744073709551615GiB".parse::<Size>().is_err());
    }

    #[test]
    fn what_is_shown_can_be_read_again() {
        for millis in [0, 1, 999, 1_000, 1_500, 60_000, 90_000, 3_600_000] {
            let period = DurationText(Duration::from_millis(millis));
            assert_eq!(period.to_string().parse(), Ok(period));
        }
        for bytes in [0, 1, 1_000, 1_024, 1_025, 65_536, 1 << 20, 3 << 30] {
            assert_eq!(Size(bytes).to_string().parse(), Ok(Size(bytes)));
        }
        for count in [AutoCount::Auto, AutoCount::Exactly(0), AutoCount::Exactly(7)] {
            assert_eq!(count.to_string().parse(), Ok(count));
        }
    }

    #[test]
    fn the_largest_unit_that_divides_is_shown() {
        assert_eq!(DurationText(Duration::from_secs(60)).to_string(), "1m");
        assert_eq!(DurationText(Duration::from_secs(90)).to_string(), "90s");
        assert_eq!(Size(65_536).to_string(), "64KiB");
        assert_eq!(Size(1_000).to_string(), "1000");
    }
}
