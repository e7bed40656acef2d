//! The socket of a connection.

#[cfg(feature = "simulation")]
use super::pipe::Pipe;
use crate::runtime::system;
use socket2::SockRef;
use std::io::{self, IoSlice};
use std::net::{Shutdown, SocketAddr};
use std::task::{Context, Poll, ready};
use tokio::io::Interest;
use tokio::net::TcpStream;

/// Reads and writes the bytes of a connection. Without the feature `simulation` there is only one variant, and the
/// `match` costs nothing.
#[derive(Debug)]
pub(crate) enum Socket {
    /// A socket of the system.
    Tcp(TcpStream),
    /// The server's end of two queues in memory.
    #[cfg(feature = "simulation")]
    Pipe(Pipe),
}

impl Socket {
    /// Waits until there is something to read, or the end of the input.
    pub(super) fn poll_readable(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Tcp(stream) => stream.poll_read_ready(context),
            #[cfg(feature = "simulation")]
            Self::Pipe(pipe) => pipe.poll_readable(context).map(Ok),
        }
    }

    /// Reads once, and waits if nothing has come; 0 is the end of the input.
    pub(super) fn poll_read(&self, context: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        match self {
            Self::Tcp(stream) => poll_read(stream, context, buffer),
            #[cfg(feature = "simulation")]
            Self::Pipe(pipe) => pipe.poll_read(context, buffer).map(Ok),
        }
    }

    /// Waits until the socket takes more bytes.
    pub(super) async fn writable(&self) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.writable().await,
            #[cfg(feature = "simulation")]
            Self::Pipe(pipe) => pipe.writable().await,
        }
    }

    pub(super) fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.try_write(bytes),
            #[cfg(feature = "simulation")]
            Self::Pipe(pipe) => pipe.write(&[IoSlice::new(bytes)]),
        }
    }

    pub(super) fn write_vectored(&self, bytes: &[IoSlice<'_>]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.try_write_vectored(bytes),
            #[cfg(feature = "simulation")]
            Self::Pipe(pipe) => pipe.write(bytes),
        }
    }

    /// Writes with a system call at once, without asking the runtime first whether the socket takes more bytes.
    pub(super) fn send(&self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => system::send(stream, bytes),
            #[cfg(feature = "simulation")]
            Self::Pipe(pipe) => pipe.write(&[IoSlice::new(bytes)]),
        }
    }

    pub(super) fn peer_addr(&self) -> io::Result<SocketAddr> {
        match self {
            Self::Tcp(stream) => stream.peer_addr(),
            #[cfg(feature = "simulation")]
            Self::Pipe(_) => Err(io::ErrorKind::Unsupported.into()),
        }
    }

    /// Shuts one direction or both. An error is ignored: then the client has closed already.
    pub(super) fn shutdown(&self, how: Shutdown) {
        match self {
            Self::Tcp(stream) => _ = SockRef::from(stream).shutdown(how),
            #[cfg(feature = "simulation")]
            Self::Pipe(pipe) => pipe.shutdown(how),
        }
    }
}

/// A read that does not fill the buffer has taken all bytes there are. The next read then waits at once, without
/// another system call.
fn poll_read(stream: &TcpStream, context: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
    loop {
        ready!(stream.poll_read_ready(context))?;
        let mut taken = None;
        let read = stream.try_io(Interest::READABLE, || {
            let count = stream.try_read(buffer)?;
            taken = Some(count);
            // Not a real error: it tells the runtime not to try the socket again before more bytes have come.
            if count < buffer.len() { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(()) }
        });
        match (taken, read) {
            (Some(count), _) => return Poll::Ready(Ok(count)),
            (None, Err(fault)) if fault.kind() != io::ErrorKind::WouldBlock => return Poll::Ready(Err(fault)),
            (None, _) => {}
        }
    }
}
