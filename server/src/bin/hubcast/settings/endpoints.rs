//! The addresses that the server listens on.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;
use std::str::FromStr;

/// A host and a port to listen on, or the path of a Unix socket, `unix:/run/hubcast.sock`. A host name is resolved only
/// when the listener is bound.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Endpoint(String);

impl Endpoint {
    /// The text for socket functions.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// The path, if it is a Unix socket.
    pub(crate) fn path(&self) -> Option<&Path> {
        self.0.strip_prefix(UNIX).map(Path::new)
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
        if text.strip_prefix(UNIX).is_some_and(|path| path.starts_with('/')) {
            return Ok(Self(text.to_owned()));
        }
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

/// What a text is told that is no endpoint.
pub(super) const NOT_AN_ENDPOINT: &str = "not an address; write a host and a port, such as \"127.0.0.1:8080\" or \
                                          \"[::1]:8080\", or the path of a socket, such as \"unix:/run/hubcast.sock\"";

/// The begin of the address of a Unix socket.
const UNIX: &str = "unix:";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_names_and_bracketed_addresses_can_be_listened_on() {
        for text in ["127.0.0.1:8080", "0.0.0.0:0", "localhost:80", "[::1]:8080", "unix:/run/a.sock"] {
            assert_eq!(text.parse::<Endpoint>().map(|endpoint| endpoint.to_string()), Ok(text.to_owned()));
        }
    }

    #[test]
    fn blanks_around_an_endpoint_are_dropped() {
        assert_eq!(" 127.0.0.1:8080\n".parse(), Ok(Endpoint::default()));
    }

    #[test]
    fn an_endpoint_without_host_or_port_is_refused() {
        for text in [
            "",
            "8080",
            ":8080",
            "localhost",
            "localhost:",
            "localhost:99999",
            "::1:80",
            "[x]:80",
            "ws://a:80",
            "unix:",
            "unix:a",
        ] {
            assert_eq!(text.parse::<Endpoint>(), Err(NOT_AN_ENDPOINT), "{text}");
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
