//! Additional headers for the handshake.

use crate::error::ConnectError;
use crate::machine::Disconnection;
use std::error::Error;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use tokio_tungstenite::tungstenite::http::{HeaderMap, HeaderName, HeaderValue, header};

/// Headers as the program gave them, in that order, and a function that makes further ones for each attempt.
#[derive(Clone, Default)]
pub(crate) struct Headers {
    fixed: Vec<(String, String)>,
    made: Option<Arc<dyn Fn() -> Making + Send + Sync>>,
}

type Made = Result<Vec<(String, String)>, Box<dyn Error + Send + Sync>>;
type Making = Pin<Box<dyn Future<Output = Made> + Send>>;

impl Headers {
    pub(crate) fn add(&mut self, name: &str, value: &str) {
        self.fixed.push((name.to_owned(), value.to_owned()));
    }

    pub(crate) fn make<F, C>(&mut self, make: F)
    where
        F: Fn() -> C + Send + Sync + 'static,
        C: Future<Output = Made> + Send + 'static,
    {
        self.made = Some(Arc::new(move || Box::pin(make())));
    }

    /// Checks the headers that are the same in each attempt.
    pub(crate) fn check(&self) -> Result<(), ConnectError> {
        checked(&self.fixed).map(drop)
    }

    /// All headers for one attempt.
    pub(crate) async fn for_attempt(&self) -> Result<HeaderMap, Disconnection> {
        let rejected = |error: ConnectError| Disconnection::rejected(error.to_string());
        let mut headers = checked(&self.fixed).map_err(rejected)?;
        if let Some(make) = &self.made {
            let made = make().await.map_err(|error| Disconnection::Lost {
                reason: format!("the headers of the program: {error}"),
                retry_after: None,
            })?;
            headers.extend(checked(&made).map_err(rejected)?);
        }
        Ok(headers)
    }
}

/// The headers as they are sent, or the first one that is not valid.
fn checked(given: &[(String, String)]) -> Result<HeaderMap, ConnectError> {
    let mut headers = HeaderMap::new();
    for (name, value) in given {
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

impl fmt::Debug for Headers {
    /// Prints the names only: the values may be secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.fixed.iter().map(|(name, _)| name)).finish()
    }
}

const RESERVED: [HeaderName; 3] = [header::HOST, header::CONNECTION, header::UPGRADE];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_header_is_refused_by_its_name() {
        for (name, value) in
            [("a b", "x"), ("", "x"), ("Origin", "a\nb"), ("Upgrade", "h2c"), ("Sec-WebSocket-Key", "x")]
        {
            let refused = checked(&[(name.to_owned(), value.to_owned())]);
            assert!(matches!(refused, Err(ConnectError::InvalidHeader { name: of, .. }) if of == name), "{name}");
        }
    }

    #[test]
    fn values_are_not_printed() {
        let mut headers = Headers::default();
        headers.add("Authorization", "Bearer secret");
        assert_eq!(
            format!("{headers:?} {:?}", checked(&headers.fixed)),
            r#"["Authorization"] Ok({"authorization": Sensitive})"#
        );
    }
}
