//! The address of an HTTP service that the server asks by itself.

pub(crate) mod reach;

use hyper::Uri;
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// An `http://` or `https://` address without a name and password. It shows itself without its query, which can be a
/// secret.
#[derive(Clone, PartialEq, Eq)]
pub struct HttpUrl(Uri);

/// Why a text is no [`HttpUrl`]. It does not show the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidHttpUrl {
    /// It is no address.
    #[error("this is no URL, which is such as https://example.org/path")]
    Malformed,
    /// Its scheme is neither.
    #[error("a URL begins with https:// or http://")]
    Scheme,
    /// It has a name or a password in it.
    #[error("a URL has no name and no password; leave out what is before the @")]
    UserInfo,
    /// It has a part after a `#`.
    #[error("a URL that is asked has no part after a #; leave it out")]
    Fragment,
}

impl HttpUrl {
    /// Whether it is reached over TLS.
    pub(crate) fn is_tls(&self) -> bool {
        self.0.scheme_str() == Some(HTTPS)
    }

    /// The name or address of the host, an IPv6 address without brackets.
    pub(crate) fn host(&self) -> &str {
        let host = self.0.host().unwrap_or_default();
        host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host)
    }

    /// Whether its host may be told what happens here. Of a host with a name, only the address decides, when it is
    /// connected to. `public_only`: only addresses of the public internet may be told.
    pub fn may_be_told(&self, public_only: bool) -> bool {
        self.host().parse().map_or(true, |address: IpAddr| reach::may_be_told(address, public_only))
    }

    /// The port.
    pub(crate) fn port(&self) -> u16 {
        self.0.port_u16().unwrap_or(if self.is_tls() { 443 } else { 80 })
    }

    /// The host and port as they were written, for the header `Host`.
    pub(crate) fn authority(&self) -> &str {
        self.0.authority().map_or("", |authority| authority.as_str())
    }

    /// What is asked for: the path and the query.
    pub(crate) fn path_and_query(&self) -> &str {
        self.0.path_and_query().map_or("/", |path| path.as_str())
    }
}

impl FromStr for HttpUrl {
    type Err = InvalidHttpUrl;

    fn from_str(text: &str) -> Result<Self, InvalidHttpUrl> {
        if text.contains('#') {
            return Err(InvalidHttpUrl::Fragment);
        }
        let uri: Uri = text.parse().map_err(|_| InvalidHttpUrl::Malformed)?;
        if uri.host().is_none_or(str::is_empty) {
            return Err(InvalidHttpUrl::Malformed);
        }
        if uri.authority().is_some_and(|authority| authority.as_str().contains('@')) {
            return Err(InvalidHttpUrl::UserInfo);
        }
        match uri.scheme_str() {
            Some(HTTPS | "http") => Ok(Self(uri)),
            _ => Err(InvalidHttpUrl::Scheme),
        }
    }
}

/// Without the query.
impl fmt::Display for HttpUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}{}", self.0.scheme_str().unwrap_or_default(), self.authority(), self.0.path())
    }
}

impl fmt::Debug for HttpUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HttpUrl({self})")
    }
}

const HTTPS: &str = "https";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_read_in_its_parts() {
        for (text, tls, host, port, path) in [
            ("https://hooks.example.org/a/b?c=d", true, "hooks.example.org", 443, "/a/b?c=d"),
            ("https://[2001:db8::1]:8443", true, "2001:db8::1", 8443, "/"),
            ("http://127.0.0.1:9000/hook", false, "127.0.0.1", 9000, "/hook"),
            ("http://localhost", false, "localhost", 80, "/"),
        ] {
            let url: HttpUrl = text.parse().unwrap();
            let parts = (url.is_tls(), url.host(), url.port(), url.path_and_query());
            assert_eq!(parts, (tls, host, port, path), "{text}");
        }
    }

    #[test]
    fn what_is_no_address_is_refused_and_a_query_is_not_shown() {
        for (text, fault) in [
            ("ftp://example.org/", InvalidHttpUrl::Scheme),
            ("example.org", InvalidHttpUrl::Scheme),
            ("https://me:canary@example.org/", InvalidHttpUrl::UserInfo),
            ("https://example.org/#a", InvalidHttpUrl::Fragment),
            ("https:///path", InvalidHttpUrl::Malformed),
            ("https://a b/", InvalidHttpUrl::Malformed),
            ("", InvalidHttpUrl::Malformed),
        ] {
            assert_eq!(text.parse::<HttpUrl>().unwrap_err(), fault, "{text}");
        }
        let url: HttpUrl = "https://example.org/hook?secret=canary".parse().unwrap();
        assert_eq!((url.to_string(), format!("{url:?}")), {
            ("https://example.org/hook".to_owned(), "HttpUrl(https://example.org/hook)".to_owned())
        });
    }
}
