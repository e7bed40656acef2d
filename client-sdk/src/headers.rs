//! Additional headers for the handshake.

use crate::error::ConnectError;
use std::fmt;
use tokio_tungstenite::tungstenite::http::{HeaderMap, HeaderName, HeaderValue, header};

/// Headers as the program gave them, in that order.
#[derive(Clone, Default)]
pub(crate) struct Headers(Vec<(String, String)>);

impl Headers {
    pub(crate) fn add(&mut self, name: &str, value: &str) {
        self.0.push((name.to_owned(), value.to_owned()));
    }

    /// The headers as they are sent, or the first one that is not valid.
    pub(crate) fn checked(&self) -> Result<HeaderMap, ConnectError> {
        let mut headers = HeaderMap::new();
        for (name, value) in &self.0 {
            let refused = |reason: &str| ConnectError::InvalidHeader { name: name.clone(), reason: reason.to_owned() };
            let header: HeaderName = name.parse().map_err(|_| refused("the name is not that of a header"))?;
            if RESERVED.contains(&header) || header.as_str().starts_with("sec-websocket-") {
                return Err(refused("the handshake sets it itself"));
            }
            let mut value: HeaderValue = value.parse().map_err(|_| refused("the value is not visible ASCII"))?;
            // Most headers that a program sets contain credentials.
            value.set_sensitive(true);
            headers.append(header, value);
        }
        Ok(headers)
    }
}

impl fmt::Debug for Headers {
    /// Prints the names only: the values may be secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|(name, _)| name)).finish()
    }
}

const RESERVED: [HeaderName; 3] = [header::HOST, header::CONNECTION, header::UPGRADE];

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(name: &str, value: &str) -> Result<HeaderMap, ConnectError> {
        let mut headers = Headers::default();
        headers.add(name, value);
        headers.checked()
    }

    #[test]
    fn what_is_no_header_is_refused_by_its_name() {
        for (name, value) in
            [("a b", "x"), ("", "x"), ("Origin", "a\nb"), ("Upgrade", "h2c"), ("Sec-WebSocket-Key", "x")]
        {
            let refused = checked(name, value);
            assert!(matches!(refused, Err(ConnectError::InvalidHeader { name: of, .. }) if of == name), "{name}");
        }
    }

    #[test]
    fn values_are_not_printed() {
        let mut headers = Headers::default();
        headers.add("Authorization", "Bearer secret");
        assert_eq!(
            format!("{headers:?} {:?}", headers.checked()),
            r#"["Authorization"] Ok({"authorization": Sensitive})"#
        );
    }
}
