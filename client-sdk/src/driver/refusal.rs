//! What a handshake that failed means for the client.

use super::address::{Address, shown};
use crate::machine::Disconnection;
use hubcast_protocol::SUBPROTOCOL;
use serde::Deserialize;
#[cfg(feature = "testing")]
use serde_json::json;
use std::time::Duration;
use tokio_tungstenite::tungstenite::error::{Error, ProtocolError};
#[cfg(feature = "testing")]
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::http::{Response, StatusCode, header};

/// Classifies a failed handshake: `Lost` if another attempt may succeed, else `Rejected`.
pub(super) fn failure(error: Error, address: &Address) -> Disconnection {
    let hint = if address.is_secure() { "" } else { "; if its port speaks TLS, write wss://" };
    let lost = |reason| Disconnection::Lost { reason, retry_after: None };
    match error {
        Error::Http(response) if !address.is_secure() && speaks_tls(&response) => {
            Disconnection::rejected("the server's port speaks TLS; for such a port write wss://")
        }
        Error::Http(response) => {
            let body = response.body().as_deref().unwrap_or_default();
            refused(&response, body, address.uri().path())
        }
        Error::Protocol(ProtocolError::SecWebSocketSubProtocolError(_)) => {
            Disconnection::rejected(format!("the server does not speak {SUBPROTOCOL}"))
        }
        Error::Protocol(ProtocolError::HttparseError(_)) => {
            Disconnection::rejected(format!("what answers is not HTTP{hint}"))
        }
        Error::Protocol(ProtocolError::WrongHttpVersion) => lost(format!("it answered with HTTP/1.0{hint}")),
        Error::Protocol(ProtocolError::HandshakeIncomplete) => {
            lost(format!("the server closed the connection in the handshake{hint}"))
        }
        Error::Url(_) | Error::HttpFormat(_) => Disconnection::rejected(error.to_string()),
        // TLS 1.3 reports what is wrong with the client's certificate after the TLS handshake.
        #[cfg(feature = "tls")]
        Error::Io(error) if address.is_secure() => crate::tls::failed(&error),
        error => lost(error.to_string()),
    }
}

/// Whether this is what common servers answer to plain HTTP on a port for TLS: a 400 whose text says so.
fn speaks_tls(response: &Response<Option<Vec<u8>>>) -> bool {
    let body = response.body().as_deref().map(String::from_utf8_lossy).unwrap_or_default();
    response.status() == StatusCode::BAD_REQUEST && ["HTTPS", "SSL", "TLS"].iter().any(|word| body.contains(word))
}

#[cfg(feature = "testing")]
impl From<crate::testing::NotOpened> for Disconnection {
    /// Takes a refusal of a test server as that of a real one.
    fn from(why: crate::testing::NotOpened) -> Self {
        let refusal = match why {
            crate::testing::NotOpened::Refused(refusal) => refusal,
            crate::testing::NotOpened::Stopped => {
                return Self::Lost { reason: "the server is stopped".to_owned(), retry_after: None };
            }
        };
        let mut response = Response::new(());
        let body = refusal.reason.map(|reason| json!({"error": {"reason": reason}}).to_string()).unwrap_or_default();
        *response.status_mut() = StatusCode::from_u16(refusal.status).unwrap_or_default();
        if let Some(seconds) = refusal.retry_after {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        refused(&response, body.as_bytes(), "/socket")
    }
}

/// What a refusal means. `body` is what has come of its body.
fn refused<B>(response: &Response<B>, body: &[u8], path: &str) -> Disconnection {
    let status = response.status();
    let text = |name| response.headers().get(name).and_then(|value| value.to_str().ok());
    let reason = match (status, text(header::LOCATION)) {
        (StatusCode::NOT_FOUND, _) => {
            format!("it answered {status} for the path {path:?}; hubcast's is \"/socket\"")
        }
        (_, Some(location)) if status.is_redirection() => {
            // It may repeat what is secret in the address.
            format!("it answered {status} and points to {:?}; connect there", shown(location))
        }
        _ => match told(body) {
            Some(told) => format!("it answered {status}: {told}"),
            None => format!("it answered {status}"),
        },
    };
    let is_temporary =
        status.is_server_error() || [StatusCode::TOO_MANY_REQUESTS, StatusCode::REQUEST_TIMEOUT].contains(&status);
    if status == StatusCode::UNAUTHORIZED {
        return Disconnection::TokenRefused { reason };
    }
    if !is_temporary {
        return Disconnection::Rejected { reason, status: Some(status.as_u16()) };
    }
    let seconds = text(header::RETRY_AFTER).and_then(|value| value.parse().ok());
    Disconnection::Lost { reason, retry_after: seconds.map(Duration::from_secs) }
}

/// The reason that a hubcast server gives for people. Other servers may say anything, at any length: only a short line is
/// taken.
fn told(body: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Body {
        error: Fault,
    }
    #[derive(Deserialize)]
    struct Fault {
        reason: String,
    }
    let Body { error: Fault { reason } } = serde_json::from_slice(body).ok()?;
    (reason.len() <= LONGEST_REASON && !reason.contains(char::is_control)).then_some(reason)
}

/// The longest reason of a refusal that is shown, in bytes.
const LONGEST_REASON: usize = 300;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reason_of_a_refusal_is_that_of_the_server_if_it_is_one_line() {
        let long = format!(r#"{{"error":{{"reason":"{}"}}}}"#, "x".repeat(301));
        for (body, expected) in [
            (r#"{"error":{"code":"token_expired","reason":"the token has expired"}}"#, Some("the token has expired")),
            (r#"{"error":{"reason":"two\nlines"}}"#, None),
            (r#"{"error":"no"}"#, None),
            (r#"{"error":{"reason":"cut o"#, None),
            ("<html>", None),
            (&long, None),
        ] {
            assert_eq!(told(body.as_bytes()).as_deref(), expected, "{body}");
        }
    }
}
