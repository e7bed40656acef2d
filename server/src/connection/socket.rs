//! The socket of a connection.

#[cfg(feature = "simulation")]
use super::pipe::Pipe;
use crate::runtime::readiness::poll_read;
use crate::runtime::system;
use crate::tls::TlsStream;
use socket2::SockRef;
use std::io::{self, IoSlice};
use std::net::{Shutdown, SocketAddr};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};

/// Reads and writes the bytes of a connection.
#[derive(Debug)]
pub(crate) enum Socket {
    /// A socket of the network.
    Tcp(TcpStream),
    /// Another one. The enum of its own is what lets a `Socket` be no larger than a `TcpStream`.
    Other(Other),
}

/// Sockets that are not plainly of the network, each in a box.
#[derive(Debug)]
pub(crate) enum Other {
    /// A socket of this machine.
    Unix(Box<UnixStream>),
    /// A socket of the network with the TLS layer.
    Tls(Box<TlsStream>),
    /// The server's end of two queues in memory.
    #[cfg(feature = "simulation")]
    Pipe(Box<Pipe>),
}

/// A socket by its kind.
enum Kind<'a> {
    Tcp(&'a TcpStream),
    Unix(&'a UnixStream),
    Tls(&'a TlsStream),
    #[cfg(feature = "simulation")]
    Pipe(&'a Pipe),
}

impl From<UnixStream> for Socket {
    fn from(stream: UnixStream) -> Self {
        Self::Other(Other::Unix(Box::new(stream)))
    }
}

impl From<TlsStream> for Socket {
    fn from(stream: TlsStream) -> Self {
        Self::Other(Other::Tls(Box::new(stream)))
    }
}

#[cfg(feature = "simulation")]
impl From<Pipe> for Socket {
    fn from(pipe: Pipe) -> Self {
        Self::Other(Other::Pipe(Box::new(pipe)))
    }
}

impl Socket {
    fn kind(&self) -> Kind<'_> {
        match self {
            Self::Tcp(stream) => Kind::Tcp(stream),
            Self::Other(other) => match other {
                Other::Unix(stream) => Kind::Unix(stream),
                Other::Tls(stream) => Kind::Tls(stream),
                #[cfg(feature = "simulation")]
                Other::Pipe(pipe) => Kind::Pipe(pipe),
            },
        }
    }

    /// Waits until there is something to read, or the end of the input.
    pub(crate) fn poll_readable(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.kind() {
            Kind::Tcp(stream) => stream.poll_read_ready(context),
            Kind::Unix(stream) => stream.poll_read_ready(context),
            Kind::Tls(stream) => stream.poll_readable(context),
            #[cfg(feature = "simulation")]
            Kind::Pipe(pipe) => pipe.poll_readable(context).map(Ok),
        }
    }

    /// Reads once, and waits if nothing has come; 0 is the end of the input. Also says whether more may have come.
    pub(super) fn poll_read(&self, context: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<(usize, bool)>> {
        let count = match self.kind() {
            Kind::Tcp(stream) => ready!(poll_read(stream, context, buffer))?,
            Kind::Unix(stream) => ready!(poll_read(stream, context, buffer))?,
            Kind::Tls(stream) => return stream.poll_read(context, buffer),
            #[cfg(feature = "simulation")]
            Kind::Pipe(pipe) => ready!(pipe.poll_read(context, buffer)),
        };
        Poll::Ready(Ok((count, count == buffer.len())))
    }

    /// Waits until the socket takes more bytes.
    fn poll_writable(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.kind() {
            Kind::Tcp(stream) => stream.poll_write_ready(context),
            Kind::Unix(stream) => stream.poll_write_ready(context),
            Kind::Tls(stream) => stream.socket().poll_write_ready(context),
            // It is polled again when the test goes on.
            #[cfg(feature = "simulation")]
            Kind::Pipe(_) => Poll::Pending,
        }
    }

    /// Waits until the socket takes more bytes.
    pub(super) async fn writable(&self) -> io::Result<()> {
        match self.kind() {
            Kind::Tcp(stream) => stream.writable().await,
            Kind::Unix(stream) => stream.writable().await,
            Kind::Tls(stream) => stream.socket().writable().await,
            #[cfg(feature = "simulation")]
            Kind::Pipe(pipe) => pipe.writable().await,
        }
    }

    pub(super) fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        match self.kind() {
            Kind::Tcp(stream) => stream.try_write(bytes),
            Kind::Unix(stream) => stream.try_write(bytes),
            Kind::Tls(stream) => stream.write(&[IoSlice::new(bytes)], false),
            #[cfg(feature = "simulation")]
            Kind::Pipe(pipe) => pipe.write(&[IoSlice::new(bytes)]),
        }
    }

    pub(super) fn write_vectored(&self, bytes: &[IoSlice<'_>]) -> io::Result<usize> {
        match self.kind() {
            Kind::Tcp(stream) => stream.try_write_vectored(bytes),
            Kind::Unix(stream) => stream.try_write_vectored(bytes),
            Kind::Tls(stream) => stream.write(bytes, false),
            #[cfg(feature = "simulation")]
            Kind::Pipe(pipe) => pipe.write(bytes),
        }
    }

    /// Writes with a system call at once, without asking the runtime first whether the socket takes more bytes.
    pub(crate) fn send(&self, bytes: &[u8]) -> io::Result<usize> {
        match self.kind() {
            Kind::Tcp(stream) => system::send(stream, bytes),
            Kind::Unix(stream) => system::send(stream, bytes),
            Kind::Tls(stream) => stream.write(&[IoSlice::new(bytes)], true),
            #[cfg(feature = "simulation")]
            Kind::Pipe(pipe) => pipe.write(&[IoSlice::new(bytes)]),
        }
    }

    /// Sends what counts as written and waits in the TLS layer. Returns how much the socket took.
    ///
    /// # Errors
    /// `WouldBlock` when the socket takes nothing of it, and the errors of the socket.
    pub(super) fn send_rest(&self, asks_system: bool) -> io::Result<usize> {
        match self.kind() {
            Kind::Tls(stream) => stream.send_rest(asks_system),
            _ => Ok(0),
        }
    }

    /// Bytes that count as written and wait in the TLS layer.
    pub(super) fn unsent(&self) -> usize {
        match self.kind() {
            Kind::Tls(stream) => stream.unsent(),
            _ => 0,
        }
    }

    pub(crate) fn peer_addr(&self) -> io::Result<SocketAddr> {
        match self.kind() {
            Kind::Tcp(stream) => stream.peer_addr(),
            Kind::Tls(stream) => stream.socket().peer_addr(),
            _ => Err(io::ErrorKind::Unsupported.into()),
        }
    }

    /// The socket of the network, if it is one.
    pub(crate) fn tcp(&self) -> Option<&TcpStream> {
        match self.kind() {
            Kind::Tcp(stream) => Some(stream),
            Kind::Tls(stream) => Some(stream.socket()),
            _ => None,
        }
    }

    /// Says that nothing more will be sent, if the TLS layer has a word for that.
    pub(super) fn say_goodbye(&self) {
        if let Kind::Tls(stream) = self.kind() {
            stream.say_goodbye();
        }
    }

    /// Shuts one direction or both. An error is ignored: then the client has closed already.
    pub(super) fn shutdown(&self, how: Shutdown) {
        match self.kind() {
            Kind::Tcp(stream) => _ = SockRef::from(stream).shutdown(how),
            Kind::Unix(stream) => _ = SockRef::from(stream).shutdown(how),
            Kind::Tls(stream) => stream.shutdown(how),
            #[cfg(feature = "simulation")]
            Kind::Pipe(pipe) => pipe.shutdown(how),
        }
    }
}

impl AsyncRead for Socket {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_read(context, buffer),
            other => {
                let (count, _) = ready!(Self::poll_read(other, context, buffer.initialize_unfilled()))?;
                buffer.advance(count);
                Poll::Ready(Ok(()))
            }
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let socket = self.get_mut();
        if let Self::Tcp(stream) = socket {
            return Pin::new(stream).poll_write(context, bytes);
        }
        loop {
            match socket.write(bytes) {
                Err(fault) if fault.kind() == io::ErrorKind::WouldBlock => ready!(socket.poll_writable(context))?,
                written => return Poll::Ready(written),
            }
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.unsent() > 0 {
            match self.send_rest(false) {
                Err(fault) if fault.kind() == io::ErrorKind::WouldBlock => ready!(self.poll_writable(context))?,
                sent => _ = sent?,
            }
        }
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.as_mut().poll_flush(context))?;
        self.shutdown(Shutdown::Write);
        Poll::Ready(Ok(()))
    }
}
