//! The setting for the state folder, which keeps histories and idempotency keys over a restart.

use super::units::from_text;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// A folder, or the word `none`. A folder with the name `none` is written `./none`.
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
        // An empty variable counts as not set.
        Ok(Self(Some(text).filter(|text| !["", NONE].contains(text)).map(str::to_owned)))
    }
}

impl fmt::Display for StateDir {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_deref().unwrap_or(NONE))
    }
}

impl<'de> Deserialize<'de> for StateDir {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        from_text(deserializer)
    }
}

impl Serialize for StateDir {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

const NONE: &str = "none";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_named_and_none_is_no_folder() {
        for (text, path) in [("none", None), ("", None), ("./none", Some("./none")), ("/var/a b", Some("/var/a b"))] {
            let folder: StateDir = text.parse().unwrap();
            assert_eq!(folder.path(), path.map(PathBuf::from), "{text}");
            assert_eq!(folder.to_string().parse(), Ok(folder));
        }
    }
}
