//! The connection in its phases: none, opening, or open.

use super::endpoint::Endpoint;
use super::received::Received;
use super::transport::Transport;
use crate::machine::{Disconnection, Input};
use hubcast_protocol::{AccessToken, CloseCode};
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

/// At most one connection to an endpoint.
#[derive(Debug)]
pub(super) struct Connection {
    endpoint: Endpoint,
    /// The most bytes of requests that wait for an answer.
    request_bytes: usize,
    state: SocketState,
}

enum SocketState {
    None,
    Opening(Pin<Box<dyn Future<Output = Result<Transport, Disconnection>> + Send>>),
    Open(Transport),
}

impl Connection {
    pub(super) fn new(endpoint: Endpoint, request_bytes: usize) -> Self {
        Self { endpoint, request_bytes, state: SocketState::None }
    }

    /// Makes a connection, which shows this token.
    pub(super) fn open(&mut self, token: Option<AccessToken>) {
        self.state = SocketState::Opening(Box::pin(self.endpoint.clone().open(token, self.request_bytes)));
    }

    /// Queues a frame for sending; without an open connection the frame is dropped.
    pub(super) fn send(&mut self, text: String) {
        if let SocketState::Open(line) = &mut self.state {
            line.send(text);
        }
    }

    /// Closes the connection, if there is one, or stops opening it. Takes one second at most.
    pub(super) async fn close(&mut self, code: CloseCode) {
        if let SocketState::Open(line) = std::mem::replace(&mut self.state, SocketState::None) {
            line.close(code).await;
        }
    }

    /// The next input from the connection.
    pub(super) fn poll(&mut self, context: &mut Context<'_>) -> Poll<Received> {
        let received = match &mut self.state {
            SocketState::None => return Poll::Pending,
            SocketState::Opening(opening) => match ready!(opening.as_mut().poll(context)) {
                Ok(transport) => {
                    self.state = SocketState::Open(transport);
                    return Poll::Ready(Received::Input(Input::Connected));
                }
                Err(why) => Received::Input(Input::Disconnected(why)),
            },
            SocketState::Open(line) => ready!(line.poll(context)),
        };
        if matches!(received, Received::Input(Input::Disconnected(_))) {
            self.state = SocketState::None;
        }
        Poll::Ready(received)
    }
}

impl fmt::Debug for SocketState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "None",
            Self::Opening(_) => "Opening",
            Self::Open(_) => "Open",
        })
    }
}
