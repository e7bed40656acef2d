//! Settings that name a folder or a file.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use std::fmt;
use std::marker::PhantomData;
use std::path::PathBuf;
use std::str::FromStr;

/// A path, or the word `none` in capital or small letters. A file or folder with the name `none` is written `./none`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place<K: PlaceKind>(Option<String>, PhantomData<K>);

/// The folder that keeps histories and idempotency keys over a restart.
pub(crate) type StateDir = Place<Folder>;

/// A file of PEM text.
pub(crate) type PemFile = Place<Pem>;

/// What a path leads to.
pub(crate) trait PlaceKind {
    /// What a value is told that is no path.
    const FAULT: &'static str;
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Folder {}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Pem {}

impl PlaceKind for Folder {
    const FAULT: &'static str = NOT_A_FOLDER;
}

impl PlaceKind for Pem {
    const FAULT: &'static str = "not a file; write a file of PEM text, such as \"/etc/hubcast/key.pem\", or \"none\"";
}

impl<K: PlaceKind> Place<K> {
    /// The path for the library's configuration.
    pub(crate) fn path(&self) -> Option<PathBuf> {
        self.0.as_ref().map(PathBuf::from)
    }
}

impl<K: PlaceKind> Default for Place<K> {
    fn default() -> Self {
        Self(None, PhantomData)
    }
}

impl<K: PlaceKind> FromStr for Place<K> {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.trim() {
            "" => Err(K::FAULT),
            none if none.eq_ignore_ascii_case(NONE) => Ok(Self::default()),
            home if home == "~" || home.starts_with("~/") => Err(NOT_EXPANDED),
            path => Ok(Self(Some(path.to_owned()), PhantomData)),
        }
    }
}

impl<K: PlaceKind> fmt::Display for Place<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_deref().unwrap_or(NONE))
    }
}

impl<'de, K: PlaceKind> Deserialize<'de> for Place<K> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // Any other value would be the name of a folder as a text: `state_dir = false` would make a folder `false`.
        match toml::Value::deserialize(deserializer)? {
            toml::Value::String(text) => text.parse(),
            _ => Err(K::FAULT),
        }
        .map_err(D::Error::custom)
    }
}

impl<K: PlaceKind> Serialize for Place<K> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

const NONE: &str = "none";
const NOT_A_FOLDER: &str = "not a folder; write a folder, such as \"/var/lib/hubcast\", or \"none\"";
const NOT_EXPANDED: &str = "\"~\" does not stand for a home folder here; write the whole path";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_named_and_none_is_no_folder() {
        for (text, path) in [
            ("none", None),
            ("NONE", None),
            (" None ", None),
            ("./none", Some("./none")),
            ("/var/a b", Some("/var/a b")),
            (" /var/lib/hubcast\n", Some("/var/lib/hubcast")),
            ("a~/b", Some("a~/b")),
        ] {
            let folder: StateDir = text.parse().unwrap();
            assert_eq!(folder.path(), path.map(PathBuf::from), "{text}");
            assert_eq!(folder.to_string().parse(), Ok(folder));
        }
    }

    #[test]
    fn an_empty_text_and_a_home_folder_in_short_are_refused() {
        for (text, fault) in
            [("", NOT_A_FOLDER), (" ", NOT_A_FOLDER), ("~", NOT_EXPANDED), (" ~/hubcast", NOT_EXPANDED)]
        {
            assert_eq!(text.parse::<StateDir>(), Err(fault), "{text}");
        }
    }

    #[test]
    fn only_a_text_names_a_folder_in_the_file() {
        let read =
            |value: &str| format!("a = {value}").parse::<toml::Table>().unwrap()["a"].clone().try_into::<StateDir>();
        for value in ["false", "true", "7", "1.5", "[]", "{}"] {
            assert_eq!(read(value).unwrap_err().message(), NOT_A_FOLDER, "{value}");
        }
        assert_eq!(read("\"a\"").unwrap().path(), Some(PathBuf::from("a")));
    }
}
