//! Tables and lists of the file, read key by key, so that each error names its key. The same text is the value of a flag
//! or a variable.

use super::excerpt::excerpt;
use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::str::FromStr;
use toml::value::{Datetime, Offset};
use toml::{Table, Value};

/// A setting that is a table or a list of tables: its meaning, and its text as it was written.
#[derive(Clone, Default)]
pub(crate) struct Structured<T> {
    pub(crate) value: T,
    written: Option<Value>,
}

/// The meaning of a table or of a list of tables.
pub(crate) trait FromValue: Default {
    /// What is written if nothing is set.
    const NOTHING: &'static str;

    /// Reads it. An error names the key.
    fn read(value: &Value) -> Result<Self, String>;
}

impl<T: FromValue> Structured<T> {
    fn of(written: Value) -> Result<Self, String> {
        Ok(Self { value: T::read(&written)?, written: Some(written) })
    }

    fn written(&self) -> Value {
        let nothing = || NESTED.parse::<Table>().ok().and_then(|mut table| table.remove(T::NOTHING));
        self.written.clone().or_else(nothing).unwrap_or(Value::Array(Vec::new()))
    }
}

impl<T: FromValue> FromStr for Structured<T> {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrapped = format!("value = {text}");
        let mut table: Table = wrapped.parse().map_err(|_| "not a table or list as in a TOML file".to_owned())?;
        Self::of(table.remove("value").ok_or("not a table or list as in a TOML file")?)
    }
}

/// Shows no secrets.
impl<T: FromValue> fmt::Display for Structured<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", without_secrets(&self.written()))
    }
}

/// Shows no secrets.
impl<T: FromValue> fmt::Debug for Structured<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl<T: FromValue> PartialEq for Structured<T> {
    fn eq(&self, other: &Self) -> bool {
        self.written() == other.written()
    }
}

impl<'de, T: FromValue> Deserialize<'de> for Structured<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::of(Value::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

/// The value as it was written, with its secrets: the layers are put together from such values.
impl<T: FromValue> Serialize for Structured<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.written().serialize(serializer)
    }
}

/// A value with `***` in place of each secret in it.
pub(super) fn without_secrets(value: &Value) -> Value {
    match value {
        Value::Array(list) => Value::Array(list.iter().map(without_secrets).collect()),
        Value::Table(table) => Value::Table(
            table
                .iter()
                .map(|(key, value)| {
                    let shown = match value {
                        _ if SECRETS.contains(&key.as_str()) => "***".into(),
                        Value::String(text) if URLS.contains(&key.as_str()) && text.contains("://") => {
                            bare_url(text).into()
                        }
                        value => without_secrets(value),
                    };
                    (key.clone(), shown)
                })
                .collect(),
        ),
        value => value.clone(),
    }
}

/// A URL with `***` in place of a name and password in it, and of its query.
fn bare_url(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap_or_default();
    let (place, query) = match rest.split_once(['?', '#']) {
        Some((place, _)) => (place, "?***"),
        None => (rest, ""),
    };
    match place.split_once('@') {
        Some((_, place)) => format!("{scheme}://***@{place}{query}"),
        None => format!("{scheme}://{place}{query}"),
    }
}

/// The table that a value must be.
pub(super) fn table(value: &Value, example: &str) -> Result<Table, String> {
    value.as_table().cloned().ok_or_else(|| format!("must be a table, such as {example}"))
}

/// The list of tables that a value must be, each with its number for errors.
pub(super) fn tables<T>(
    value: &Value,
    example: &str,
    name: &str,
    read: impl Fn(&Value) -> Result<T, String>,
) -> Result<Vec<T>, String> {
    let list = value.as_array().ok_or_else(|| format!("must be a list of tables, such as {example}"))?;
    let read = |(index, value)| read(value).map_err(|fault| format!("{name} {}: {fault}", index + 1));
    list.iter().enumerate().map(read).collect()
}

/// Removes and reads one key alone, so that the error is about this key. A secret is not shown.
pub(super) fn take<T: DeserializeOwned>(given: &mut Table, key: &str) -> Result<Option<T>, String> {
    let Some(value) = given.remove(key) else { return Ok(None) };
    let shown = value.to_string();
    value.try_into().map(Some).map_err(|error: toml::de::Error| match SECRETS.contains(&key) {
        true if key == "secrets" => format!("{key}: must be a list of texts"),
        true => format!("{key}: must be a text"),
        false => format!("{key} = {}: {}", excerpt(&shown), error.message()),
    })
}

