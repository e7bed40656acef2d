//! The setting for the state folder, which keeps histories and idempotency keys over a restart.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// A folder, or the word `none` in capital or small letters. A folder with the name `none` is written `./none`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct StateDir(Option<String>);

impl StateDir {
    /// The folder for the library's configuration.
    pub(crate) fn path(&self) -> Option<PathBuf> {
        self.0.as_ref().map(PathBuf::from)
    }
}

impl FromStr for StateDir {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.trim() {
            "" => Err(NOT_A_FOLDER),
            none if none.eq_ignore_ascii_case(NONE) => Ok(Self(None)),
            home if home == "~" || home.starts_with("~/") => Err(NOT_EXPANDED),
            folder => Ok(Self(Some(folder.to_owned()))),
        }
    }
}

impl fmt::Display for StateDir {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_deref().unwrap_or(NONE))
    }
}

impl<'de> Deserialize<'de> for StateDir {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // Any other value would be the name of a folder as a text: `state_dir = false` would make a folder `false`.
        match toml::Value::deserialize(deserializer)? {
            toml::Value::String(text) => text.parse(),
            _ => Err(NOT_A_FOLDER),
        }
        .map_err(D::Error::custom)
    }
}

impl Serialize for StateDir {
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
