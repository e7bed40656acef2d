//! The payload of a publication.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;
use std::fmt;

/// The `message` of a publication: any JSON value. It is kept as text, so that nothing in it changes on the way.
#[derive(Clone)]
pub enum Payload {
    /// A JSON string, unescaped, as plain clients send and get it.
    Text(Box<str>),
    /// Any other JSON value, as its text, so that numbers keep every digit.
    Json(Box<RawValue>),
}

impl Payload {
    /// The limit on the nesting of arrays and objects. It protects the stack of every reader.
    pub const MAX_DEPTH: u32 = 64;

    /// Makes a payload from one JSON value.
    ///
    /// In a string, an escaped half of a surrogate pair becomes U+FFFD, as in the original server.
    ///
    /// # Errors
    /// When the value is nested more than [`Payload::MAX_DEPTH`] deep, or has half of a surrogate pair inside an array
    /// or object, which no strict reader would accept.
    pub fn from_json(json: &RawValue) -> Result<Self, InvalidPayload> {
        let text = json.get();
        if text.starts_with('"') {
            return Ok(Self::Text(crate::fields::lossy_string(text).unwrap_or_default().into()));
        }
        let mut depth = Depth::default();
        if text.bytes().any(|byte| depth.after(byte) > Self::MAX_DEPTH) {
            return Err(InvalidPayload::TooDeep);
        }
        if has_half_surrogate(text) {
            return Err(InvalidPayload::HalfSurrogate);
        }
        Ok(Self::Json(json.to_owned()))
    }

    /// The text that a plain client gets: the characters of a string, and the JSON of any other value.
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
        // Borrowed from the text that is read, so that a large value is copied once.
        let json = <&RawValue>::deserialize(deserializer)?;
        Self::from_json(json).map_err(serde::de::Error::custom)
    }
}

/// Why a JSON value is not accepted as a payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidPayload {
    /// More than [`Payload::MAX_DEPTH`] arrays and objects inside each other.
    #[error("it is nested more than 64 deep")]
    TooDeep,
    /// An escape from `\ud800` to `\udfff` without its other half.
    #[error("it holds half of a surrogate pair")]
    HalfSurrogate,
}

/// Whether valid JSON contains an escaped half of a surrogate pair (RFC 8259 section 8.2) without the other half.
fn has_half_surrogate(json: &str) -> bool {
    let mut rest = json;
    // Whether the last escape was the first half of a pair, which the next escape must complete.
    let mut is_led = false;
    while let Some(at) = rest.find('\\') {
        if is_led && at > 0 {
            return true;
        }
        let escape = &rest[at + 1..];
        let unit = escape.strip_prefix('u').and_then(|digits| u16::from_str_radix(digits.get(..4)?, 16).ok());
        let is_trail = matches!(unit, Some(0xDC00..=0xDFFF));
        if is_trail != is_led {
            return true;
        }
        is_led = matches!(unit, Some(0xD800..=0xDBFF));
        // The escaped character may be a backslash itself. In valid JSON it is one byte.
        rest = &escape[if unit.is_some() { 5 } else { 1 }..];
    }
    is_led
}

/// Counts the open brackets while it reads valid JSON byte by byte.
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
        for half in [r#"["\ud800"]"#, r#"["\udc00"]"#, r#"["\ud800-\udc00"]"#, r#"["\ud800\n"]"#, r#"["\ud800\ud800"]"#]
        {
            assert_eq!(read(half), Err(InvalidPayload::HalfSurrogate), "{half}");
        }
        for whole in [r#"["\\ud800"]"#, r#"["\u0041",1e999]"#, r#"["\\\ud83d\ude00\\"]"#] {
            assert!(read(whole).is_ok(), "{whole}");
        }
    }

    #[test]
    fn depth_is_bounded_and_brackets_in_strings_do_not_count() {
        assert!(read(&format!("{}{}", "[".repeat(64), "]".repeat(64))).is_ok());
        assert_eq!(read(&format!("{}{}", "[".repeat(65), "]".repeat(65))), Err(InvalidPayload::TooDeep));
        assert!(read(&format!(r#"["\"{}"]"#, "[".repeat(100))).is_ok());
    }
}
