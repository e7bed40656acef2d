//! The connection as it comes and goes: none, in the making, or a socket.

use super::endpoint::Endpoint;
use super::line::Line;
use crate::machine::{Disconnection, Input};
use hubcast_protocol::CloseCode;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

/// At most one connection to an endpoint.
#[derive(Debug)]
pub(super) struct Connection {
    endpoint: Endpoint,
    stage: Stage,
}

enum Stage {
    None,
    Opening(Pin<Box<dyn Future<Output = Result<Line, Disconnection>> + Send>>),
    Open(Line),
}

impl Connection {
    pub(super) fn new(endpoint: Endpoint) -> Self {
        Self { endpoint, stage: Stage::None }
    }

    pub(super) fn open(&mut self) {
        self.stage = Stage::Opening(Box::pin(self.endpoint.clone().open()));
    }

    /// Sends as soon as the connection takes it; without one there is nobody to send to.
    pub(super) fn send(&mut self, text: String) {
        if let Stage::Open(line) = &mut self.stage {
            line.send(text);
        }
    }

    /// Ends what there is; takes a second at most.
    pub(super) async fn close(&mut self, code: CloseCode) {
        if let Stage::Open(line) = std::mem::replace(&mut self.stage, Stage::None) {
            line.close(code).await;
        }
    }

    /// The next thing that happens on the connection.
    pub(super) fn poll(&mut self, context: &mut Context<'_>) -> Poll<Input> {
        let input = match &mut self.stage {
            Stage::None => return Poll::Pending,
            Stage::Opening(opening) => match ready!(opening.as_mut().poll(context)) {
                Ok(line) => {
                    self.stage = Stage::Open(line);
                    return Poll::Ready(Input::Connected);
                }
                Err(why) => Input::Disconnected(why),
            },
            Stage::Open(line) => ready!(line.poll(context)),
        };
        if matches!(input, Input::Disconnected(_)) {
            self.stage = Stage::None;
        }
        Poll::Ready(input)
    }
}

impl fmt::Debug for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "None",
            Self::Opening(_) => "Opening",
            Self::Open(_) => "Open",
        })
    }
}
