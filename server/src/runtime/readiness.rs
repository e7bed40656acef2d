//! Reading from a socket without one system call more than needed.

use std::io;
use std::task::{Context, Poll, ready};
use tokio::io::Interest;
use tokio::net::{TcpStream, UnixStream};

/// A socket of the runtime.
pub(crate) trait Readable {
    fn poll_read_ready(&self, context: &mut Context<'_>) -> Poll<io::Result<()>>;
    fn try_read(&self, buffer: &mut [u8]) -> io::Result<usize>;
    fn try_io(&self, read: impl FnOnce() -> io::Result<()>) -> io::Result<()>;
}

macro_rules! readable {
    ($socket:ty) => {
        impl Readable for $socket {
            fn poll_read_ready(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
                <$socket>::poll_read_ready(self, context)
            }

            fn try_read(&self, buffer: &mut [u8]) -> io::Result<usize> {
                <$socket>::try_read(self, buffer)
            }

            fn try_io(&self, read: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
                <$socket>::try_io(self, Interest::READABLE, read)
            }
        }
    };
}

readable!(TcpStream);
readable!(UnixStream);

/// Reads once, and waits if nothing has come; 0 is the end of the input.
///
/// A read that does not fill the buffer has taken all bytes there are. The next read then waits at once, without
/// another system call.
pub(crate) fn poll_read(
    socket: &impl Readable,
    context: &mut Context<'_>,
    buffer: &mut [u8],
) -> Poll<io::Result<usize>> {
    loop {
        ready!(socket.poll_read_ready(context))?;
        let mut taken = None;
        let read = socket.try_io(|| {
            let count = socket.try_read(buffer)?;
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
