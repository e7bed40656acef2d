//! One connection to a test server, with what is on its way in each direction.

use crate::machine::Input;
use hubcast_protocol::ClientId;
use std::collections::VecDeque;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

/// A connection, as the network between its two ends sees it.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) client: ClientId,
    to_server: VecDeque<Parcel<ToServer>>,
    to_client: VecDeque<Parcel<Input>>,
    /// The client's end. When this is dropped, the client notices that the connection is lost.
    receiver: mpsc::UnboundedSender<Input>,
    /// The bytes in `to_client` that count against [`OUTBOX_BYTES`].
    waiting_bytes: usize,
    /// Nothing arrives, in neither direction.
    pub(super) is_held: bool,
    /// The server has closed its end: the client still gets what is on its way.
    pub(super) is_closed: bool,
    /// The answer to the next request is lost, and then the connection.
    pub(super) loses_answer: bool,
    last_frame_at: Instant,
    /// When the last ping was sent, while no frame has come since.
    pinged_at: Option<Instant>,
}

/// What a client sends.
#[derive(Debug)]
pub(super) enum ToServer {
    Request(String),
    /// The answer to a ping.
    Pong,
    /// The client's end is gone: lost, or closed as agreed.
    Closed {
        lost: bool,
    },
}

/// Something on its way.
#[derive(Debug)]
struct Parcel<T> {
    due: Instant,
    content: T,
    bytes: usize,
}

/// What a quiet connection needs.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum PingDue {
    Ping,
    Close,
}

impl Line {
    pub(super) fn new(now: Instant, client: ClientId, receiver: mpsc::UnboundedSender<Input>) -> Self {
        Self {
            client,
            to_server: VecDeque::new(),
            to_client: VecDeque::new(),
            receiver,
            waiting_bytes: 0,
            is_held: false,
            is_closed: false,
            loses_answer: false,
            last_frame_at: now,
            pinged_at: None,
        }
    }

    /// Sends to the server; it arrives after the delay, and behind everything that was sent before.
    pub(super) fn send(&mut self, now: Instant, delay: Duration, content: ToServer) {
        self.to_server.push_back(Parcel { due: now + delay, content, bytes: 0 });
    }

    /// Sends to the client, in the same way. `bytes` count against the outbox until they arrive. Returns whether the
    /// outbox has room for more.
    pub(super) fn tell(&mut self, now: Instant, delay: Duration, content: Input, bytes: usize) -> bool {
        self.to_client.push_back(Parcel { due: now + delay, content, bytes });
        self.waiting_bytes += bytes;
        self.hand_over(now);
        self.waiting_bytes <= OUTBOX_BYTES
    }

    /// Hands to the client what has arrived there.
    pub(super) fn hand_over(&mut self, now: Instant) {
        while !self.is_held && self.to_client.front().is_some_and(|first| first.due <= now) {
            if let Some(parcel) = self.to_client.pop_front() {
                self.waiting_bytes -= parcel.bytes;
                // The client may have dropped its end.
                let _ = self.receiver.send(parcel.content);
            }
        }
    }

    /// What has arrived at the server.
    pub(super) fn receive(&mut self, now: Instant) -> Option<ToServer> {
        let has_arrived = !self.is_held && self.to_server.front().is_some_and(|first| first.due <= now);
        let content = if has_arrived { self.to_server.pop_front()?.content } else { return None };
        (self.last_frame_at, self.pinged_at) = (now, None);
        Some(content)
    }

    /// Whether nothing is on its way to the client any more.
    pub(super) fn is_drained(&self) -> bool {
        self.to_client.is_empty()
    }

    /// When something arrives next.
    pub(super) fn next_arrival(&self) -> Option<Instant> {
        if self.is_held {
            return None;
        }
        let to_server = self.to_server.front().map(|first| first.due);
        to_server.into_iter().chain(self.to_client.front().map(|first| first.due)).min()
    }

    /// When the server has to do something about a quiet client, and what.
    pub(super) fn next_ping(&self, every: Duration) -> Option<(Instant, PingDue)> {
        match self.pinged_at {
            _ if self.is_closed || every.is_zero() => None,
            Some(at) => Some((at + PONG_TIMEOUT, PingDue::Close)),
            None => Some((self.last_frame_at + every, PingDue::Ping)),
        }
    }

    pub(super) fn note_ping(&mut self, now: Instant) {
        self.pinged_at = Some(now);
    }
}

/// The most bytes on their way to a client that the server sent while it was live; over it the server closes the
/// connection with 4002. It is the default of a real server.
const OUTBOX_BYTES: usize = 1024 * 1024;

/// The longest time from a ping to any frame of the client, as by default on a real server.
const PONG_TIMEOUT: Duration = Duration::from_secs(10);
