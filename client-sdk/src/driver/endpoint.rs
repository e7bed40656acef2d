//! The address of the server, and opening a connection to it.

use super::socket::Socket;
use super::transport::Transport;
use crate::error::ConnectError;
use crate::machine::Disconnection;
use hubcast_protocol::SUBPROTOCOL;
use rustls::{ClientConfig, RootCertStore, crypto::ring};
use std::error::Error as _;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio_tungstenite::tungstenite::client::{IntoClientRequest, uri_mode};
use tokio_tungstenite::tungstenite::error::{Error, ProtocolError};
use tokio_tungstenite::tungstenite::handshake::client::Request;
use tokio_tungstenite::tungstenite::http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::{Connector, connect_async_tls_with_config};

/// A server: at an address, or in this process.
#[derive(Clone, Debug)]
pub(crate) enum Endpoint {
    Address(Address),
    /// A server in this process.
    #[cfg(feature = "testing")]
    Local(crate::testing::TestServer),
}

/// The address of a server, and the TLS configuration and headers for the handshake.
#[derive(Clone, Debug)]
pub(crate) struct Address {
    url: String,
    tls: Arc<ClientConfig>,
    headers: HeaderMap,
}

impl Endpoint {
    /// Makes one connection.
    pub(super) async fn open(self) -> Result<Transport, Disconnection> {
        match self {
            Self::Address(address) => address.open().await,
            #[cfg(feature = "testing")]
            Self::Local(server) => server.open().map(Transport::Local),
        }
    }
}

impl Address {
    /// Checks the address. Without a TLS configuration the client trusts the roots of the web.
    pub(crate) fn new(url: String, tls: Option<Arc<ClientConfig>>, headers: HeaderMap) -> Result<Self, ConnectError> {
        let checked = (&url).into_client_request().and_then(|request| uri_mode(request.uri()).map(|_| ()));
        match checked {
            Ok(()) => Ok(Self { url, tls: tls.unwrap_or_else(web_roots), headers }),
            Err(error) => Err(ConnectError::InvalidUrl { url, reason: error.to_string() }),
        }
    }

    async fn open(self) -> Result<Transport, Disconnection> {
        let request = self.request().map_err(|error| refusal(error, ""))?;
        let path = request.uri().path().to_owned();
        let config = WebSocketConfig::default()
            .read_buffer_size(READ_BUFFER)
            .max_frame_size(Some(LARGEST_MESSAGE))
            .max_message_size(Some(LARGEST_MESSAGE));
        let connector = Connector::Rustls(self.tls);
        match connect_async_tls_with_config(request, Some(config), true, Some(connector)).await {
            Ok((socket, _)) => Ok(Transport::Socket(Box::new(Socket::new(socket)))),
            Err(error) => Err(refusal(error, &path)),
        }
    }

    fn request(&self) -> Result<Request, Error> {
        let mut request = self.url.as_str().into_client_request()?;
        request.headers_mut().extend(self.headers.clone());
        request.headers_mut().insert(header::SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(SUBPROTOCOL));
        Ok(request)
    }
}

/// Classifies a failed handshake: `Lost` if another attempt may succeed, else `Rejected`.
fn refusal(error: Error, path: &str) -> Disconnection {
    match error {
        Error::Http(response) => refused(&response, path),
        Error::Protocol(ProtocolError::SecWebSocketSubProtocolError(_)) => {
            Disconnection::Rejected { reason: format!("the server does not speak {SUBPROTOCOL}") }
        }
        Error::Url(_) | Error::HttpFormat(_) | Error::Tls(_) => Disconnection::Rejected { reason: error.to_string() },
        Error::Io(error) if is_about_the_certificate(&error) => Disconnection::Rejected { reason: error.to_string() },
        error => Disconnection::Lost { reason: error.to_string(), retry_after: None },
    }
}

fn refused<B>(response: &Response<B>, path: &str) -> Disconnection {
    let status = response.status();
    let reason = match status {
        StatusCode::NOT_FOUND => format!("it answered {status} for the path {path:?}; hubcast's is \"/socket\""),
        _ => format!("it answered {status}"),
    };
    let is_temporary =
        status.is_server_error() || [StatusCode::TOO_MANY_REQUESTS, StatusCode::REQUEST_TIMEOUT].contains(&status);
    if !is_temporary {
        return Disconnection::Rejected { reason };
    }
    let seconds = response.headers().get(header::RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
    Disconnection::Lost { reason, retry_after: seconds.map(Duration::from_secs) }
}

fn is_about_the_certificate(error: &io::Error) -> bool {
    let cause = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    let source = error.source().and_then(|source| source.downcast_ref::<rustls::Error>());
    matches!(cause.or(source), Some(rustls::Error::InvalidCertificate(_)))
}

/// The default TLS configuration. It names its provider, because a program may contain several, and then there is no
/// default one.
fn web_roots() -> Arc<ClientConfig> {
    let roots = RootCertStore::from_iter(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("ring supports the default protocol versions");
    Arc::new(builder.with_root_certificates(roots).with_no_client_auth())
}

/// The read buffer, in bytes. Most messages are short, and tungstenite's own 128 KiB would be most of the memory of an
/// idle client.
const READ_BUFFER: usize = 16 * 1024;

/// The largest message that the client takes, in bytes. The largest message of a server is a part of a history: a
/// thousand publications of 64 KiB each, and half of their characters may be ones that JSON writes with a backslash.
const LARGEST_MESSAGE: usize = 128 * 1024 * 1024;
