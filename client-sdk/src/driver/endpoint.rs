//! The servers that a client may connect to, and the WebSocket handshake with them.

use super::address::Address;
use super::dial::Dialer;
use super::socket::Socket;
use super::transport::Transport;
use crate::headers::Headers;
use crate::machine::Disconnection;
use hubcast_protocol::SUBPROTOCOL;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio_tungstenite::client_async_with_config;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::error::{Error, ProtocolError};
use tokio_tungstenite::tungstenite::handshake::client::Request;
use tokio_tungstenite::tungstenite::http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;

/// A server: at one of some addresses, or in this process.
#[derive(Clone, Debug)]
pub(crate) enum Endpoint {
    Remote(Arc<Remote>),
    /// A server in this process.
    #[cfg(feature = "testing")]
    Local(crate::testing::Entrance),
}

/// The addresses of a server, and how to reach them. Each attempt takes the next address, and begins with the one that
/// worked last.
#[derive(Debug)]
pub(crate) struct Remote {
    addresses: Vec<Address>,
    headers: Headers,
    dialer: Dialer,
    /// The index of the address for the next attempt.
    next: AtomicUsize,
    /// How many attempts in a row were refused.
    refused: AtomicUsize,
}

impl Endpoint {
    /// Makes one connection. `request_bytes` are the most bytes of requests that wait for an answer.
    pub(super) async fn open(self, request_bytes: usize) -> Result<Transport, Disconnection> {
        match self {
            Self::Remote(remote) => remote.open(request_bytes).await,
            #[cfg(feature = "testing")]
            Self::Local(entrance) => entrance.open().await.map(Transport::Local).map_err(|why| why.into()),
        }
    }
}

impl Remote {
    pub(crate) fn new(addresses: Vec<Address>, headers: Headers, dialer: Dialer) -> Self {
        Self { addresses, headers, dialer, next: AtomicUsize::new(0), refused: AtomicUsize::new(0) }
    }

    async fn open(&self, request_bytes: usize) -> Result<Transport, Disconnection> {
        let place = self.next.load(Ordering::Relaxed) % self.addresses.len();
        // Set before the attempt, which may be given up in the middle.
        self.next.store(place + 1, Ordering::Relaxed);
        match self.open_one(&self.addresses[place], request_bytes).await {
            Ok(transport) => {
                self.next.store(place, Ordering::Relaxed);
                self.refused.store(0, Ordering::Relaxed);
                Ok(transport)
            }
            Err(why) => Err(self.of_all(why, &self.addresses[place])),
        }
    }

    async fn open_one(&self, address: &Address, request_bytes: usize) -> Result<Transport, Disconnection> {
        let headers = self.headers.for_attempt().await?;
        let request = request(address, headers).map_err(|error| failure(error, address))?;
        let stream = self.dialer.dial(address).await?;
        let config = WebSocketConfig::default()
            .read_buffer_size(READ_BUFFER)
            .max_frame_size(Some(LARGEST_MESSAGE))
            .max_message_size(Some(LARGEST_MESSAGE));
        match client_async_with_config(request, stream, Some(config)).await {
            Ok((socket, _)) => Ok(Transport::Socket(Box::new(Socket::new(socket, request_bytes)))),
            Err(error) => Err(failure(error, address)),
        }
    }

    /// What one failed attempt means for all addresses: of several, each must have refused. The reason then names the
    /// address.
    fn of_all(&self, why: Disconnection, address: &Address) -> Disconnection {
        let is_one = self.addresses.len() == 1;
        let named = |reason: String| if is_one { reason } else { format!("{}: {reason}", address.authority()) };
        match why {
            Disconnection::Rejected { reason } => {
                let refused = self.refused.fetch_add(1, Ordering::Relaxed) + 1;
                match refused % self.addresses.len() {
                    0 => Disconnection::Rejected { reason: named(reason) },
                    _ => Disconnection::Lost { reason: named(reason), retry_after: None },
                }
            }
            Disconnection::Lost { reason, retry_after } => {
                self.refused.store(0, Ordering::Relaxed);
                Disconnection::Lost { reason: named(reason), retry_after }
            }
            why => why,
        }
    }
}

/// The request of the handshake. A header of the program replaces the one that an address with a user makes.
fn request(address: &Address, headers: HeaderMap) -> Result<Request, Error> {
    let mut request = address.uri().into_client_request()?;
    if let Some(authorization) = address.authorization() {
        request.headers_mut().insert(header::AUTHORIZATION, authorization.clone());
    }
    request.headers_mut().extend(headers);
    request.headers_mut().insert(header::SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(SUBPROTOCOL));
    Ok(request)
}

/// Classifies a failed handshake: `Lost` if another attempt may succeed, else `Rejected`.
fn failure(error: Error, address: &Address) -> Disconnection {
    match error {
        Error::Http(response) => refused(&response, address.uri().path()),
        Error::Protocol(ProtocolError::SecWebSocketSubProtocolError(_)) => {
            Disconnection::Rejected { reason: format!("the server does not speak {SUBPROTOCOL}") }
        }
        Error::Protocol(ProtocolError::HttparseError(_)) => {
            let hint = if address.is_secure() { "" } else { "; if it speaks TLS, write wss://" };
            Disconnection::Rejected { reason: format!("what answers is not HTTP{hint}") }
        }
        Error::Url(_) | Error::HttpFormat(_) => Disconnection::Rejected { reason: error.to_string() },
        error => Disconnection::Lost { reason: error.to_string(), retry_after: None },
    }
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
        *response.status_mut() = StatusCode::from_u16(refusal.status).unwrap_or_default();
        if let Some(seconds) = refusal.retry_after {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        refused(&response, "/socket")
    }
}

fn refused<B>(response: &Response<B>, path: &str) -> Disconnection {
    let status = response.status();
    let text = |name| response.headers().get(name).and_then(|value| value.to_str().ok());
    let reason = match (status, text(header::LOCATION)) {
        (StatusCode::NOT_FOUND, _) => {
            format!("it answered {status} for the path {path:?}; hubcast's is \"/socket\"")
        }
        (_, Some(location)) if status.is_redirection() => {
            format!("it answered {status} and points to {location:?}; connect there")
        }
        _ => format!("it answered {status}"),
    };
    let is_temporary =
        status.is_server_error() || [StatusCode::TOO_MANY_REQUESTS, StatusCode::REQUEST_TIMEOUT].contains(&status);
    if !is_temporary {
        return Disconnection::Rejected { reason };
    }
    let seconds = text(header::RETRY_AFTER).and_then(|value| value.parse().ok());
    Disconnection::Lost { reason, retry_after: seconds.map(Duration::from_secs) }
}

/// The read buffer, in bytes. Most messages are short, and tungstenite's own 128 KiB would be most of the memory of an
/// idle client.
const READ_BUFFER: usize = 16 * 1024;

/// The largest message that the client takes, in bytes. The largest message of a server is a part of a history: a
/// thousand publications of 64 KiB each, and half of their characters may be ones that JSON writes with a backslash.
const LARGEST_MESSAGE: usize = 128 * 1024 * 1024;
