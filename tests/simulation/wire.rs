//! One connection between a client and the server: two directions, each in order, until it breaks.
//!
//! What the server writes goes through the shipped connection into a socket of limited room, as the bytes of WebSocket
//! frames; a slow reader empties that room slowly, and the server does what its policy says.

use hubcast_server::simulated::ClientEnd;
use hubcast_tests::Heard;
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

#[derive(Debug)]
pub(crate) struct Wire {
    pub(crate) client: usize,
    pub(crate) pace: Pace,
    pub(crate) server: End,
    /// Whether the client knows of no end of it.
    pub(crate) client_open: bool,
    /// Whether nothing arrives any more, in either direction.
    pub(crate) broken: bool,
    /// When the last thing arrives that was sent in each direction.
    pub(crate) up: Duration,
    pub(crate) down: Duration,
    /// Bytes at the client that are no whole frame yet.
    pub(crate) inbound: Vec<u8>,
    /// How much had been published to each topic when the server confirmed a subscribe, by the id of its request.
    pub(crate) marks: BTreeMap<u64, Vec<usize>>,
    /// When what it published in the last second took effect.
    took_effect: VecDeque<Duration>,
}

/// How fast a connection is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    /// The longest way of a message, in milliseconds.
    pub(crate) latency: u64,
    /// What reading one byte takes.
    pub(crate) byte: Duration,
    /// Bytes on their way at once.
    pub(crate) room: usize,
}

/// The server's end.
#[derive(Debug)]
pub(crate) enum End {
    Opening,
    /// A worker of the server has it, which may be closing it.
    Open {
        worker: usize,
        socket: ClientEnd,
    },
    Gone,
}

#[derive(Debug)]
pub(crate) enum Up {
    Open,
    Bytes(Vec<u8>),
    /// `lost`: without a goodbye.
    Closed {
        lost: bool,
    },
}

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

    /// The server's socket, while the server has it.
    pub(crate) fn socket(&self) -> Option<&ClientEnd> {
        match &self.server {
            End::Open { socket, .. } => Some(socket),
            End::Opening | End::Gone => None,
        }
    }

    /// Notes that something that it published takes effect; says how much did within a second.
    pub(crate) fn note_published(&mut self, now: Duration) -> usize {
        self.took_effect.push_back(now);
        while self.took_effect.front().is_some_and(|first| now - *first > Duration::from_secs(1)) {
            self.took_effect.pop_front();
        }
        self.took_effect.len()
    }

    /// Takes the next whole frame out of what has arrived.
    pub(crate) fn next_frame(&mut self) -> Option<Heard> {
        let (frame, length) = Heard::read(&self.inbound)?;
        self.inbound.drain(..length);
        Some(frame)
    }
}
