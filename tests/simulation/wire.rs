//! One connection between a client and the server: two directions, each in order, until it breaks.
//!
//! What the server sends goes through the shipped outbox into a socket of limited room, as the bytes of WebSocket
//! frames; a slow reader empties that room slowly, and the outbox does what its policy says.

use crate::outbox::{Outbox, Sink};
use hubcast_protocol::CloseCode;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::io::{self, IoSlice};
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
    pub(crate) outbox: Outbox,
    /// Bytes that the socket still takes.
    pub(crate) room: usize,
    pub(crate) blocked: bool,
    /// When the last thing arrives that was sent in each direction.
    pub(crate) up: Duration,
    pub(crate) down: Duration,
    /// Bytes at the client that are no whole frame yet.
    pub(crate) inbound: Vec<u8>,
    /// How much had been published to each topic when the server confirmed a subscribe, by the id of its request.
    pub(crate) marks: BTreeMap<u64, Vec<usize>>,
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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Opening,
    Open,
    /// The close frame is on its way; the hub knows that the session is gone.
    Closing,
    Gone,
}

#[derive(Debug)]
pub(crate) enum Up {
    Open,
    Text(String),
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

/// A whole frame of the server.
#[derive(Debug)]
pub(crate) enum Frame {
    Text(String),
    Ping,
    Close(CloseCode, String),
}

impl Wire {
    pub(crate) fn new(client: usize, pace: Pace) -> Self {
        Self {
            client,
            pace,
            server: End::Opening,
            client_open: true,
            broken: false,
            outbox: Outbox::default(),
            room: pace.room,
            blocked: false,
            up: Duration::ZERO,
            down: Duration::ZERO,
            inbound: Vec::new(),
            marks: BTreeMap::new(),
        }
    }

    /// Takes the next whole frame out of what has arrived.
    pub(crate) fn next_frame(&mut self) -> Option<Frame> {
        let (&[first, short], rest) = self.inbound.split_first_chunk()?;
        let (length, rest) = match short {
            126 => {
                let (length, rest) = rest.split_first_chunk()?;
                (usize::from(u16::from_be_bytes(*length)), rest)
            }
            127 => {
                let (length, rest) = rest.split_first_chunk()?;
                (usize::try_from(u64::from_be_bytes(*length)).expect("a frame fits into memory"), rest)
            }
            short => (usize::from(short), rest),
        };
        let payload = rest.get(..length)?;
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("the server writes UTF-8");
        let frame = match first & 0xF {
            1 => Frame::Text(text(payload)),
            8 => {
                let (code, reason) = payload.split_first_chunk().expect("the server closes with a code");
                Frame::Close(CloseCode(u16::from_be_bytes(*code)), text(reason))
            }
            9 => Frame::Ping,
            other => panic!("a frame with opcode {other}"),
        };
        let taken = self.inbound.len() - (rest.len() - length);
        self.inbound.drain(..taken);
        Some(frame)
    }
}

/// The room in a socket, as the outbox sees it.
pub(crate) struct Socket {
    room: Cell<usize>,
    taken: RefCell<Vec<u8>>,
}

impl Socket {
    pub(crate) fn with_room(room: usize) -> Self {
        Self { room: Cell::new(room), taken: RefCell::default() }
    }

    /// What was written.
    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.taken.into_inner()
    }
}

impl Sink for Socket {
    fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        self.write_vectored(&[IoSlice::new(bytes)])
    }

    fn write_vectored(&self, bytes: &[IoSlice<'_>]) -> io::Result<usize> {
        let (room, mut taken) = (self.room.get(), self.taken.borrow_mut());
        if room == 0 {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let before = taken.len();
        taken.extend(bytes.iter().flat_map(|slice| slice.iter()).take(room));
        let written = taken.len() - before;
        self.room.set(room - written);
        Ok(written)
    }
}
