//! What a publication carries.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;
use std::fmt;

/// The `message` of a publication: any JSON value, kept as text so that nothing in it changes on the way.
#[derive(Clone)]
pub enum Payload {
    /// A JSON string, unescaped: what a plain client sends and sees.
    Text(Box<str>),
    /// Any other JSON value, as its text: numbers keep every digit.
    Json(Box<RawValue>),
}

impl Payload {
    /// How deeply arrays and objects may be nested, so that no reader's stack is at risk.
    pub const MAX_DEPTH: u32 = 64;

    /// Makes a payload of one JSON value.
    ///
    /// An escaped half of a surrogate pair in a string is read as U+FFFD, as the original server read it.
    ///
    /// # Errors
    /// When the value is nested more than [`Payload::MAX_DEPTH`] deep, or holds half of a surrogate pair inside
    /// an array or object, which no strict reader would take.
    pub fn from_json(json: &RawValue) -> Result<Self, InvalidPayload> {
        let text = json.get();
        if text.starts_with('"') {
            return Ok(Self::Text(crate::fields::lossy_string(text).unwrap_or_default().into()));
        }
        let mut depth = Depth::default();
        if text.bytes().any(|byte| depth.after(byte) > Self::MAX_DEPTH) {
            return Err(InvalidPayload::TooDeep);
        }
        if text.contains("\\u") && serde_json::from_str::<serde_json::Value>(text).is_err() {
            return Err(InvalidPayload::HalfSurrogate);
        }
        Ok(Self::Json(json.to_owned()))
    }

    /// The text that a plain client gets: of a string its characters, of anything else its JSON.
    pub fn as_plain(&self) -> &str {
        match self {
            Self::Text(text) => text,
            Self::Json(json) => json.get(),
        }
    }
}

impl From<&str> for Payload {
    fn from(text: &str) -> Self {
        Self::Text(text.into())
    }
}

impl PartialEq for Payload {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Text(ours), Self::Text(theirs)) => ours == theirs,
            (Self::Json(ours), Self::Json(theirs)) => ours.get() == theirs.get(),
            _ => false,
        }
    }
}

impl Eq for Payload {}

impl fmt::Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => fmt::Debug::fmt(text, f),
            Self::Json(json) => f.write_str(json.get()),
        }
    }
}

impl Serialize for Payload {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Text(text) => text.serialize(serializer),
            Self::Json(json) => json.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Payload {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let json = Box::<RawValue>::deserialize(deserializer)?;
        Self::from_json(&json).map_err(serde::de::Error::custom)
    }
}

/// Why a JSON value is not taken as a payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPayload {
    /// More than [`Payload::MAX_DEPTH`] arrays and objects inside each other.
    #[error("message is nested more than 64 deep")]
    TooDeep,
    /// A `\ud800` to `\udfff` without its other half.
    #[error("message holds half of a surrogate pair")]
    HalfSurrogate,
}

/// Counts how many brackets are open while valid JSON goes by.
#[derive(Default)]
struct Depth {
    open: u32,
    in_string: bool,
    escaped: bool,
}

impl Depth {
    fn after(&mut self, byte: u8) -> u32 {
        match byte {
            _ if self.escaped => self.escaped = false,
            b'\\' if self.in_string => self.escaped = true,
            b'"' => self.in_string = !self.in_string,
            b'[' | b'{' if !self.in_string => self.open += 1,
            b']' | b'}' if !self.in_string => self.open -= 1,
            _ => {}
        }
        self.open
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Result<Payload, InvalidPayload> {
        Payload::from_json(serde_json::from_str(json).unwrap())
    }

    #[test]
    fn a_string_loses_its_quotes_and_any_other_value_keeps_its_text() {
        assert_eq!(read(r#""a\"\u00e9""#).unwrap().as_plain(), "a\"é");
        assert_eq!(read("1.000000000000000000001").unwrap().as_plain(), "1.000000000000000000001");
        assert_eq!(read(r#"{ "a" : [1] }"#).unwrap().as_plain(), r#"{ "a" : [1] }"#);
    }

    #[test]
    fn half_a_surrogate_pair_is_replaced_in_a_string_and_refused_inside_a_value() {
        assert_eq!(read(r#""a\ud800b""#).unwrap().as_plain(), "a\u{fffd}b");
        assert_eq!(read(r#"["\ud83d\ude00"]"#).unwrap().as_plain(), r#"["\ud83d\ude00"]"#);
        assert_eq!(read(r#"["\ud800"]"#), Err(InvalidPayload::HalfSurrogate));
    }

    #[test]
    fn depth_is_bounded_and_brackets_in_strings_do_not_count() {
        assert!(read(&format!("{}{}", "[".repeat(64), "]".repeat(64))).is_ok());
        assert_eq!(read(&format!("{}{}", "[".repeat(65), "]".repeat(65))), Err(InvalidPayload::TooDeep));
        assert!(read(&format!(r#"["\"{}"]"#, "[".repeat(100))).is_ok());
    }
}
