//! Reading the input of a connection, and decoding it.

use super::{Connection, Phase};
use crate::config::Config;
use crate::websocket::decoder::Incoming;
use crate::websocket::frame::Violation;
use hubcast_protocol::CloseCode;
use std::io;
use std::task::{Context, Poll};
use std::time::Instant;

/// The result of decoding a chunk of input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FeedResult {
    Fine,
    /// The client closes, with this code if it gave one, and waits for the answer.
    PeerClosed(Option<CloseCode>),
    Broken(Violation),
}

impl Connection {
    /// Waits until there is something to read, or the end of the input.
    pub(crate) fn poll_readable(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.socket.poll_readable(context)
    }

    /// Reads once, and waits if nothing has come; 0 is the end of the input. Also says whether more may have come.
    pub(crate) fn poll_read(&self, context: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<(usize, bool)>> {
        self.socket.poll_read(context, buffer)
    }

    /// Decodes bytes from the socket. Passes messages to `sink` while the connection takes input.
    pub(crate) fn feed(
        &self,
        bytes: &mut [u8],
        config: &Config,
        now: Instant,
        mut sink: impl FnMut(Incoming<'_>),
    ) -> FeedResult {
        if let Some(stream) = &self.stream {
            return self.ignore(stream, bytes.len());
        }
        let mut decoder = {
            let mut state = self.state.borrow_mut();
            state.traffic.received_bytes += bytes.len() as u64;
            if state.is_ending && state.phase == Phase::Open {
                return FeedResult::Fine;
            }
            match &mut state.phase {
                Phase::Open | Phase::Closing { discards_input: false, .. } => std::mem::take(&mut state.decoder),
                Phase::Lingering { dropped, .. } => {
                    *dropped += bytes.len();
                    return FeedResult::Fine;
                }
                Phase::Closing { discards_input: true, .. } | Phase::Agreed { .. } | Phase::Aborted => {
                    return FeedResult::Fine;
                }
            }
        };
        let before_bytes = decoder.bytes();
        let (mut closed, mut messages) = (None, 0);
        let fed = decoder.feed(bytes, &config.messages, |incoming| match incoming {
            _ if closed.is_some() => {}
            Incoming::Close(code) => closed = Some(FeedResult::PeerClosed(code)),
            message => {
                messages += u64::from(matches!(message, Incoming::Text(_) | Incoming::Binary(_)));
                if self.takes_input() {
                    sink(message);
                }
            }
        });
        let mut state = self.state.borrow_mut();
        state.traffic.messages += messages;
        self.totals.queued.set(self.totals.queued.get() + decoder.bytes() - before_bytes);
        match fed {
            Err(violation) => {
                self.totals.queued.set(self.totals.queued.get() - decoder.bytes());
                return closed.unwrap_or(FeedResult::Broken(violation));
            }
            Ok(0) => {}
            Ok(_) => (state.last_frame_at, state.ping_sent_at) = (now.into(), None),
        }
        let before = state.unfinished_since.filter(|_| messages == 0);
        let is_mid_frame = decoder.is_mid_frame() && !state.is_ending;
        state.unfinished_since = is_mid_frame.then(|| before.unwrap_or(now.into()));
        state.decoder = decoder;
        closed.unwrap_or(FeedResult::Fine)
    }

    /// Notes that the client's input is ignored from now on.
    pub(crate) fn note_ending(&self) {
        let mut state = self.state.borrow_mut();
        (state.is_ending, state.unfinished_since) = (true, None);
    }

    /// Whether the client's input is still used.
    pub(crate) fn takes_input(&self) -> bool {
        let state = self.state.borrow();
        state.phase == Phase::Open && !state.is_ending
    }
}
