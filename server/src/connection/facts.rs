//! What an operator sees of a connection.

use super::Connection;
use hubcast_protocol::Dialect;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// A connection, as its worker knows it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ConnectionFacts {
    /// The other end, if the system still knows it.
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
    pub(crate) fn facts(&self, now: Instant) -> ConnectionFacts {
        let blocked_since = self.state.borrow().write_blocked;
        ConnectionFacts {
            address: self.address(),
            dialect: self.peer.dialect,
            open_for: now.saturating_duration_since(self.opened_at),
            waiting: self.waiting().0,
            behind: blocked_since.map_or(Duration::ZERO, |since| now.saturating_duration_since(since)),
        }
    }
}
