//! The setting for who may use a file.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use std::fmt;
use std::str::FromStr;

/// The permissions of a file as chmod(1) writes them: three octal digits, for its user, its group and all others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FileMode(pub(crate) u32);

impl Default for FileMode {
    fn default() -> Self {
        Self(0o660)
    }
}

impl FromStr for FileMode {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let digits = text.trim().trim_start_matches('0');
        let mode = u32::from_str_radix(if digits.is_empty() { "0" } else { digits }, 8);
        mode.ok().filter(|mode| *mode <= 0o777 && !text.trim().is_empty()).map(Self).ok_or(NOT_A_MODE)
    }
}

impl fmt::Display for FileMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:03o}", self.0)
    }
}

impl<'de> Deserialize<'de> for FileMode {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match toml::Value::deserialize(deserializer)? {
            toml::Value::String(text) => text.parse(),
            // Its digits would be decimal ones.
            _ => Err(NOT_A_MODE),
        }
        .map_err(D::Error::custom)
    }
}

impl Serialize for FileMode {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

const NOT_A_MODE: &str = "not a mode of a file; write three octal digits in quotes, such as \"660\"";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_octal_digits_are_a_mode() {
        for (text, mode) in [("660", 0o660), ("0600", 0o600), (" 777 ", 0o777), ("000", 0)] {
            assert_eq!(text.parse(), Ok(FileMode(mode)), "{text}");
        }
        for text in ["", " ", "668", "1777", "rw", "-1", "6 6"] {
            assert_eq!(text.parse::<FileMode>(), Err(NOT_A_MODE), "{text}");
        }
        assert_eq!(FileMode(0o6).to_string(), "006");
    }
}
