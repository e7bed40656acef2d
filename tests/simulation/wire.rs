//! One connection between a client and the server: two directions, each in order, until it breaks.
//!
//! The server writes the bytes of WebSocket frames through its shipped connection code into a socket of limited room. A
//! slow reader takes them slowly, and the server then does what the subscription's `slow` policy says.

use hubcast_server::simulated::ClientEnd;
use hubcast_tests::Heard;
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

/// One connection, as the world sees it.
#[derive(Debug)]
pub(crate) struct Wire {
    pub(crate) client: usize,
    pub(crate) pace: Pace,
    pub(crate) server: End,
    /// Whether the client has not yet noticed an end of the connection.
    pub(crate) client_open: bool,
    /// Whether nothing arrives any more, in either direction.
    pub(crate) broken: bool,
    /// The time when the last thing that was sent arrives, for each direction.
    pub(crate) up: Duration,
    pub(crate) down: Duration,
    /// Bytes at the client that are not yet a complete frame.
    pub(crate) inbound: Vec<u8>,
    /// The number of publications to each topic when the server confirmed a subscribe, by the id of its request.
    pub(crate) marks: BTreeMap<u64, Vec<usize>>,
    /// When its publications of the last second took effect.
    took_effect: VecDeque<Duration>,
}

/// The speed of a connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    /// The longest time that a message is on its way, in milliseconds.
    pub(crate) latency: u64,
    /// The time that the client needs to read one byte.
    pub(crate) byte: Duration,
    /// Bytes that may be on their way to the client at once.
    pub(crate) room: usize,
}

/// The server's end.
#[derive(Debug)]
pub(crate) enum End {
    Opening,
    /// A worker of the server has the connection; it may already be closing it.
    Open {
        worker: usize,
        socket: ClientEnd,
    },
    Gone,
}

/// What is sent from a client to the server.
#[derive(Debug)]
pub(crate) enum Up {
    Open,
    Bytes(Vec<u8>),
    /// The client's end is gone; `lost`: without a close frame.
    Closed {
        lost: bool,
    },
}

/// What is sent from the server to a client.
#[derive(Debug)]
pub(crate) enum Down {
    Accepted,
    Refused,
    Bytes(Vec<u8>),
    Lost,
}

impl Wire {
    pub(crate) fn new(client: usize, pace: Pace) -> Self {
        Self {
            client,
            pace,
            server: End::Opening,
            client_open: true,
            broken: false,
            up: Duration::ZERO,
            down: Duration::ZERO,
            inbound: Vec::new(),
            marks: BTreeMap::new(),
            took_effect: VecDeque::new(),
        }
    }

    /// The server's socket, while the server has the connection.
    pub(crate) fn socket(&self) -> Option<&ClientEnd> {
        match &self.server {
            End::Open { socket, .. } => Some(socket),
            End::Opening | End::Gone => None,
        }
    }

    /// Records that a publication of this connection takes effect. Returns how many did within the last second.
    pub(crate) fn note_published(&mut self, now: Duration) -> usize {
        self.took_effect.push_back(now);
        while self.took_effect.front().is_some_and(|first| now - *first > Duration::from_secs(1)) {
            self.took_effect.pop_front();
        }
        self.took_effect.len()
    }

    /// Removes the next complete frame from the bytes that have arrived.
    pub(crate) fn next_frame(&mut self) -> Option<Heard> {
        let (frame, length) = Heard::read(&self.inbound)?;
        self.inbound.drain(..length);
        Some(frame)
    }
}
