//! Settings that are lists: written as a list in the file, and separated by commas in flags and variables. One word
//! stands for the empty list.

use super::endpoints::{Endpoint, NOT_AN_ENDPOINT};
use ipnet::IpNet;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// A list of one kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Listed<K: Kind>(Vec<K::Item>);

/// The values of the `Origin` header that are allowed; empty: any.
pub(crate) type Origins = Listed<Origin>;

/// Networks of proxies.
pub(crate) type Networks = Listed<Network>;

/// Addresses to listen on; empty: none.
pub(crate) type Endpoints = Listed<Listening>;

/// Names in the `Host` header; empty: any.
pub(crate) type Hosts = Listed<Host>;

/// What a list holds.
pub(crate) trait Kind {
    type Item: Clone + fmt::Debug + fmt::Display + Eq;
    /// The word for the empty list.
    const NOTHING: &'static str;
    /// What a list with a wrong item is told.
    const FAULT: &'static str;
    /// What an empty list is told where the word is needed.
    const EMPTY: &'static str;

    /// Whether a list of one item is written as that item.
    const ONE_IS_A_TEXT: bool = false;

    /// Reads an item.
    fn read(text: &str) -> Option<Self::Item>;
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Origin {}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Network {}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Host {}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Listening {}

impl<K: Kind> Listed<K> {
    /// The list of one item.
    pub(crate) fn only(item: K::Item) -> Self {
        Self(vec![item])
    }

    /// The items.
    pub(crate) fn list(&self) -> Vec<K::Item> {
        self.0.clone()
    }

    fn of<'a>(listed: impl Iterator<Item = &'a str>) -> Result<Self, &'static str> {
        let items: Vec<_> = listed.map(|text| K::read(text.trim())).collect::<Option<_>>().ok_or(K::FAULT)?;
        if items.is_empty() { Err(K::EMPTY) } else { Ok(Self(items)) }
    }
}

impl<K: Kind> Default for Listed<K> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<K: Kind> FromStr for Listed<K> {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.trim() == K::NOTHING { Ok(Self::default()) } else { Self::of(text.split(',')) }
    }
}

impl<K: Kind> fmt::Display for Listed<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0[..] {
            [] => f.write_str(K::NOTHING),
            items => f.write_str(&items.iter().map(K::Item::to_string).collect::<Vec<_>>().join(",")),
        }
    }
}

impl<'de, K: Kind> Deserialize<'de> for Listed<K> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match toml::Value::deserialize(deserializer)? {
            toml::Value::Array(listed) => Self::of(listed.iter().map(|item| item.as_str().unwrap_or_default())),
            toml::Value::String(text) => text.parse(),
            _ => Err(K::FAULT),
        }
        .map_err(D::Error::custom)
    }
}

impl<K: Kind> Serialize for Listed<K> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.0[..] {
            [] => serializer.serialize_str(K::NOTHING),
            [only] if K::ONE_IS_A_TEXT => serializer.collect_str(only),
            items => serializer.collect_seq(items.iter().map(K::Item::to_string)),
        }
    }
}

impl Kind for Origin {
    type Item = String;
    const NOTHING: &'static str = "any";
    const FAULT: &'static str = "not a list of origins; write each in full as a browser sends it, such as \"https://example.org\" (no wildcard, no \
         path, no usual port, names in Punycode), or \"any\"";
    const EMPTY: &'static str =
        "an empty list; write the origins that may connect, such as [\"https://example.org\"], or \"any\" for all";

    fn read(text: &str) -> Option<String> {
        is_origin(text).then(|| text.to_owned())
    }
}

impl Kind for Listening {
    type Item = Endpoint;
    const NOTHING: &'static str = "none";
    const FAULT: &'static str = NOT_AN_ENDPOINT;
    const EMPTY: &'static str = "an empty list; write the addresses to listen on, such as [\"127.0.0.1:8080\"]";
    const ONE_IS_A_TEXT: bool = true;

    fn read(text: &str) -> Option<Endpoint> {
        text.parse().ok()
    }
}

impl Kind for Network {
    type Item = IpNet;
    const NOTHING: &'static str = "none";
    const FAULT: &'static str =
        "not a list of networks; write addresses or ranges such as [\"10.0.0.0/8\"], or \"none\"";
    const EMPTY: &'static str = "an empty list; write addresses or ranges such as [\"10.0.0.0/8\"], or \"none\"";

    fn read(text: &str) -> Option<IpNet> {
        text.parse().ok().or_else(|| text.parse::<IpAddr>().map(IpNet::from).ok())
    }
}

impl Kind for Host {
    type Item = String;
    const NOTHING: &'static str = "any";
    const FAULT: &'static str =
        "not a list of names; write the names that clients use, such as [\"hub.example\"], or \"any\"";
    const EMPTY: &'static str =
        "an empty list; write the names that clients use, such as [\"hub.example\"], or \"any\"";

    fn read(text: &str) -> Option<String> {
        let is_name = !text.is_empty() && !text.contains(['/', ' ', '*', '@']);
        is_name.then(|| text.to_ascii_lowercase())
    }
}

/// Whether a browser can send this text (RFC 6454 section 6.2). Origins are compared byte by byte, so a path, a capital
/// letter, a name that is not in Punycode or the scheme's default port would never match.
fn is_origin(text: &str) -> bool {
    let (scheme, host) = text.split_once("://").unwrap_or_default();
    let is_usual = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "+-.:[]_".contains(c);
    let usual_port =
        [("http", ":80"), ("https", ":443")].iter().any(|(of, port)| scheme == *of && host.ends_with(port));
    text == "null"
        || !(scheme.is_empty() || host.is_empty() || usual_port) && (scheme.chars().chain(host.chars())).all(is_usual)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_are_listed_with_commas() {
        let origins: Origins = "https://a.example, http://localhost:3000,null".parse().unwrap();
        assert_eq!(origins.list(), ["https://a.example", "http://localhost:3000", "null"]);
        assert_eq!(origins.to_string().parse(), Ok(origins));
    }

    #[test]
    fn any_origin_is_an_empty_list() {
        assert_eq!("any".parse(), Ok(Origins::default()));
        assert_eq!(Origins::default().to_string(), "any");
    }

    #[test]
    fn what_no_browser_sends_as_origin_is_refused() {
        for text in [
            "",
            "example.org",
            "https://",
            "https://a.example/",
            "https://A.example",
            "https://a.example,",
            "https://*.example",
            "https://exämple.org",
            "https://a.example:443",
            "http://a.example:80",
            "://a",
        ] {
            assert_eq!(text.parse::<Origins>(), Err(Origin::FAULT), "{text}");
        }
    }

    #[test]
    fn networks_and_names_are_read_and_wrong_ones_refused() {
        let networks: Networks = "10.0.0.0/8, ::1".parse().unwrap();
        assert_eq!(networks.to_string(), "10.0.0.0/8,::1/128");
        assert_eq!("none".parse(), Ok(Networks::default()));
        assert_eq!("Hub.example, [::1]:80".parse::<Hosts>().unwrap().list(), ["hub.example", "[::1]:80"]);
        for text in ["", "a", "10.0.0.0/33", "10.0.0.1,"] {
            assert_eq!(text.parse::<Networks>(), Err(Network::FAULT), "{text}");
        }
        for text in ["", "https://a", "*.a", "a,"] {
            assert_eq!(text.parse::<Hosts>(), Err(Host::FAULT), "{text}");
        }
    }
}
