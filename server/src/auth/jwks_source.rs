//! Where a key set is fetched from. Fetching is not done here: this room has no network.

use crate::http_url::{HttpUrl, InvalidHttpUrl};
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// An address of public keys, and how they are taken.
#[derive(Clone)]
pub struct JwksSource {
    /// The address.
    pub url: JwksUrl,
    /// The root certificates that the login service must have its own from, as a text in PEM; `None`: those of the
    /// operating system.
    pub roots: Option<String>,
    /// When the keys are no longer accepted, in seconds since 1970-01-01 UTC; `None`: never.
    pub not_after: Option<u64>,
}

/// An `https://` address, or an `http://` one of this machine. It shows itself without its query, which can be a secret.
#[derive(Clone, PartialEq, Eq)]
pub struct JwksUrl(HttpUrl);

/// Why a text is no [`JwksUrl`]. It does not show the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidJwksUrl {
    /// It is no address.
    #[error("this is no URL, which is such as https://login.example.org/.well-known/jwks.json")]
    Malformed,
    /// Its scheme is neither.
    #[error("keys are fetched from https:// alone, or from a file")]
    Scheme,
    /// It is `http://` and of another machine.
    #[error("keys that come over http:// can be anybody's; write https://, or an address of this machine")]
    NotSecure,
    /// It has a name or a password in it.
    #[error("public keys are fetched without a name and a password; leave out what is before the @")]
    UserInfo,
    /// It has a part after a `#`.
    #[error("a URL of keys has no part after a #; leave it out")]
    Fragment,
}

impl JwksUrl {
    /// The address itself.
    pub(crate) fn http(&self) -> &HttpUrl {
        &self.0
    }
}

impl FromStr for JwksUrl {
    type Err = InvalidJwksUrl;

    fn from_str(text: &str) -> Result<Self, InvalidJwksUrl> {
        let url: HttpUrl = text.parse().map_err(|fault| match fault {
            InvalidHttpUrl::Malformed => InvalidJwksUrl::Malformed,
            InvalidHttpUrl::Scheme => InvalidJwksUrl::Scheme,
            InvalidHttpUrl::UserInfo => InvalidJwksUrl::UserInfo,
            InvalidHttpUrl::Fragment => InvalidJwksUrl::Fragment,
        })?;
        match url.is_tls() || is_here(url.host()) {
            true => Ok(Self(url)),
            false => Err(InvalidJwksUrl::NotSecure),
        }
    }
}

/// Whether a host is this machine. That its name leads here is checked when it is connected to.
fn is_here(host: &str) -> bool {
    let address = host.parse::<IpAddr>().ok();
    address.map_or(host.eq_ignore_ascii_case("localhost"), |address| address.to_canonical().is_loopback())
}

/// Without the query.
impl fmt::Display for JwksUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for JwksUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "JwksUrl({self})")
    }
}

impl fmt::Debug for JwksSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { url, roots, not_after } = self;
        f.debug_struct("JwksSource")
            .field("url", url)
            .field("has_roots", &roots.is_some())
            .field("not_after", not_after)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jwks_come_over_tls_or_from_this_machine() {
        for (text, tls, host, port) in [
            ("https://login.example.org/.well-known/jwks.json", true, "login.example.org", 443),
            ("https://[2001:db8::1]:8443/keys", true, "2001:db8::1", 8443),
            ("http://127.0.0.1:9000/keys", false, "127.0.0.1", 9000),
            ("http://[::1]/keys", false, "::1", 80),
            ("http://localhost/keys", false, "localhost", 80),
        ] {
            let url: JwksUrl = text.parse().unwrap();
            let url = url.http();
            assert_eq!((url.is_tls(), url.host(), url.port()), (tls, host, port), "{text}");
        }
        for (text, fault) in [
            ("http://login.example.org/keys", InvalidJwksUrl::NotSecure),
            ("http://10.0.0.1/keys", InvalidJwksUrl::NotSecure),
            ("http://localhost.example.org/keys", InvalidJwksUrl::NotSecure),
            ("ftp://127.0.0.1/keys", InvalidJwksUrl::Scheme),
            ("https://me:secret@login.example.org/keys", InvalidJwksUrl::UserInfo),
            ("http://localhost@login.example.org/keys", InvalidJwksUrl::UserInfo),
            ("https://login.example.org/#keys", InvalidJwksUrl::Fragment),
            ("https:///keys", InvalidJwksUrl::Malformed),
            ("https://login example/keys", InvalidJwksUrl::Malformed),
            ("://", InvalidJwksUrl::Malformed),
        ] {
            assert_eq!(text.parse::<JwksUrl>().unwrap_err(), fault, "{text}");
        }
    }

    #[test]
    fn jwks_url_shows_no_query() {
        let url: JwksUrl = "https://login.example.org/keys?secret=canary".parse().unwrap();
        assert_eq!(url.http().path_and_query(), "/keys?secret=canary");
        assert_eq!(format!("{url} {url:?}").matches("canary").count(), 0);
        assert_eq!(url.to_string(), "https://login.example.org/keys");
    }
}
