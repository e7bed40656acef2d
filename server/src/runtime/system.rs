//! System calls that differ between systems. Linux is where the server is measured; elsewhere there is a portable way.

use socket2::SockRef;
use std::io;
use std::os::fd::AsFd;

#[cfg(not(unix))]
compile_error!(
    "the server needs a Unix system, such as Linux or macOS; the crates hubcast-client and hubcast-protocol do not"
);

/// Writes to a socket without asking a runtime first. If the peer is gone, there is an error and no signal.
pub(crate) fn send(socket: impl AsFd, bytes: &[u8]) -> io::Result<usize> {
    #[cfg(not(target_vendor = "apple"))]
    let flags = rustix::net::SendFlags::NOSIGNAL;
    // Here an option of the socket itself prevents the signal; the standard library and tokio set it.
    #[cfg(target_vendor = "apple")]
    let flags = rustix::net::SendFlags::empty();
    Ok(rustix::net::send(socket, bytes, flags)?)
}

/// Bounds the bytes that a socket takes beyond those that are on their way.
#[cfg(any(target_os = "linux", target_os = "android"))]
pub(crate) fn bound_unsent(socket: &SockRef<'_>, bytes: u32) -> io::Result<()> {
    socket.set_tcp_notsent_lowat(bytes)
}

/// Bounds the bytes that a socket takes beyond those that are on their way. This system cannot do so: the server needs
/// a little longer to tell a slow reader from one that does not read.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
pub(crate) fn bound_unsent(_socket: &SockRef<'_>, _bytes: u32) -> io::Result<()> {
    Ok(())
}
