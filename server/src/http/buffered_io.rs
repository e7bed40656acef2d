//! The socket for hyper: the first read waits for the admission, the request head has a bound, and writes can be kept
//! in a buffer.
//!
//! The first frame of the session follows the answer to the handshake at once. Two separate writes would cost two
//! system calls and two segments; that is the most expensive part of a short connection.

use super::exchange::Exchange;
use crate::connection::Socket;
use crate::worker::admission::Admission;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::rt::TokioIo;
use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead as _, ReadBuf};

/// A socket whose first read waits for the worker's admission, and whose writes can go to memory.
pub(super) struct BufferedIo {
    socket: TokioIo<Socket>,
    /// Bytes that may still be read before the first head has to be complete. hyper's own bound is the size of its
    /// buffer, which grows in steps; when exactly the allowed bytes have been read, hyper has a whole head, or refuses
    /// it. Later heads may be longer by one read.
    head_left: usize,
    admission: Admission,
    is_admitted: bool,
    exchange: Rc<Exchange>,
    buffered: Vec<u8>,
}

impl BufferedIo {
    /// Reads from `socket`; the first request head has at most `max_head` bytes.
    pub(super) fn new(socket: Socket, max_head: usize, admission: Admission, exchange: Rc<Exchange>) -> Self {
        let (socket, buffered) = (TokioIo::new(socket), Vec::new());
        Self { socket, head_left: max_head, admission, is_admitted: false, exchange, buffered }
    }

    /// The socket, and the bytes that must be written to it before anything else.
    pub(super) fn into_parts(self) -> (Socket, Vec<u8>) {
        (self.socket.into_inner(), self.buffered)
    }
}

impl Read for BufferedIo {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.is_admitted {
            ready!(self.socket.inner().poll_readable(cx))?;
            ready!(self.admission.poll_admit(cx));
            self.is_admitted = true;
        }
        if self.head_left == 0 {
            return Pin::new(&mut self.socket).poll_read(cx, buffer);
        }
        let most = self.head_left.min(buffer.remaining()).min(READ_BYTES);
        let mut read = [MaybeUninit::uninit(); READ_BYTES];
        let mut read = ReadBuf::uninit(&mut read[..most]);
        ready!(Pin::new(self.socket.inner_mut()).poll_read(cx, &mut read))?;
        self.head_left -= read.filled().len();
        buffer.put_slice(read.filled());
        Poll::Ready(Ok(()))
    }
}

impl Write for BufferedIo {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if self.exchange.buffers_writes() {
            self.buffered.extend_from_slice(bytes);
            return Poll::Ready(Ok(bytes.len()));
        }
        let mut written = Pin::new(&mut self.socket).poll_write(cx, bytes);
        if written.is_pending() && self.exchange.asks_system() {
            written = match self.socket.inner().send(bytes) {
                Err(fault) if fault.kind() == io::ErrorKind::WouldBlock => Poll::Pending,
                sent => Poll::Ready(sent),
            };
        }
        self.exchange.note_write(match &written {
            Poll::Ready(written) => Some(*written.as_ref().unwrap_or(&0)),
            Poll::Pending => None,
        });
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}

/// Bytes of a head that one read takes; hyper's buffer begins with as many.
const READ_BYTES: usize = 8 * 1024;
