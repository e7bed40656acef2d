//! The TLS handshake of a connection, before its first request.

use super::Http;
use super::linger::linger;
use crate::connection::Socket;
use crate::listener::limit::Permit;
use crate::log::warnings::Warning;
use crate::metrics::kinds::RefusedHandshake;
use crate::runtime::patience::PatientSleep;
use crate::tls::{HandshakeFault, Tls, TlsStream};
use crate::worker::service::Service;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

impl<S: Service> Http<S> {
    /// Makes the TLS handshake with the client at `peer`. It takes its turn with other new connections, because it costs
    /// as much as some hundred deliveries.
    pub(super) async fn secure(
        &self,
        stream: TcpStream,
        tls: &Tls,
        peer: SocketAddr,
        permit: &Permit,
    ) -> Option<Box<TlsStream>> {
        let stream = match TlsStream::new(stream, tls.server()) {
            Ok(stream) => Box::new(stream),
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
    async fn answer_plainly(&self, stream: Box<TlsStream>, permit: &Permit) {
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

/// From accepting a connection to the end of its handshake.
const MOST_TIME: Duration = Duration::from_secs(5);

/// What a client that speaks plain HTTP is told.
const SPEAK_TLS: &str = "this port speaks TLS: use https:// or wss://";
