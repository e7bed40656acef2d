//! The fields of a request, as JSON texts before their meaning is read.
//!
//! Names are compared without case, and `null` is the same as absent, as in the original server (Go's `encoding/json`).
//! If a field occurs twice, the last one counts.

use serde::de::{self, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use std::{borrow::Cow, fmt};

/// The values of the fields that a request can have, each as its JSON text.
#[derive(Default)]
pub(crate) struct Fields<'a> {
    values: [Option<&'a RawValue>; NAMES.len()],
    /// Whether an unknown name may be invalid JSON.
    is_doubtful: bool,
}

/// The names of the known fields. All other fields are ignored, whatever their values.
#[derive(Clone, Copy)]
pub(crate) enum Name {
    Id,
    Action,
    Topic,
    Pattern,
    Message,
    Recover,
    Last,
    OrLast,
    Slow,
    Echo,
    Key,
    Producer,
    Sequence,
    Presence,
    Since,
    Limit,
    Secret,
    Info,
    Token,
}

const NAMES: [&str; 19] = [
    "id", "action", "topic", "pattern", "message", "recover", "last", "or_last", "slow", "echo", "key", "producer",
    "sequence", "presence", "since", "limit", "secret", "info", "token",
];

impl<'a> Fields<'a> {
    /// Reads one JSON object. `null` is read as an object without fields, as in the original server.
    pub(crate) fn read(text: &'a str) -> Result<Self, NotAnObject> {
        let fields = serde_json::from_str::<Option<Self>>(text).map(Option::unwrap_or_default);
        match fields {
            Ok(fields) if !fields.is_doubtful => return Ok(fields),
            _ => {}
        }
        // The reader stops at the first byte that cannot begin an object. Only reading the whole text tells whether it
        // is JSON.
        serde_json::from_str::<de::IgnoredAny>(text).map_err(NotAnObject::NotJson)?;
        fields.map_err(|_| NotAnObject::OtherJson)
    }

    pub(crate) fn get(&self, name: Name) -> Option<&'a RawValue> {
        self.values[name as usize]
    }

    /// The text of a string field; `Err` if the field has another type.
    pub(crate) fn text(&self, name: Name) -> Result<Option<Cow<'a, str>>, WrongType> {
        self.get(name).map(|value| lossy_string(value.get()).ok_or(WrongType(name, "a string"))).transpose()
    }
}

/// Why a frame has no fields.
#[derive(Debug)]
pub(crate) enum NotAnObject {
    NotJson(serde_json::Error),
    OtherJson,
}

/// A field of a wrong type, with the expected type.
#[derive(Clone, Copy)]
pub(crate) struct WrongType(pub(crate) Name, pub(crate) &'static str);

impl fmt::Display for WrongType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} must be {}", NAMES[self.0 as usize], self.1)
    }
}

impl<'de: 'a, 'a> de::Deserialize<'de> for Fields<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(FieldsVisitor)
    }
}

struct FieldsVisitor;

impl<'de> Visitor<'de> for FieldsVisitor {
    type Value = Fields<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Fields<'de>, M::Error> {
        let mut fields = Fields::default();
        while let Some(name) = map.next_key()? {
            let value: &RawValue = map.next_value()?;
            match name {
                FieldName::Known(place) if value.get() != "null" => fields.values[place] = Some(value),
                FieldName::Known(_) => {}
                FieldName::Other { is_doubtful } => fields.is_doubtful |= is_doubtful,
            }
        }
        Ok(fields)
    }
}

/// A field's name as its index in [`NAMES`]. Names are read as bytes, which also accepts half of a surrogate pair.
enum FieldName {
    Known(usize),
    Other {
        /// Whether it contains control characters. In JSON they must be escaped, but the reader of bytes does not check
        /// that.
        is_doubtful: bool,
    },
}

impl<'de> de::Deserialize<'de> for FieldName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct KeyVisitor;
        impl Visitor<'_> for KeyVisitor {
            type Value = FieldName;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a field name")
            }

            fn visit_bytes<E>(self, key: &[u8]) -> Result<FieldName, E> {
                Ok(match place(key) {
                    Some(place) => FieldName::Known(place),
                    None => FieldName::Other { is_doubtful: key.iter().any(u8::is_ascii_control) },
                })
            }
        }
        deserializer.deserialize_bytes(KeyVisitor)
    }
}

