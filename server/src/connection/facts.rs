//! What an operator sees of a connection.

use super::Connection;
use crate::metrics::traffic::Traffic;
use hubcast_protocol::Dialect;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// A connection, as its worker knows it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ConnectionFacts {
    /// The other end, if it has an address.
    pub(crate) address: Option<SocketAddr>,
    pub(crate) dialect: Dialect,
    /// For how long it is open.
    pub(crate) open_for: Duration,
    /// Bytes that wait to be written.
    pub(crate) waiting: usize,
    /// For how long its socket has taken nothing of them.
    pub(crate) behind: Duration,
}

impl Connection {
    /// For how long it is open.
    pub(crate) fn open_for(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.state.borrow().opened.instant())
    }

    /// What went over it.
    pub(crate) fn traffic(&self) -> Traffic {
        self.state.borrow().traffic
    }

    /// Counts publications that are queued for it.
    pub(crate) fn note_deliveries(&self, publications: usize) {
        self.state.borrow_mut().traffic.deliveries += publications as u64;
    }

    pub(crate) fn facts(&self, now: Instant) -> ConnectionFacts {
        let blocked_since = self.state.borrow().write_blocked;
        ConnectionFacts {
            address: self.address(),
            dialect: self.peer.dialect,
            open_for: self.open_for(now),
            waiting: self.waiting().0,
            behind: blocked_since.map_or(Duration::ZERO, |since| now.saturating_duration_since(since.instant())),
        }
    }
}
