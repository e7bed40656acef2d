//! What comes before the first request of a connection: the header of a proxy, and the TLS handshake.

use super::Http;
use super::linger::linger;
use crate::connection::Socket;
use crate::listener::incoming::{Accepted, Door, Origin};
use crate::listener::limit::Permit;
use crate::listener::proxy_header;
use crate::log::warnings::Warning;
use crate::metrics::kinds::RefusedHandshake;
use crate::runtime::patience::PatientSleep;
use crate::tls::{HandshakeFault, Tls, TlsStream};
use crate::worker::service::Service;
use std::fmt::Display;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

impl<S: Service> Http<S> {
    /// Makes a socket ready for HTTP, and finds out whose it is; `None` if the connection is over.
    pub(super) async fn prepare(&self, stream: Accepted, origin: &mut Origin, permit: &Permit) -> Option<Socket> {
        let config = self.settings.get();
        let mut stream = match stream {
            Accepted::Tcp(stream) => Socket::Tcp(stream),
            Accepted::Unix(stream) => stream.into(),
        };
        if origin.door == Door::Clients && config.proxy_protocol {
            let client = self.read_proxy_header(&mut stream, *origin, permit).await?;
            if let Some(client) = client {
                permit.set_client(client.ip().to_canonical());
                (origin.peer, origin.is_unix) = (client, false);
            }
        }
        match (stream, config.tls.as_deref().filter(|_| origin.door == Door::Clients)) {
            (Socket::Tcp(stream), Some(tls)) => self.secure(stream, tls, origin.peer, permit).await.map(Socket::from),
            (stream, _) => Some(stream),
        }
    }

    /// Reads who a proxy passes on; `None` if the connection is over.
    async fn read_proxy_header(
        &self,
        stream: &mut Socket,
        origin: Origin,
        permit: &Permit,
    ) -> Option<Option<SocketAddr>> {
        let peer = origin.peer;
        let refused = |fault: &dyn Display| {
            tracing::debug!(%peer, %fault, "refused a connection for its PROXY header");
            self.worker.metrics().note_refused(RefusedHandshake::ProxyHeader);
            self.warnings.note(Warning::ProxyHeader, Instant::now());
            None
        };
        if !origin.is_unix && !self.settings.get().auth.trusted_proxies.contains(peer.ip()) {
            return refused(&"it comes from no address in trusted_proxies");
        }
        tokio::select! {
            biased;
            read = proxy_header::read(stream) => read.map_or_else(|fault| refused(&fault), Some),
            () = permit.asked_to_leave() => None,
            () = PatientSleep::new(MOST_TIME) => refused(&"it did not come in time"),
        }
    }

    /// Makes the TLS handshake with the client at `peer`. It takes its turn with other new connections, because it costs
    /// as much as some hundred deliveries.
    pub(super) async fn secure(
        &self,
        stream: TcpStream,
        tls: &Tls,
        peer: SocketAddr,
        permit: &Permit,
    ) -> Option<TlsStream> {
        let stream = match TlsStream::new(stream, tls.server()) {
            Ok(stream) => stream,
            Err(fault) => return self.note_unsecured(peer, &fault),
        };
        let done = tokio::select! {
            biased;
            done = self.shake_hands(&stream) => done,
            () = permit.asked_to_leave() => return None,
            () = PatientSleep::new(MOST_TIME) => {
                self.worker.metrics().note_refused(RefusedHandshake::Timeout);
                return None;
            }
        };
        match done {
            Ok(()) => Some(stream),
            Err(HandshakeFault::PlainHttp) => {
                self.answer_plainly(stream, permit).await;
                self.note_unsecured(peer, &HandshakeFault::PlainHttp)
            }
            Err(fault) => self.note_unsecured(peer, &fault),
        }
    }

    async fn shake_hands(&self, stream: &TlsStream) -> Result<(), HandshakeFault> {
        poll_fn(|context| stream.poll_readable(context)).await.map_err(HandshakeFault::Ended)?;
        poll_fn(|context| self.worker.admission().poll_admit(context)).await;
        while !poll_fn(|context| stream.poll_handshake(context)).await? {}
        Ok(())
    }

    /// Tells a client without TLS what is spoken here.
    async fn answer_plainly(&self, stream: TlsStream, permit: &Permit) {
        let mut socket = Socket::Tcp(stream.into_socket());
        let head = "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n";
        let answer = format!("{head}Content-Length: {}\r\n\r\n{SPEAK_TLS}\n", SPEAK_TLS.len() + 1);
        if socket.write_all(answer.as_bytes()).await.is_ok() {
            let config = self.worker.config();
            linger(socket, permit, config.linger_bytes, config.timeouts.linger).await;
        }
    }

    fn note_unsecured<T>(&self, peer: SocketAddr, fault: &HandshakeFault) -> Option<T> {
        tracing::debug!(%peer, %fault, "a TLS handshake failed");
        self.worker.metrics().note_refused(RefusedHandshake::Tls);
        self.warnings.note(Warning::Tls, Instant::now());
        None
    }
}

/// For the header of a proxy, and again for the TLS handshake.
const MOST_TIME: Duration = Duration::from_secs(5);

/// What a client that speaks plain HTTP is told.
const SPEAK_TLS: &str = "this port speaks TLS: use https:// or wss://";
