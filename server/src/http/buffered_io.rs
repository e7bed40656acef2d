//! The socket for hyper: the first read waits for the admission, and writes can be kept in a buffer.
//!
//! The first frame of the session follows the answer to the handshake at once. Two separate writes would cost two
//! system calls and two segments; that is the most expensive part of a short connection.

use crate::worker::admission::Admission;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::rt::TokioIo;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use tokio::net::TcpStream;

/// A socket whose first read waits for the worker's admission, and whose writes can go to memory.
pub(crate) struct BufferedIo {
    socket: TokioIo<TcpStream>,
    admission: Admission,
    is_admitted: bool,
    buffer_writes: BufferWrites,
    buffered: Vec<u8>,
}

/// A switch: from `begin` on, the socket that hyper owns buffers its writes.
#[derive(Clone, Default)]
pub(crate) struct BufferWrites(Arc<AtomicBool>);

impl BufferedIo {
    pub(crate) fn new(socket: TcpStream, admission: Admission, buffer_writes: BufferWrites) -> Self {
        Self { socket: TokioIo::new(socket), admission, is_admitted: false, buffer_writes, buffered: Vec::new() }
    }

    /// The socket, and the bytes that must be written to it before anything else.
    pub(crate) fn into_parts(self) -> (TcpStream, Vec<u8>) {
        (self.socket.into_inner(), self.buffered)
    }
}

impl BufferWrites {
    /// Buffers every write from now on.
    pub(crate) fn begin(&self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Read for BufferedIo {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        if !self.is_admitted {
            ready!(self.socket.inner().poll_read_ready(cx))?;
            ready!(self.admission.poll_admit(cx));
            self.is_admitted = true;
        }
        Pin::new(&mut self.socket).poll_read(cx, buffer)
    }
}

impl Write for BufferedIo {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if self.buffer_writes.0.load(Ordering::Relaxed) {
            self.buffered.extend_from_slice(bytes);
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
