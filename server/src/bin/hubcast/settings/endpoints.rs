//! The address that the server listens on, and the origins of web pages that may connect.

use super::units::from_text;
use ipnet::IpNet;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

/// A host and a port to listen on. A host name is resolved only when the listener is bound.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Endpoint(String);

/// The values of the `Origin` header that are allowed, or the word `any`, for which the list is empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Origins(Vec<String>);

/// Networks of proxies, or the word `none`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Networks(Vec<IpNet>);

/// Names in the `Host` header, or the word `any`, for which the list is empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Hosts(Vec<String>);

impl Networks {
    /// The networks.
    pub(crate) fn list(&self) -> Vec<IpNet> {
        self.0.clone()
    }

    fn of<'a>(listed: impl Iterator<Item = &'a str>) -> Result<Self, &'static str> {
        let read = |text: &str| {
            let text = text.trim();
            text.parse().or_else(|_| text.parse::<IpAddr>().map(IpNet::from)).map_err(|_| NOT_NETWORKS)
        };
        listed.map(read).collect::<Result<_, _>>().map(Self)
    }
}

impl Hosts {
    /// The names; empty: any.
    pub(crate) fn list(&self) -> Vec<String> {
        self.0.clone()
    }

    fn of<'a>(listed: impl Iterator<Item = &'a str>) -> Result<Self, &'static str> {
        let names: Vec<_> = listed.map(|name| name.trim().to_ascii_lowercase()).collect();
        let is_name = |name: &String| !name.is_empty() && !name.contains(['/', ' ', '*', '@']);
        if !names.is_empty() && names.iter().all(is_name) { Ok(Self(names)) } else { Err(NOT_HOSTS) }
    }
}

impl FromStr for Networks {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.trim() == "none" { Ok(Self::default()) } else { Self::of(text.split(',')) }
    }
}

impl fmt::Display for Networks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0[..] {
            [] => f.write_str("none"),
            networks => f.write_str(&networks.iter().map(IpNet::to_string).collect::<Vec<_>>().join(",")),
        }
    }
}

impl FromStr for Hosts {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.trim() == ANY { Ok(Self::default()) } else { Self::of(text.split(',')) }
    }
}

impl fmt::Display for Hosts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() { f.write_str(ANY) } else { f.write_str(&self.0.join(",")) }
    }
}

/// A list of the file, or the text that flags and variables have.
#[derive(Deserialize)]
#[serde(untagged)]
enum ListOrText {
    List(Vec<String>),
    Text(String),
}

impl<'de> Deserialize<'de> for Networks {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let read = match ListOrText::deserialize(deserializer).map_err(|_| D::Error::custom(NOT_NETWORKS))? {
            ListOrText::List(list) => Self::of(list.iter().map(String::as_str)),
            ListOrText::Text(text) => text.parse(),
        };
        read.map_err(D::Error::custom)
    }
}

impl Serialize for Networks {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Hosts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let read = match ListOrText::deserialize(deserializer).map_err(|_| D::Error::custom(NOT_HOSTS))? {
            ListOrText::List(list) => Self::of(list.iter().map(String::as_str)),
            ListOrText::Text(text) => text.parse(),
        };
        read.map_err(D::Error::custom)
    }
}