/// Finds a name without regard to case. Two letters outside ASCII fold into ASCII (Unicode's simple case folding): the
/// long s and the Kelvin sign.
fn place(key: &[u8]) -> Option<usize> {
    if key.is_ascii() {
        return NAMES.iter().position(|name| name.as_bytes().eq_ignore_ascii_case(key));
    }
    let folded = std::str::from_utf8(key).ok()?.replace('ſ', "s").replace('\u{212a}', "k");
    NAMES.iter().position(|name| name.eq_ignore_ascii_case(&folded))
}

/// Unescapes a JSON string, with U+FFFD for each escaped half of a surrogate pair; `None` for any other value.
pub(crate) fn lossy_string(json: &str) -> Option<Cow<'_, str>> {
    let inner = json.strip_prefix('"')?.strip_suffix('"')?;
    if !has_escape(inner) {
        return Some(Cow::Borrowed(inner));
    }
    if let Ok(text) = serde_json::from_str::<String>(json) {
        return Some(Cow::Owned(text));
    }
    let bytes = serde_json::from_str::<Wtf8>(json).ok()?.0;
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        // Half a pair is three bytes in WTF-8. std reports each byte as a separate fault; the first byte is 0xED.
        if chunk.invalid().first() == Some(&0xED) {
            text.push(char::REPLACEMENT_CHARACTER);
        }
    }
    Some(Cow::Owned(text))
}

/// Whether the text of a JSON string has a backslash. Looks at many bytes at once, because most strings have none.
fn has_escape(text: &str) -> bool {
    text.as_bytes().chunks(64).any(|bytes| bytes.iter().fold(false, |found, byte| found | (*byte == b'\\')))
}

struct Wtf8(Vec<u8>);

impl<'de> de::Deserialize<'de> for Wtf8 {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct BytesVisitor;
        impl Visitor<'_> for BytesVisitor {
            type Value = Wtf8;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Wtf8, E> {
                Ok(Wtf8(bytes.to_vec()))
            }
        }
        deserializer.deserialize_bytes(BytesVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_in_any_case_and_any_escape() {
        for text in [r#"{"ACTION":"x"}"#, r#"{"act\u0069on":"x"}"#, r#"{"action":1,"Action":"x"}"#] {
            let fields = Fields::read(text).unwrap();
            assert_eq!(fields.get(Name::Action).unwrap().get(), r#""x""#, "{text}");
        }
        assert!(Fields::read("{\"me\u{17f}\u{17f}age\":1}").unwrap().get(Name::Message).is_some());
    }

    #[test]
    fn null_is_absent_and_does_not_undo_what_stood_before() {
        let fields = Fields::read(r#"{"topic":"a","topic":null,"key":null}"#).unwrap();
        assert_eq!(fields.get(Name::Topic).unwrap().get(), r#""a""#);
        assert!(fields.get(Name::Key).is_none());
        assert!(Fields::read("null").unwrap().get(Name::Topic).is_none());
    }

    #[test]
    fn other_json_is_distinguished_from_no_json() {
        for json in ["[]", "1", "true", "1e999", r#""text""#, r#""\ud800""#] {
            assert!(matches!(Fields::read(json), Err(NotAnObject::OtherJson)), "{json}");
        }
        for garbage in ["", "{", "nul", "{} {}", r#"{"a":}"#, "{'a':1}", "\u{feff}{}"] {
            assert!(matches!(Fields::read(garbage), Err(NotAnObject::NotJson(_))), "{garbage}");
        }
    }

    #[test]
    fn unknown_fields_may_hold_anything() {
        let deep = format!(r#"{{"x":{}{},"\ud800":"\udfff"}}"#, "[".repeat(30_000), "]".repeat(30_000));
        assert!(Fields::read(&deep).is_ok());
    }

    #[test]
    fn each_half_of_a_surrogate_pair_becomes_one_replacement_character() {
        assert_eq!(lossy_string(r#""\ud800\ud800\u00e9""#).unwrap(), "\u{fffd}\u{fffd}é");
    }
}
