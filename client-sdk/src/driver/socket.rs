//! One WebSocket: it sends frames from a queue, and turns received frames into inputs.

use super::place::Place;
use super::received::Received;
use crate::connector::ByteStream;
use crate::machine::{Disconnection, Input};
use futures_util::{Sink, Stream, StreamExt};
use hubcast_protocol::CloseCode;
use std::collections::VecDeque;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Message, frame::coding};
use tokio_tungstenite::tungstenite::{self, Error};

/// A WebSocket connection. It reads while it writes, so that neither direction waits for the other.
pub(super) struct Socket {
    socket: WebSocketStream<Box<dyn ByteStream>>,
    /// Where the server is, until it has sent its first message.
    place: Option<Place>,
    /// Messages that are not written yet, and their bytes. Requests that were given up before they were written are
    /// among them, so the bound of the requests that wait is not enough.
    outgoing: VecDeque<Message>,
    outgoing_bytes: usize,
    most_bytes: usize,
    is_flushed: bool,
}

impl fmt::Debug for Socket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Socket").field("outgoing", &self.outgoing.len()).finish_non_exhaustive()
    }
}

impl Socket {
    /// `request_bytes` are the most bytes of requests that wait for an answer.
    pub(super) fn new(socket: WebSocketStream<Box<dyn ByteStream>>, request_bytes: usize, place: Place) -> Self {
        let most_bytes = request_bytes.saturating_mul(2).saturating_add(SPARE_BYTES);
        Self { socket, place: Some(place), outgoing: VecDeque::new(), outgoing_bytes: 0, most_bytes, is_flushed: true }
    }

    pub(super) fn send(&mut self, text: String) {
        self.outgoing_bytes += text.len();
        self.outgoing.push_back(Message::text(text));
    }

    /// Writes as much as possible and reads one frame. After `Disconnected` it must not be called again.
    pub(super) fn poll(&mut self, context: &mut Context<'_>) -> Poll<Received> {
        let ended = |why| Poll::Ready(Received::Input(Input::Disconnected(why)));
        if let Poll::Ready(Err(error)) = self.poll_write(context) {
            return ended(lost(&error));
        }
        if self.outgoing_bytes > self.most_bytes {
            let reason = "the server does not read what the client sends".to_owned();
            return ended(Disconnection::Lost { reason, retry_after: None });
        }
        match ready!(Pin::new(&mut self.socket).poll_next(context)) {
            Some(Ok(Message::Text(text))) => {
                if let Some(place) = self.place.take() {
                    place.works();
                }
                Poll::Ready(Received::Frame(text))
            }
            Some(Ok(Message::Close(frame))) => {
                // Sends the answer to the close frame; its failure does not matter here.
                let _ = Pin::new(&mut self.socket).poll_flush(context);
                ended(closed(frame))
            }
            Some(Ok(_)) => Poll::Ready(Received::Input(Input::Heard)),
            Some(Err(error)) => ended(lost(&error)),
            None => ended(lost(&Error::ConnectionClosed)),
        }
    }

    /// Closes as RFC 6455 demands: sends a close frame, waits for the answer and for the end of the stream, at most
    /// [`CLOSE_TIMEOUT`].
    pub(super) async fn close(mut self, code: CloseCode) {
        let frame = CloseFrame { code: coding::CloseCode::from(code.0), reason: "".into() };
        let goodbye = async {
            for message in std::mem::take(&mut self.outgoing) {
                futures_util::SinkExt::feed(&mut self.socket, message).await?;
            }
            self.socket.close(Some(frame)).await?;
            while let Some(read) = self.socket.next().await {
                read?;
            }
            Ok::<_, Error>(())
        };
        // If the server does not answer in time, the socket is dropped.
        let _ = tokio::time::timeout(CLOSE_TIMEOUT, goodbye).await;
    }

    fn poll_write(&mut self, context: &mut Context<'_>) -> Poll<tungstenite::Result<()>> {
        let mut socket = Pin::new(&mut self.socket);
        while !self.outgoing.is_empty() {
            ready!(socket.as_mut().poll_ready(context))?;
            if let Some(message) = self.outgoing.pop_front() {
                self.outgoing_bytes -= message.len();
                socket.as_mut().start_send(message)?;
                self.is_flushed = false;
            }
        }
        if !self.is_flushed {
            ready!(socket.poll_flush(context))?;
            self.is_flushed = true;
        }
        Poll::Ready(Ok(()))
    }
}

fn closed(frame: Option<CloseFrame>) -> Disconnection {
    match frame {
        Some(frame) => {
            Disconnection::Closed { code: CloseCode(frame.code.into()), reason: frame.reason.as_str().to_owned() }
        }
        None => Disconnection::Lost { reason: "the server closed without saying why".into(), retry_after: None },
    }
}

fn lost(error: &Error) -> Disconnection {
    let reason = error.to_string();
    match error {
        Error::Capacity(_) => Disconnection::TooLarge { reason },
        _ => Disconnection::Lost { reason, retry_after: None },
    }
}

/// What may wait beside the requests without an answer: those that were given up, twice over, in bytes.
const SPARE_BYTES: usize = 4 * 1024 * 1024;

const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);
