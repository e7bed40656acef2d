//! A connection that was accepted: its socket, and where it comes from.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};

/// What accepts connections.
#[derive(Debug)]
pub(crate) enum Listener {
    /// Of the network.
    Tcp(std::net::TcpListener),
    /// Of this machine.
    Unix(std::os::unix::net::UnixListener),
}

/// Which listener a connection came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Door {
    /// One for clients.
    Clients,
    /// One where only metrics and health checks are.
    Metrics,
}

/// Where a connection comes from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Origin {
    /// The address of the peer. That of a program on this machine, which has no address, is 127.0.0.1:0.
    pub(crate) peer: SocketAddr,
    pub(crate) door: Door,
    /// Whether it came by a Unix socket.
    pub(crate) is_unix: bool,
}

/// An accepted socket on its worker.
#[derive(Debug)]
pub(crate) enum Accepted {
    Tcp(TcpStream),
    Unix(UnixStream),
}

/// An accepted socket on its way to its worker.
#[derive(Debug)]
pub(crate) enum Detached {
    Tcp(std::net::TcpStream),
    Unix(std::os::unix::net::UnixStream),
}

/// A listener of the runtime.
#[derive(Debug)]
pub(crate) enum Listening {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl Listener {
    pub(crate) fn start(self) -> io::Result<Listening> {
        Ok(match self {
            Self::Tcp(listener) => Listening::Tcp(TcpListener::from_std(listener)?),
            Self::Unix(listener) => Listening::Unix(UnixListener::from_std(listener)?),
        })
    }
}

impl Listening {
    pub(crate) async fn accept(&self, door: Door) -> io::Result<(Accepted, Origin)> {
        match self {
            Self::Tcp(listener) => {
                let (stream, peer) = listener.accept().await?;
                Ok((Accepted::Tcp(stream), Origin { peer, door, is_unix: false }))
            }
            Self::Unix(listener) => {
                let (stream, _) = listener.accept().await?;
                let peer = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
                Ok((Accepted::Unix(stream), Origin { peer, door, is_unix: true }))
            }
        }
    }
}

impl Accepted {
    pub(crate) fn detach(self) -> io::Result<Detached> {
        Ok(match self {
            Self::Tcp(stream) => Detached::Tcp(stream.into_std()?),
            Self::Unix(stream) => Detached::Unix(stream.into_std()?),
        })
    }
}

impl Detached {
    pub(crate) fn attach(self) -> io::Result<Accepted> {
        Ok(match self {
            Self::Tcp(stream) => Accepted::Tcp(TcpStream::from_std(stream)?),
            Self::Unix(stream) => Accepted::Unix(UnixStream::from_std(stream)?),
        })
    }
}
