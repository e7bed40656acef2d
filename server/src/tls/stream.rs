//! A TCP socket with the TLS layer on it.

use super::session::Session;
use crate::runtime::readiness::poll_read;
use crate::runtime::system;
use rustls::ServerConfig;
use socket2::SockRef;
use std::cell::RefCell;
use std::fmt;
use std::io::{self, IoSlice};
use std::net::Shutdown;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use tokio::net::TcpStream;

/// A socket that speaks TLS. Reading opens records, and writing seals them: what is written at once is one record, or a
/// few if it is long.
pub(crate) struct TlsStream {
    socket: TcpStream,
    session: RefCell<Session>,
}

/// Why there is no TLS connection.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HandshakeFault {
    /// The client speaks plain HTTP.
    #[error("the client speaks plain HTTP")]
    PlainHttp,
    /// The client is gone.
    #[error("the connection ended")]
    Ended(#[source] io::Error),
    /// The two sides did not agree.
    #[error("{0}")]
    Refused(rustls::Error),
}

impl TlsStream {
    /// Takes a socket, whose client begins with the handshake.
    ///
    /// # Errors
    /// When the configuration fits no connection.
    pub(crate) fn new(socket: TcpStream, config: Arc<ServerConfig>) -> Result<Self, HandshakeFault> {
        let session = Session::new(config).map_err(HandshakeFault::Refused)?;
        Ok(Self { socket, session: RefCell::new(session) })
    }

    /// Makes the next step of the handshake, and waits for what it needs. Returns whether the handshake is over.
    pub(crate) fn poll_handshake(&self, context: &mut Context<'_>) -> Poll<Result<bool, HandshakeFault>> {
        let mut session = self.session.borrow_mut();
        while let Err(fault) = self.send_outgoing(&mut session, false) {
            if fault.kind() != io::ErrorKind::WouldBlock {
                return Poll::Ready(Err(HandshakeFault::Ended(fault)));
            }
            ready!(self.socket.poll_write_ready(context)).map_err(HandshakeFault::Ended)?;
        }
        if !session.is_handshaking() {
            return Poll::Ready(Ok(true));
        }
        with_scratch(|scratch| {
            let begun = session.partial();
            let room = &mut scratch[begun..begun + RECORD_BYTES];
            let count = ready!(poll_read(&self.socket, context, room)).map_err(HandshakeFault::Ended)?;
            if count == 0 {
                return Poll::Ready(Err(HandshakeFault::Ended(io::ErrorKind::UnexpectedEof.into())));
            }
            session.put_partial(scratch);
            if scratch[..begun + count].iter().take(3).all(u8::is_ascii_uppercase) {
                return Poll::Ready(Err(HandshakeFault::PlainHttp));
            }
            let opened = session.open(&mut scratch[..begun + count], &mut []);
            if opened.is_err() {
                // The alert that explains the error, as far as the socket takes it.
                let _ = self.send_outgoing(&mut session, false);
            }
            Poll::Ready(opened.map(|_| false).map_err(HandshakeFault::Refused))
        })
    }

    /// Waits until there is something to read, or the end of the input.
    pub(crate) fn poll_readable(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.session.borrow().has_opened() {
            return Poll::Ready(Ok(()));
        }
        self.socket.poll_read_ready(context)
    }

