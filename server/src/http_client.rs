//! Requests that the server itself makes: one connection, one request, one answer. A name is looked up once, and only an
//! address that is allowed is connected to. Nothing follows a redirect, and no proxy is used.

pub(crate) mod tls;

use crate::http_url::HttpUrl;
use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::header::{CONNECTION, HOST, USER_AGENT};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use rustls::CertificateError;
use std::convert::Infallible;
use std::future::pending;
use std::io;
use std::net::IpAddr;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, lookup_host};
use tokio_rustls::TlsConnector;

/// How a service is reached.
#[derive(Clone, Copy)]
pub(crate) struct Route<'a> {
    pub(crate) url: &'a HttpUrl,
    /// Connects over TLS; `None`: the connection is in the clear.
    pub(crate) tls: Option<&'a TlsConnector>,
    /// Whether an address may be connected to. It is the address behind a name, and an IPv4 address also where it is
    /// written as an IPv6 one.
    pub(crate) may_reach: &'a dyn Fn(IpAddr) -> bool,
}

/// Why a request has no answer. Nothing of the request and of the answer is in it.
#[derive(Debug, thiserror::Error)]
pub enum RequestError {
    /// The host is not there, or does not answer.
    #[error("cannot connect: {0}")]
    Connect(io::Error),
    /// The name leads to an address that must not be asked.
    #[error("the host has the address {0}, which is not allowed here")]
    NotAllowed(IpAddr),
    /// TLS cannot be set up.
    #[error("{0}")]
    Roots(#[from] tls::RootsError),
    /// The handshake of TLS has failed.
    #[error("TLS: {0}")]
    Tls(io::Error),
    /// The certificate is not from an authority that is trusted.
    #[error("TLS: {0}; if the service has a certificate of your own authority, name its root by ca_file")]
    Issuer(io::Error),
    /// The connection broke, or this is no HTTP.
    #[error("{0}")]
    Http(#[from] hyper::Error),
}

/// Sends a request to the path of the URL. `read` reads the answer; the connection ends when it returns.
pub(crate) async fn exchange<T, E: From<RequestError>>(
    route: Route<'_>,
    mut request: Request<Full<Bytes>>,
    read: impl AsyncFnOnce(Response<Incoming>) -> Result<T, E>,
) -> Result<T, E> {
    let url = route.url;
    // Both are parts of a URL that was read as one.
    *request.uri_mut() = url.path_and_query().parse().unwrap_or_default();
    let headers = request.headers_mut();
    let agent = concat!("hubcast/", env!("CARGO_PKG_VERSION"));
    for (name, value) in [(HOST, url.authority()), (USER_AGENT, agent), (CONNECTION, "close")] {
        headers.extend(value.parse().ok().map(|value| (name, value)));
    }
    let stream = connect(route).await?;
    match route.tls {
        Some(connector) => {
            let name = tls::name(url.host()).map_err(RequestError::from)?;
            let stream = connector.connect(name, stream).await.map_err(of_handshake)?;
            speak(stream, request, read).await
        }
        None => speak(stream, request, read).await,
    }
}

/// Connects to the first address of the host that is allowed and answers.
async fn connect(Route { url, may_reach, .. }: Route<'_>) -> Result<TcpStream, RequestError> {
    let mut fault = RequestError::Connect(io::Error::other("the name has no address"));
    for address in lookup_host((url.host(), url.port())).await.map_err(RequestError::Connect)? {
        let ip = address.ip().to_canonical();
        if !may_reach(ip) {
            fault = RequestError::NotAllowed(ip);
            continue;
        }
        match TcpStream::connect(address).await {
            Ok(stream) => return Ok(stream),
            Err(error) => fault = RequestError::Connect(error),
        }
    }
    Err(fault)
}

fn of_handshake(error: io::Error) -> RequestError {
    match error.get_ref().and_then(|inner| inner.downcast_ref()) {
        Some(rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer)) => RequestError::Issuer(error),
        _ => RequestError::Tls(error),
    }
}

/// Sends the request over a connection, and reads the answer.
async fn speak<S: AsyncRead + AsyncWrite + Unpin, T, E: From<RequestError>>(
    stream: S,
    request: Request<Full<Bytes>>,
    read: impl AsyncFnOnce(Response<Incoming>) -> Result<T, E>,
) -> Result<T, E> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(RequestError::from)?;
    let answer = async { read(sender.send_request(request).await.map_err(RequestError::from)?).await };
    let driving = async {
        // An error of the connection is also one of the answer.
        let _ = connection.await;
        pending::<Infallible>().await
    };
    tokio::select! {
        answer = answer => answer,
        never = driving => match never {},
    }
}
