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
        let invalid = |reason: &str| ConnectError::InvalidUrl { url: shown(url), reason: reason.to_owned() };
        let without_user = without_user(url);
        let (scheme, rest) =
            without_user.split_once("://").ok_or_else(|| invalid("an address begins with ws:// or wss://"))?;
        let is_secure = match scheme.to_ascii_lowercase().as_str() {
            "ws" => false,
            "wss" => true,
            "http" => return Err(invalid("write ws:// in place of http://")),
            "https" => return Err(invalid("write wss:// in place of https://")),
            _ => return Err(invalid("an address begins with ws:// or wss://")),
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
        let port = match uri.authority().and_then(|authority| port_of(authority.as_str())) {
            None => {
                if is_secure {
                    443
                } else {
                    80
                }
            }
            Some(port) => port.parse().map_err(|_| {
                invalid("its port is not a number up to 65535; in a password, percent-encode '/', '?', '#' and '@'")
            })?,
        };
        let authorization = user_of(url).map(basic).transpose().map_err(invalid)?;
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
        f.write_str(&shown(&self.uri.to_string()))
    }
}

/// The value of an `Authorization` or `Proxy-Authorization` header for `user:password` (RFC 7617 section 2), which may
/// be percent-encoded. It is marked as sensitive.
pub(super) fn basic(user: &str) -> Result<HeaderValue, &'static str> {
    let (name, password) = user.split_once(':').unwrap_or((user, ""));
    let invalid = "its user or password is not percent-encoded";
    let name = percent_decoded(name).ok_or(invalid)?;
    if name.contains(&b':') {
        return Err("the name of its user contains a colon");
    }
    let credentials = [name, b":".to_vec(), percent_decoded(password).ok_or(invalid)?].concat();
    let mut value = HeaderValue::try_from(format!("Basic {}", BASE64.encode(&credentials))).map_err(|_| invalid)?;
    value.set_sensitive(true);
    Ok(value)
}

/// The part `user:password` of an address.
pub(super) fn user_of(url: &str) -> Option<&str> {
    let (_, rest) = url.split_once("://")?;
    let authority = rest.split_once(['/', '?', '#']).map_or(rest, |(authority, _)| authority);
    Some(authority.rsplit_once('@')?.0)
}

/// An address without its part `user:password@`.
pub(super) fn without_user(url: &str) -> String {
    match (url.split_once("://"), user_of(url)) {
        (Some((scheme, rest)), Some(user)) => format!("{scheme}://{}", &rest[user.len() + 1..]),
        _ => url.to_owned(),
    }
}

/// An address as errors and debug output show it. What may be secret is left out, also where the address is not valid:
/// all before the last `@`, and the query, which may contain a token.
pub(crate) fn shown(url: &str) -> String {
    let (scheme, rest) = match url.split_once("://") {
        // Other characters are not those of a scheme, but perhaps of a user and password.
        Some((scheme, rest)) if scheme.bytes().all(|byte| byte.is_ascii_alphanumeric()) => {
            (format!("{scheme}://"), rest)
        }
        _ => (String::new(), url),
    };
    let rest = rest.rsplit_once('@').map_or(rest, |(_, after)| after);
    match rest.split_once('?') {
        Some((before, _)) => format!("{scheme}{before}?..."),
        None => format!("{scheme}{rest}"),
    }
}

/// The text after the colon in `host:port`, if it is not empty.
pub(super) fn port_of(authority: &str) -> Option<&str> {
    let (_, port) = authority.rsplit_once(':')?;
    (!port.is_empty() && !port.ends_with(']')).then_some(port)
}

fn percent_decoded(text: &str) -> Option<Vec<u8>> {
    let mut parts = text.split('%');
    let mut decoded = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        let digits = part.get(..2).filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()))?;
        decoded.push(u8::from_str_radix(digits, 16).ok()?);
        decoded.extend_from_slice(&part.as_bytes()[2..]);
    }
    Some(decoded)
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
        let with_token = Address::new("ws://example.org/socket?token=secret").unwrap();
        assert_eq!(format!("{with_token:?}"), "ws://example.org/socket?...");
        assert_eq!(with_token.uri().query(), Some("token=secret"));
    }

    #[test]
    fn no_invalid_address_shows_its_password() {
        for (url, hint) in [
            ("http://ada:secret@example.org", "write ws://"),
            ("ws://ada:secr%et@example.org", "user or password is not"),
            ("ws://ada:secr%+5et@example.org", "user or password is not"),
            ("ws://a%3Ada:secret@example.org", "contains a colon"),
            ("ada:secret@example.org:8080/socket", "begins with ws://"),
            ("ws:/ada:secret@example.org/", "begins with ws://"),
            ("ada:secret://x@example.org/", "begins with ws://"),
            ("ws://ada:secr/et@example.org/", "percent-encode"),
            ("ws://ada:secr#et@example.org/", "percent-encode"),
            ("ws://ada:secr?et@example.org/", "percent-encode"),
            ("ws://example.org:0x/?token=secret", "port is not a number"),
            ("ws://example.org:65536/", "port is not a number"),
        ] {
            let refused = Address::new(url).unwrap_err();
            let refused = format!("{refused} {refused:?}");
            assert!(!refused.contains("secr") && refused.contains(hint), "{refused}");
        }
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