impl Serialize for Hosts {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

const NOT_NETWORKS: &str = "not a list of networks; write addresses or ranges such as [\"10.0.0.0/8\"], or \"none\"";
const NOT_HOSTS: &str = "not a list of names; write the names that clients use, such as [\"hub.example\"], or \"any\"";

impl Endpoint {
    /// The text for socket functions.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for Endpoint {
    /// This machine only. An operator must choose to be reachable from the network.
    fn default() -> Self {
        Self("127.0.0.1:8080".to_owned())
    }
}

impl FromStr for Endpoint {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim();
        let (host, port) = text.rsplit_once(':').ok_or(NOT_AN_ENDPOINT)?;
        let bracketed = host.starts_with('[') && host.ends_with(']');
        let named = !host.is_empty() && !host.contains([':', '/', '[', ']', ' ']);
        if port.parse::<u16>().is_err() || !(named || bracketed && text.parse::<SocketAddr>().is_ok()) {
            return Err(NOT_AN_ENDPOINT);
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Origins {
    /// The list for the library's configuration, which allows all origins where it is empty.
    pub(crate) fn list(&self) -> Vec<String> {
        self.0.clone()
    }

    fn of<'a>(listed: impl Iterator<Item = &'a str>) -> Result<Self, &'static str> {
        let listed: Vec<String> = listed.map(|origin| origin.trim().to_owned()).collect();
        if listed.is_empty() {
            return Err(NO_ORIGIN);
        }
        if listed.iter().all(|origin| is_origin(origin)) { Ok(Self(listed)) } else { Err(NOT_AN_ORIGIN) }
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

impl FromStr for Origins {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.trim() == ANY { Ok(Self::default()) } else { Self::of(text.split(',')) }
    }
}

impl fmt::Display for Origins {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() { f.write_str(ANY) } else { f.write_str(&self.0.join(",")) }
    }
}

impl<'de> Deserialize<'de> for Endpoint {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        from_text(deserializer)
    }
}

impl Serialize for Endpoint {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Origins {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match toml::Value::deserialize(deserializer)? {
            toml::Value::Array(listed) => Self::of(listed.iter().map(|origin| origin.as_str().unwrap_or_default())),
            toml::Value::String(text) => text.parse(),
            _ => Err(NOT_AN_ORIGIN),
        }
        .map_err(D::Error::custom)
    }
}

impl Serialize for Origins {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.0.is_empty() { serializer.serialize_str(ANY) } else { serializer.collect_seq(&self.0) }
    }
}

/// The address at which a client on this machine reaches a server that listens on `bound`.
///
/// A server that listens on all addresses is reached by the loopback address.
pub(crate) fn reachable(bound: SocketAddr) -> SocketAddr {
    let ip = match bound.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, bound.port())
}

const ANY: &str = "any";
const NOT_AN_ENDPOINT: &str = "not an address; write a host and a port, such as \"127.0.0.1:8080\" or \"[::1]:8080\"";
const NOT_AN_ORIGIN: &str = "not a list of origins; write each in full as a browser sends it, such as \"https://example.org\" (no wildcard, no \
     path, no usual port, names in Punycode), or \"any\"";
const NO_ORIGIN: &str =
    "an empty list; write the origins that may connect, such as [\"https://example.org\"], or \"any\" for all";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_names_and_bracketed_addresses_can_be_listened_on() {
        for text in ["127.0.0.1:8080", "0.0.0.0:0", "localhost:80", "[::1]:8080"] {
            assert_eq!(text.parse::<Endpoint>().map(|endpoint| endpoint.to_string()), Ok(text.to_owned()));
        }
    }

    #[test]
    fn blanks_around_an_endpoint_are_dropped() {
        assert_eq!(" 127.0.0.1:8080\n".parse(), Ok(Endpoint::default()));
    }

    #[test]
    fn an_endpoint_without_host_or_port_is_refused() {
        for text in ["", "8080", ":8080", "localhost", "localhost:", "localhost:99999", "::1:80", "[x]:80", "ws://a:80"]
        {
            assert_eq!(text.parse::<Endpoint>(), Err(NOT_AN_ENDPOINT), "{text}");
        }
    }

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
            assert_eq!(text.parse::<Origins>(), Err(NOT_AN_ORIGIN), "{text}");
        }
    }

    #[test]
    fn a_server_that_listens_everywhere_is_reached_on_this_machine() {
        let cases = [("0.0.0.0:80", "127.0.0.1:80"), ("[::]:80", "[::1]:80"), ("192.0.2.1:80", "192.0.2.1:80")];
        for (bound, reached) in cases {
            assert_eq!(reachable(bound.parse().unwrap()).to_string(), reached);
        }
    }
}