    /// Reads once, and waits if nothing has come; 0 is the end of the input. Also says whether more may have come.
    pub(crate) fn poll_read(&self, context: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<(usize, bool)>> {
        let mut session = self.session.borrow_mut();
        loop {
            if session.has_opened() {
                return Poll::Ready(Ok((session.take_opened(buffer), true)));
            }
            if session.is_over() {
                return Poll::Ready(Ok((0, false)));
            }
            let (opened, is_full) = ready!(with_scratch(|scratch| {
                let begun = session.partial();
                let end = begun + buffer.len().min(SCRATCH_BYTES - begun);
                let count = ready!(poll_read(&self.socket, context, &mut scratch[begun..end]))?;
                if count == 0 {
                    return Poll::Ready(Ok((None, false)));
                }
                session.put_partial(scratch);
                let opened = session.open(&mut scratch[..begun + count], buffer);
                Poll::Ready(opened.map(|opened| (Some(opened), begun + count == end)).map_err(io::Error::other))
            }))
            .inspect_err(|_| _ = self.send_outgoing(&mut session, false))?;
            // An answer of the protocol itself. What the socket does not take goes before the next data.
            let _ = self.send_outgoing(&mut session, false);
            match opened {
                // An end without a goodbye. The frames within say whether something is missing.
                None => return Poll::Ready(Ok((0, false))),
                Some(0) if is_full => {
                    // Many records without any data: others get their turn in between.
                    context.waker().wake_by_ref();
                    return Poll::Pending;
                }
                Some(0) => {}
                Some(count) => return Poll::Ready(Ok((count, is_full || session.has_opened()))),
            }
        }
    }

    /// Seals and sends. With `asks_system` it does not first ask the runtime whether the socket takes more.
    ///
    /// What is sealed counts as written, although the socket may not have taken all of it; see [`Self::send_rest`].
    pub(crate) fn write(&self, bytes: &[IoSlice<'_>], asks_system: bool) -> io::Result<usize> {
        let mut session = self.session.borrow_mut();
        self.send_outgoing(&mut session, asks_system)?;
        WRITE_BUFFERS.with_borrow_mut(|(joined, sealed)| {
            let data = match bytes {
                [only] => &only[..only.len().min(SEALED_AT_ONCE)],
                many => {
                    joined.clear();
                    for slice in many {
                        let room = SEALED_AT_ONCE - joined.len();
                        joined.extend_from_slice(&slice[..slice.len().min(room)]);
                    }
                    &joined[..]
                }
            };
            sealed.clear();
            session.seal(data, sealed).map_err(io::Error::other)?;
            if !session.outgoing.is_empty() {
                // The protocol itself has to say something first.
                session.outgoing.extend_from_slice(sealed);
                match self.send_outgoing(&mut session, asks_system) {
                    Err(fault) if fault.kind() != io::ErrorKind::WouldBlock => return Err(fault),
                    _ => return Ok(data.len()),
                }
            }
            match self.send(sealed, asks_system) {
                Ok(count) if count == sealed.len() => {}
                Ok(count) => session.outgoing = sealed[count..].to_vec(),
                Err(fault) if fault.kind() == io::ErrorKind::WouldBlock => session.outgoing = sealed.clone(),
                Err(fault) => return Err(fault),
            }
            Ok(data.len())
        })
    }

    /// Sends what is sealed and not sent yet. Returns how much the socket took.
    ///
    /// # Errors
    /// `WouldBlock` when some of it is left, and the errors of the socket.
    pub(crate) fn send_rest(&self, asks_system: bool) -> io::Result<usize> {
        let mut session = self.session.borrow_mut();
        let before = session.outgoing.len();
        match self.send_outgoing(&mut session, asks_system) {
            Err(fault) if fault.kind() == io::ErrorKind::WouldBlock && session.outgoing.len() < before => {
                Ok(before - session.outgoing.len())
            }
            sent => sent.map(|()| before),
        }
    }

    /// Bytes that are sealed and not sent yet.
    pub(crate) fn unsent(&self) -> usize {
        self.session.borrow().outgoing.len()
    }

    /// The socket below the layer.
    pub(crate) fn into_socket(self) -> TcpStream {
        self.socket
    }

    /// The socket below the layer.
    pub(crate) fn socket(&self) -> &TcpStream {
        &self.socket
    }

    /// Shuts one direction or both, after the goodbye of the layer.
    pub(crate) fn shutdown(&self, how: Shutdown) {
        if how != Shutdown::Read {
            self.say_goodbye();
        }
        let _ = SockRef::from(&self.socket).shutdown(how);
    }

    /// Sends the goodbye of the layer, as far as the socket takes it.
    pub(crate) fn say_goodbye(&self) {
        let mut session = self.session.borrow_mut();
        session.say_goodbye();
        let _ = self.send_outgoing(&mut session, true);
    }

    fn send(&self, bytes: &[u8], asks_system: bool) -> io::Result<usize> {
        if asks_system { system::send(&self.socket, bytes) } else { self.socket.try_write(bytes) }
    }

    fn send_outgoing(&self, session: &mut Session, asks_system: bool) -> io::Result<()> {
        while !session.outgoing.is_empty() {
            let count = self.send(&session.outgoing, asks_system)?;
            session.outgoing.drain(..count);
        }
        session.outgoing = Vec::new();
        Ok(())
    }
}

impl fmt::Debug for TlsStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsStream").field("socket", &self.socket).finish_non_exhaustive()
    }
}

fn with_scratch<T>(act: impl FnOnce(&mut [u8]) -> T) -> T {
    SCRATCH.with_borrow_mut(|scratch| {
        scratch.resize(SCRATCH_BYTES, 0);
        act(scratch)
    })
}

thread_local! {
    /// Where records are opened.
    static SCRATCH: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
    /// Where data is joined, and where it is sealed.
    static WRITE_BUFFERS: RefCell<(Vec<u8>, Vec<u8>)> = const { RefCell::new((Vec::new(), Vec::new())) };
}

/// The longest record, with its head (RFC 8446 section 5.2, RFC 5246 section 6.2.3).
const RECORD_BYTES: usize = 5 + 16 * 1024 + 2048;

/// Room for the begin of a record and for a whole read.
const SCRATCH_BYTES: usize = RECORD_BYTES + 64 * 1024;

/// Bytes that are sealed at once: what is sealed can no longer be left out.
const SEALED_AT_ONCE: usize = 64 * 1024;
