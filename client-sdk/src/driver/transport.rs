//! An open connection, through a socket or inside the process.

use super::received::Received;
use super::socket::Socket;
use hubcast_protocol::CloseCode;
use std::task::{Context, Poll};

/// An open connection through a socket, or to a server in this process.
#[derive(Debug)]
pub(crate) enum Transport {
    Socket(Box<Socket>),
    #[cfg(feature = "testing")]
    Local(crate::testing::Wire),
}

impl Transport {
    pub(super) fn send(&mut self, text: String) {
        match self {
            Self::Socket(socket) => socket.send(text),
            #[cfg(feature = "testing")]
            Self::Local(wire) => wire.send(text),
        }
    }

    /// The next input from the connection. After `Disconnected` it must not be called again.
    pub(super) fn poll(&mut self, context: &mut Context<'_>) -> Poll<Received> {
        match self {
            Self::Socket(socket) => socket.poll(context),
            #[cfg(feature = "testing")]
            Self::Local(wire) => wire.poll(context).map(Received::Input),
        }
    }

    pub(super) async fn close(self, code: CloseCode) {
        match self {
            Self::Socket(socket) => socket.close(code).await,
            #[cfg(feature = "testing")]
            Self::Local(wire) => wire.close(code),
        }
    }
}
