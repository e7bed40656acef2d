//! Reaching a server through an HTTP proxy, by `CONNECT` (RFC 9110 section 9.3.6).

use super::address::{self, Address};
use crate::error::ConnectError;
use crate::machine::Disconnection;
use std::fmt;
use std::net::IpAddr;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::http::HeaderValue;

/// Which proxy a client uses.
#[derive(Clone, Debug, Default)]
pub(crate) enum ProxyChoice {
    /// What the environment says.
    #[default]
    Environment,
    None,
    Always(Proxy),
}

/// The address of an HTTP proxy. Its password is not printed.
#[derive(Clone)]
pub(crate) struct Proxy {
    host: String,
    port: u16,
    authorization: Option<HeaderValue>,
}

impl ProxyChoice {
    /// The proxy for a server, if one is to be used. `variable` reads the environment.
    ///
    /// # Errors
    /// When the environment names something that is not an HTTP proxy.
    pub(super) fn find(
        &self,
        server: &Address,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Option<Proxy>, String> {
        match self {
            Self::None => Ok(None),
            Self::Always(proxy) => Ok(Some(proxy.clone())),
            Self::Environment => of_environment(server, variable),
        }
    }
}

impl Proxy {
    /// Checks the address of a proxy, such as `http://user:password@proxy.example:3128`.
    pub(crate) fn new(url: &str) -> Result<Self, ConnectError> {
        Self::read(url)
            .map_err(|reason| ConnectError::InvalidProxy { url: address::shown(url), reason: reason.to_owned() })
    }

    fn read(url: &str) -> Result<Self, &'static str> {
        let full = if url.contains("://") { url.to_owned() } else { format!("http://{url}") };
        let shown = address::without_user(&full);
        let authority = match shown.split_once("://") {
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("http") => rest.trim_end_matches('/'),
            _ => return Err("only proxies with http:// are supported"),
        };
        let authorization = address::user_of(&full).map(address::basic).transpose();
        let authorization = authorization?;
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) if !port.contains(']') => (host, port.parse().map_err(|_| "its port is not a number")?),
            _ => (authority, 80),
        };
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        if host.is_empty() {
            return Err("it names no host");
        }
        Ok(Self { host, port, authorization })
    }

    /// Connects to a server through this proxy.
    pub(super) async fn connect(&self, server: &Address) -> Result<TcpStream, Disconnection> {
        let lost = |reason: String| Disconnection::Lost { reason, retry_after: None };
        let failed = |error: std::io::Error| lost(format!("the proxy {self:?}: {error}"));
        let mut stream = TcpStream::connect((self.host.as_str(), self.port)).await.map_err(failed)?;
        stream.write_all(&self.request(server)).await.map_err(failed)?;
        let status = read_status(&mut stream).await.map_err(failed)?;
        match status {
            200..=299 => Ok(stream),
            401 | 403 | 407 => {
                Err(Disconnection::Rejected { reason: format!("the proxy {self:?} refused with {status}") })
            }
            _ => Err(lost(format!("the proxy {self:?} answered {status}"))),
        }
    }

    fn request(&self, server: &Address) -> Vec<u8> {
        let authority = server.authority();
        let mut request = format!("CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n").into_bytes();
        if let Some(authorization) = &self.authorization {
            request.extend_from_slice(b"Proxy-Authorization: ");
            request.extend_from_slice(authorization.as_bytes());
            request.extend_from_slice(b"\r\n");
        }
        request.extend_from_slice(b"\r\n");
        request
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

/// Reads the head of the proxy's answer, byte by byte, so that nothing of what follows is taken. Returns its status.
async fn read_status(stream: &mut TcpStream) -> std::io::Result<u16> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        if head.len() == MAX_HEAD {
            return Err(std::io::Error::other("its answer is too long"));
        }
        head.push(stream.read_u8().await?);
    }
    let text = String::from_utf8_lossy(&head);
    let status = text.strip_prefix("HTTP/1.").and_then(|rest| rest.get(2..5)).and_then(|code| code.parse().ok());
    status.ok_or_else(|| std::io::Error::other("its answer is not HTTP"))
}

