//! The address of a server, as the program writes it.

use crate::error::ConnectError;
use data_encoding::BASE64;
use std::fmt;
use tokio_tungstenite::tungstenite::http::{HeaderValue, Uri};

/// A checked address, such as `wss://ada:secret@example.org/socket`. Its password is not printed.
#[derive(Clone)]
pub(crate) struct Address {
    /// The address without the user and password.
    uri: Uri,
    is_secure: bool,
    host: String,
    port: u16,
    /// The user and password of the address, as the value of an `Authorization` header (RFC 7617).
    authorization: Option<HeaderValue>,
}

impl Address {
    /// Checks an address.
    pub(crate) fn new(url: &str) -> Result<Self, ConnectError> {
        let shown = without_user(url);
        let invalid = |reason: &str| ConnectError::InvalidUrl { url: shown.clone(), reason: reason.to_owned() };
        let (scheme, rest) = shown.split_once("://").ok_or_else(|| invalid("it begins with ws:// or wss://"))?;
        let is_secure = match scheme.to_ascii_lowercase().as_str() {
            "ws" => false,
            "wss" => true,
            "http" => return Err(invalid("write ws:// in place of http://")),
            "https" => return Err(invalid("write wss:// in place of https://")),
            _ => return Err(invalid("it begins with ws:// or wss://")),
        };
        if is_secure && !cfg!(feature = "tls") {
            return Err(invalid("this program was built without TLS: the crate's feature `tls` is off"));
        }
        let rest = rest.split_once('#').map_or(rest, |(before, _)| before);
        if rest.is_empty() || rest.starts_with(['/', '?', ':']) {
            return Err(invalid("it names no host"));
        }
        let uri: Uri = format!("{}://{rest}", if is_secure { "wss" } else { "ws" })
            .parse()
            .map_err(|error| invalid(&format!("{error}")))?;
        let host = uri.host().map(|host| host.trim_start_matches('[').trim_end_matches(']').to_owned());
        let host = host.filter(|host| !host.is_empty()).ok_or_else(|| invalid("it names no host"))?;
        let port = uri.port_u16().unwrap_or(if is_secure { 443 } else { 80 });
        let authorization =
            user_of(url).map(basic).transpose().map_err(|()| invalid("its user or password is not percent-encoded"))?;
        Ok(Self { uri, is_secure, host, port, authorization })
    }

    /// The address for the handshake, without the user and password.
    pub(super) fn uri(&self) -> &Uri {
        &self.uri
    }

    pub(crate) fn is_secure(&self) -> bool {
        self.is_secure
    }

    /// The name or IP address of the host; an IPv6 address has no brackets.
    pub(super) fn host(&self) -> &str {
        &self.host
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    pub(super) fn authorization(&self) -> Option<&HeaderValue> {
        self.authorization.as_ref()
    }

    /// Host and port, as an HTTP request writes them.
    pub(super) fn authority(&self) -> String {
        match self.host.contains(':') {
            true => format!("[{}]:{}", self.host, self.port),
            false => format!("{}:{}", self.host, self.port),
        }
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.uri, f)
    }
}

/// The value of an `Authorization` or `Proxy-Authorization` header for `user:password` (RFC 7617 section 2), which may
/// be percent-encoded. It is marked as sensitive.
pub(super) fn basic(user: &str) -> Result<HeaderValue, ()> {
    let (name, password) = user.split_once(':').unwrap_or((user, ""));
    let credentials = [percent_decoded(name)?, b":".to_vec(), percent_decoded(password)?].concat();
    let mut value = HeaderValue::try_from(format!("Basic {}", BASE64.encode(&credentials))).map_err(|_| ())?;
    value.set_sensitive(true);
    Ok(value)
}

/// The part `user:password` of an address.
pub(super) fn user_of(url: &str) -> Option<&str> {
    Some(authority_of(url)?.rsplit_once('@')?.0)
}

/// An address without its part `user:password@`.
pub(crate) fn without_user(url: &str) -> String {
    match (url.split_once("://"), user_of(url)) {
        (Some((scheme, rest)), Some(user)) => format!("{scheme}://{}", &rest[user.len() + 1..]),
        _ => url.to_owned(),
    }
}

fn authority_of(url: &str) -> Option<&str> {
    let (_, rest) = url.split_once("://")?;
    Some(rest.split_once(['/', '?', '#']).map_or(rest, |(authority, _)| authority))
}

fn percent_decoded(text: &str) -> Result<Vec<u8>, ()> {
    let mut parts = text.split('%');
    let mut decoded = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        let digits = part.get(..2).ok_or(())?;
        decoded.push(u8::from_str_radix(digits, 16).map_err(|_| ())?);
        decoded.extend_from_slice(&part.as_bytes()[2..]);
    }
    Ok(decoded)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scheme_may_have_any_case_and_a_port_may_be_left_out() {
        let address = Address::new("WS://Example.org?x=1").unwrap();
        assert_eq!((address.host(), address.port(), address.is_secure()), ("Example.org", 80, false));
        let address = Address::new("ws://[::1]:8080/socket#part").unwrap();
        assert_eq!((address.host(), address.authority().as_str()), ("::1", "[::1]:8080"));
        assert_eq!(address.uri().to_string(), "ws://[::1]:8080/socket");
    }

    #[test]
    fn a_user_becomes_a_header_and_a_password_is_not_printed() {
        let address = Address::new("ws://ada:p%40ss:word@example.org/socket").unwrap();
        assert_eq!(address.authorization().unwrap(), &format!("Basic {}", BASE64.encode(b"ada:p@ss:word")));
        assert_eq!(format!("{address:?} {:?}", address.authorization()), "ws://example.org/socket Some(Sensitive)");
        let refused = Address::new("http://ada:secret@example.org").unwrap_err();
        assert!(!refused.to_string().contains("secret") && refused.to_string().contains("write ws://"), "{refused}");
        let refused = Address::new("ws://ada:secr%et@example.org").unwrap_err().to_string();
        assert!(!refused.contains("secr") && refused.contains("user or password is not"), "{refused}");
    }

    #[test]
    fn what_is_no_address_is_refused_with_what_to_write() {
        for (url, hint) in [
            ("127.0.0.1:8080", "ws://"),
            ("https://a", "wss:// in place of https://"),
            ("ftp://a", "ws:// or wss://"),
            ("ws://", "it names no host"),
            ("ws:///socket", "it names no host"),
            ("", "ws://"),
        ] {
            let refused = Address::new(url).unwrap_err().to_string();
            assert!(refused.contains(hint), "{url}: {refused}");
        }
    }
}
