//! Reaching a server through an HTTP proxy, by `CONNECT` (RFC 9110 section 9.3.6).

mod environment;

use super::address::{self, Address};
use crate::error::ConnectError;
use crate::machine::Disconnection;
use std::fmt;
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
            Self::Environment => environment::proxy(server, variable),
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
        let (host, port) = match address::port_of(authority) {
            Some(port) => {
                let number = port.parse().map_err(|_| "its port is not a number up to 65535")?;
                (&authority[..authority.len() - port.len() - 1], number)
            }
            None => (authority.trim_end_matches(':'), 80),
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
            401 | 403 | 407 => Err(Disconnection::rejected(format!("the proxy {self:?} refused with {status}"))),
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

/// The longest head of a proxy's answer, in bytes.
const MAX_HEAD: usize = 8 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_proxy_is_refused_without_its_password() {
        for url in
            ["socks5://u:secret@a", "http://u:secret@:1", "http://u:secret@a:b", "http://u:secr%et@a", "u:secr/et@a"]
        {
            let refused = Proxy::new(url).unwrap_err().to_string();
            assert!(!refused.contains("secr"), "{refused}");
        }
    }
}