/// Removes and reads a time, in seconds since 1970-01-01 UTC.
pub(super) fn take_time(given: &mut Table, key: &str) -> Result<Option<u64>, String> {
    let Some(value) = given.remove(key) else { return Ok(None) };
    let time = match &value {
        Value::Datetime(time) => unix_seconds(time),
        Value::String(text) => text.parse().ok().and_then(|time| unix_seconds(&time)),
        Value::Integer(seconds) => u64::try_from(*seconds).ok(),
        _ => None,
    };
    let shown = value.to_string();
    let fault = || format!("{key} = {}: not a time; write one such as 2027-01-01T00:00:00Z", excerpt(&shown));
    time.map(Some).ok_or_else(fault)
}

/// Refuses keys that are left over.
pub(super) fn no_more(given: &Table, known: &str) -> Result<(), String> {
    match given.keys().next() {
        Some(unknown) => Err(format!("{}: there is no such key; there are {known}", excerpt(unknown))),
        None => Ok(()),
    }
}

/// A date and time with its offset, in seconds since 1970-01-01 UTC.
fn unix_seconds(time: &Datetime) -> Option<u64> {
    let (date, clock) = (time.date?, time.time?);
    let offset = match time.offset? {
        Offset::Z => 0,
        Offset::Custom { minutes } => i64::from(minutes),
    };
    let seconds = i64::from(clock.hour) * 3600 + i64::from(clock.minute) * 60 + i64::from(clock.second.unwrap_or(0));
    let days = days_since_1970(i64::from(date.year), i64::from(date.month), i64::from(date.day));
    u64::try_from(days * 86_400 + seconds - offset * 60).ok()
}

/// The days from 1970-01-01 to a date of the Gregorian calendar. Years are counted from March, so that the leap day is
/// the last one of its year.
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let before = year * 365 + year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    before + (153 * month + 2) / 5 + day - 1 - DAYS_TO_1970
}

/// The days from the first of March of the year 0 to 1970-01-01.
const DAYS_TO_1970: i64 = 719_468;

/// The keys whose values are secrets.
const SECRETS: [&str; 3] = ["secret", "secrets", "key"];

/// The keys whose values can be URLs.
const URLS: [&str; 2] = ["jwks", "url"];

/// The values of settings that nothing sets.
const NESTED: &str = "list = []\ntable = {}";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_read_in_each_way_of_writing() {
        let take = |value: &str| {
            let mut table: Table = format!("at = {value}").parse().unwrap();
            take_time(&mut table, "at")
        };
        for (value, seconds) in [
            ("1970-01-01T00:00:00Z", 0),
            ("2000-02-29T12:00:00Z", 951_825_600),
            ("2026-11-26T16:30:00+02:00", 1_795_703_400),
            ("\"2026-11-26T14:30:00Z\"", 1_795_703_400),
            ("1795703400", 1_795_703_400),
        ] {
            assert_eq!(take(value), Ok(Some(seconds)), "{value}");
        }
        for value in ["\"soon\"", "2026-11-26", "12:00:00", "-1", "true", "2026-11-26T14:30:00"] {
            assert!(take(value).unwrap_err().contains("not a time"), "{value}");
        }
    }

    #[test]
    fn secrets_are_not_shown() {
        let value: Table = "a = [{ secret = \"hush\", id = \"x\", b = { key = \"hush\" } }]".parse().unwrap();
        let shown = without_secrets(&Value::Table(value)).to_string();
        assert!(!shown.contains("hush") && shown.contains("***") && shown.contains("\"x\""), "{shown}");
        let value: Table = "jwks = \"https://me:hush@a.example/keys?secret=hush\"".parse().unwrap();
        let shown = without_secrets(&Value::Table(value)).to_string();
        assert!(!shown.contains("hush") && shown.contains("https://***@a.example/keys?***"), "{shown}");
        let mut table: Table = "secret = 17".parse().unwrap();
        assert!(!take::<String>(&mut table, "secret").unwrap_err().contains("17"));
    }
}
