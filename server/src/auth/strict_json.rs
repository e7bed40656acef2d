//! The members of a JSON object, where a name that comes twice is an error: two readers could each take another one.

use serde::de::{Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use std::collections::BTreeMap;
use std::fmt;

/// The members of one object by name. The values are text that is not read yet.
#[derive(Debug, Default)]
pub(super) struct Members<'a>(BTreeMap<String, &'a RawValue>);

impl<'a> Members<'a> {
    /// Reads an object. `None` if the text is none, or a name comes twice.
    pub(super) fn read(text: &'a str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }

    /// The text of a member.
    pub(super) fn raw(&self, name: &str) -> Option<&'a RawValue> {
        self.0.get(name).copied()
    }

    /// A member of a certain type; `Ok(None)` if there is none of this name.
    ///
    /// # Errors
    /// When it has another type. The error is not that of the JSON reader, which could show the value.
    pub(super) fn get<T: Deserialize<'a>>(&self, name: &str) -> Result<Option<T>, WrongType> {
        self.raw(name).map(|value| serde_json::from_str(value.get()).map_err(|_| WrongType)).transpose()
    }
}

/// A member has a type that it must not have.
#[derive(Clone, Copy, Debug)]
pub(super) struct WrongType;

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Once)
    }
}

struct Once;

impl<'de> Visitor<'de> for Once {
    type Value = Members<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members<'de>, A::Error> {
        let mut members = BTreeMap::new();
        while let Some((name, value)) = map.next_entry::<String, &RawValue>()? {
            if members.insert(name, value).is_some() {
                return Err(A::Error::custom("a name comes twice"));
            }
        }
        Ok(Members(members))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_comes_twice_is_refused_however_it_is_escaped() {
        assert!(Members::read(r#"{"a":1,"b":2}"#).is_some());
        assert!(Members::read(r#"{"a":1,"a":1}"#).is_none());
        assert!(Members::read(r#"{"a":1,"\u0061":1}"#).is_none());
    }

    #[test]
    fn only_an_object_has_members() {
        for text in ["", "[]", "7", "null", "\"a\"", "{", "{} {}", "{\"a\":01}", "{\"a\":1,}"] {
            assert!(Members::read(text).is_none(), "{text}");
        }
    }

    #[test]
    fn a_member_of_another_type_is_wrong_and_a_missing_one_is_none() {
        let members = Members::read(r#"{"exp":"soon","sub":"ada"}"#).unwrap();
        assert!(members.get::<u64>("exp").is_err());
        assert_eq!(members.get::<String>("sub").unwrap(), Some("ada".to_owned()));
        assert_eq!(members.get::<String>("iss").unwrap(), None);
    }
}
