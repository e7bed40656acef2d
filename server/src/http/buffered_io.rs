//! The socket as hyper sees it: what comes waits at the turnstile, and an answer can be held back instead of being
//! written.
//!
//! The answer to a handshake is followed at once by the session's first frame. Written apart they cost two system
//! calls and two segments, the most expensive part of a connection that comes and goes.

use crate::worker::admission::Turnstile;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::rt::TokioIo;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use tokio::net::TcpStream;

/// A socket whose first read waits for its round, and whose writes go into memory once they are held.
pub(crate) struct HeldSocket {
    socket: TokioIo<TcpStream>,
    turnstile: Turnstile,
    has_passed: bool,
    hold: Hold,
    held: Vec<u8>,
}

/// Tells the socket that hyper owns to hold what is written from now on.
#[derive(Clone, Default)]
pub(crate) struct Hold(Arc<AtomicBool>);

impl HeldSocket {
    pub(crate) fn new(socket: TcpStream, turnstile: Turnstile, hold: Hold) -> Self {
        Self { socket: TokioIo::new(socket), turnstile, has_passed: false, hold, held: Vec::new() }
    }

    /// The socket, and what is still to be written to it before anything else.
    pub(crate) fn into_parts(self) -> (TcpStream, Vec<u8>) {
        (self.socket.into_inner(), self.held)
    }
}

impl Hold {
    /// Holds every write from now on.
    pub(crate) fn hold(&self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Read for HeldSocket {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        if !self.has_passed {
            ready!(self.socket.inner().poll_read_ready(cx))?;
            ready!(self.turnstile.poll_pass(cx));
            self.has_passed = true;
        }
        Pin::new(&mut self.socket).poll_read(cx, buffer)
    }
}

impl Write for HeldSocket {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if self.hold.0.load(Ordering::Relaxed) {
            self.held.extend_from_slice(bytes);
            return Poll::Ready(Ok(bytes.len()));
        }
        Pin::new(&mut self.socket).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}
