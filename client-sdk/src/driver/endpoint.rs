//! The servers that a client may connect to, and the WebSocket handshake with them.

use super::address::Address;
use super::dial::Dialer;
use super::place::Place;
use super::refusal::failure;
use super::socket::Socket;
use super::transport::Transport;
use crate::connector::ByteStream;
use crate::headers::Headers;
use crate::machine::Disconnection;
use hubcast_protocol::{AccessToken, SUBPROTOCOL};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio_tungstenite::tungstenite::Error;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::handshake::client::Request;
use tokio_tungstenite::tungstenite::http;
use tokio_tungstenite::tungstenite::http::{HeaderMap, HeaderValue, header};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

/// A server: at one of some addresses, or in this process.
#[derive(Clone, Debug)]
pub(crate) enum Endpoint {
    Remote(Arc<Remote>),
    /// A server in this process.
    #[cfg(feature = "testing")]
    Local(crate::testing::Entrance),
}

/// The addresses of a server, and how to reach them. Each attempt takes the next address, and the first attempt after a
/// connection the address of that connection.
#[derive(Debug)]
pub(crate) struct Remote {
    addresses: Vec<Address>,
    headers: Headers,
    dialer: Dialer,
    /// The index of the address for the next attempt.
    next: Arc<AtomicUsize>,
    /// How many attempts in a row failed, and how many were refused.
    failed: AtomicUsize,
    refused: AtomicUsize,
}

impl Endpoint {
    /// Makes one connection. `request_bytes` are the most bytes of requests that wait for an answer.
    pub(super) async fn open(
        self,
        token: Option<AccessToken>,
        request_bytes: usize,
    ) -> Result<Transport, Disconnection> {
        match self {
            Self::Remote(remote) => remote.open(token.as_ref(), request_bytes).await,
            #[cfg(feature = "testing")]
            Self::Local(entrance) => {
                let opened = entrance.open(token.as_ref()).await;
                opened.map(Transport::Local).map_err(|why| of_token(why.into(), token.as_ref()))
            }
        }
    }
}

/// A refusal of the token, if there was one; without a token it is a refusal like any other.
fn of_token(why: Disconnection, token: Option<&AccessToken>) -> Disconnection {
    match why {
        Disconnection::TokenRefused { reason } if token.is_none() => {
            Disconnection::Rejected { reason, status: Some(401) }
        }
        why => why,
    }
}

impl Remote {
    pub(crate) fn new(addresses: Vec<Address>, headers: Headers, dialer: Dialer) -> Self {
        let (next, failed, refused) = Default::default();
        Self { addresses, headers, dialer, next, failed, refused }
    }

    async fn open(&self, token: Option<&AccessToken>, request_bytes: usize) -> Result<Transport, Disconnection> {
        let index = self.next.load(Ordering::Relaxed) % self.addresses.len();
        // Set before the attempt, which may be given up in the middle: then it has failed, and has not refused.
        self.next.store(index + 1, Ordering::Relaxed);
        let failed = self.failed.fetch_add(1, Ordering::Relaxed) + 1;
        let refused = self.refused.swap(0, Ordering::Relaxed) + 1;
        match self.open_one(&self.addresses[index], token).await {
            Ok(socket) => {
                self.failed.store(0, Ordering::Relaxed);
                let place = Place { index, next: self.next.clone() };
                Ok(Transport::Socket(Box::new(Socket::new(socket, request_bytes, place))))
            }
            Err(why) => Err(self.of_all(of_token(why, token), &self.addresses[index], failed, refused)),
        }
    }

    async fn open_one(
        &self,
        address: &Address,
        token: Option<&AccessToken>,
    ) -> Result<WebSocketStream<Box<dyn ByteStream>>, Disconnection> {
        let headers = self.headers.for_attempt().await?;
        let request = request(address, headers, token).map_err(|error| failure(error, address))?;
        let stream = self.dialer.dial(address).await?;
        let config = WebSocketConfig::default()
            .read_buffer_size(READ_BUFFER)
            .max_frame_size(Some(LARGEST_MESSAGE))
            .max_message_size(Some(LARGEST_MESSAGE));
        let opened = client_async_with_config(request, stream, Some(config)).await;
        opened.map(|(socket, _)| socket).map_err(|error| failure(error, address))
    }

    /// What one failed attempt means for all addresses: of several, each must have refused, and a pause that one server
    /// asks for holds when all have failed. `failed` and `refused` are the attempts in a row that did so if this one
    /// did. The reason then names the address.
    fn of_all(&self, why: Disconnection, address: &Address, failed: usize, refused: usize) -> Disconnection {
        let several = self.addresses.len();
        let named = |reason| if several == 1 { reason } else { format!("{}: {reason}", address.authority()) };
        match why {
            Disconnection::Rejected { reason, status } => {
                self.refused.store(refused, Ordering::Relaxed);
                match refused.is_multiple_of(several) {
                    true => Disconnection::Rejected { reason: named(reason), status },
                    false => Disconnection::Lost { reason: named(reason), retry_after: None },
                }
            }
            Disconnection::Lost { reason, retry_after } => {
                let retry_after = retry_after.filter(|_| failed.is_multiple_of(several));
                Disconnection::Lost { reason: named(reason), retry_after }
            }
            why => why,
        }
    }
}

/// The request of the handshake. A header of the program replaces the one that an address with a user makes, and a token
/// replaces both.
fn request(address: &Address, headers: HeaderMap, token: Option<&AccessToken>) -> Result<Request, Error> {
    let mut request = address.uri().into_client_request()?;
    if let Some(authorization) = address.authorization() {
        request.headers_mut().insert(header::AUTHORIZATION, authorization.clone());
    }
    request.headers_mut().extend(headers);
    if let Some(token) = token {
        let mut bearer = HeaderValue::try_from(format!("Bearer {}", token.expose())).map_err(http::Error::from)?;
        bearer.set_sensitive(true);
        request.headers_mut().insert(header::AUTHORIZATION, bearer);
    }
    request.headers_mut().insert(header::SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(SUBPROTOCOL));
    Ok(request)
}

/// The read buffer, in bytes. Most messages are short, and tungstenite's own 128 KiB would be most of the memory of an
/// idle client.
const READ_BUFFER: usize = 16 * 1024;

/// The largest message that the client takes, in bytes. The largest message of a server is a part of a history: a
/// thousand publications of 64 KiB each, and half of their characters may be ones that JSON writes with a backslash.
const LARGEST_MESSAGE: usize = 128 * 1024 * 1024;