/// The proxy that the environment names, by the rules of curl: `https_proxy` for `wss://` and `http_proxy` for `ws://`,
/// else `all_proxy`, in lower or upper case. `HTTP_PROXY` in upper case is ignored, because a CGI program gets it from
/// its clients. A server on this machine, and one that `no_proxy` names, is reached directly.
fn of_environment(server: &Address, variable: impl Fn(&str) -> Option<String>) -> Result<Option<Proxy>, String> {
    let either = |lower: &str| variable(lower).or_else(|| variable(&lower.to_uppercase()));
    let own = if server.is_secure() { either("https_proxy") } else { variable("http_proxy") };
    let Some(url) = own.or_else(|| either("all_proxy")).filter(|url| !url.is_empty()) else { return Ok(None) };
    if is_local(server.host()) || either("no_proxy").is_some_and(|list| is_excepted(server, &list)) {
        return Ok(None);
    }
    Proxy::read(&url).map(Some).map_err(|reason| format!("the proxy of the environment: {reason}"))
}

fn is_local(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost") || host.parse().is_ok_and(|address: IpAddr| address.is_loopback())
}

/// Whether the list of `no_proxy` names a server: by `*`, its name or address, a domain that it is in, and in each case
/// with its port or without one.
fn is_excepted(server: &Address, list: &str) -> bool {
    list.split(',').map(str::trim).filter(|entry| !entry.is_empty()).any(|entry| {
        let (name, port) = match entry.rsplit_once(':') {
            Some((name, port)) if !name.contains(':') || name.ends_with(']') => (name, port.parse().ok()),
            _ => (entry, None),
        };
        let name = name.trim_start_matches('[').trim_end_matches(']').trim_start_matches("*.").trim_start_matches('.');
        let host = server.host().to_ascii_lowercase();
        let is_it = name == "*"
            || host.strip_suffix(&name.to_ascii_lowercase()).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'));
        is_it && port.is_none_or(|port: u16| port == server.port())
    })
}

/// The longest head of a proxy's answer, in bytes.
const MAX_HEAD: usize = 8 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn found(url: &str, environment: &[(&str, &str)]) -> Option<String> {
        let variable =
            |name: &str| environment.iter().find(|(of, _)| *of == name).map(|(_, value)| (*value).to_owned());
        let server = Address::new(url).unwrap();
        ProxyChoice::Environment.find(&server, variable).unwrap().map(|proxy| format!("{proxy:?}"))
    }

    #[test]
    fn the_environment_names_the_proxy_and_its_exceptions() {
        let proxy = ("http_proxy", "http://u:p@proxy:3128/");
        assert_eq!(found("ws://example.org/", &[proxy]).as_deref(), Some("proxy:3128"));
        assert_eq!(found("ws://example.org/", &[("HTTP_PROXY", "http://evil")]), None);
        assert_eq!(found("ws://example.org/", &[("ALL_PROXY", "other")]).as_deref(), Some("other:80"));
        assert_eq!(found("ws://127.0.0.1:8080/", &[proxy]), None);
        for list in ["*", "example.org", ".org", "a.b, example.org:80", "*.org", "EXAMPLE.ORG"] {
            assert_eq!(found("ws://example.org/", &[proxy, ("no_proxy", list)]), None, "{list}");
        }
        for list in ["", "ample.org", "example.org:81", "www.example.org"] {
            assert!(found("ws://example.org/", &[proxy, ("NO_PROXY", list)]).is_some(), "{list}");
        }
        #[cfg(feature = "tls")]
        {
            assert_eq!(found("wss://example.org/", &[proxy]), None);
            assert_eq!(found("wss://example.org/", &[("HTTPS_PROXY", "p:1")]).as_deref(), Some("p:1"));
        }
    }

    #[test]
    fn what_is_no_proxy_is_refused_without_its_password() {
        for url in ["socks5://u:secret@a", "http://u:secret@:1", "http://u:secret@a:b", "http://u:secr%et@a"] {
            let refused = Proxy::new(url).unwrap_err().to_string();
            assert!(!refused.contains("secr"), "{refused}");
        }
    }
}
