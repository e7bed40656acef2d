//! What systems do in ways of their own. Linux is where the server is measured; elsewhere there is a portable way.

use socket2::SockRef;
use std::io;
use std::os::fd::AsFd;

#[cfg(not(unix))]
compile_error!(
    "the server needs a Unix system, such as Linux or macOS; the crates hubcast-client and hubcast-protocol do not"
);

/// Writes to a socket without asking a runtime first, and without a signal when the peer is gone.
pub(crate) fn send(socket: impl AsFd, bytes: &[u8]) -> io::Result<usize> {
    #[cfg(not(target_vendor = "apple"))]
    let flags = rustix::net::SendFlags::NOSIGNAL;
    // Here the socket itself says that there is to be no signal; the standard library and tokio set that.
    #[cfg(target_vendor = "apple")]
    let flags = rustix::net::SendFlags::empty();
    Ok(rustix::net::send(socket, bytes, flags)?)
}

/// Bounds what a socket takes beyond what is on its way.
#[cfg(any(target_os = "linux", target_os = "android"))]
pub(crate) fn bound_unsent(socket: &SockRef<'_>, bytes: u32) -> io::Result<()> {
    socket.set_tcp_notsent_lowat(bytes)
}

/// Bounds what a socket takes beyond what is on its way. This system cannot: a slow reader is told from one that does not
/// read a little later.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
pub(crate) fn bound_unsent(_socket: &SockRef<'_>, _bytes: u32) -> io::Result<()> {
    Ok(())
}
