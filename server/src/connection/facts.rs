//! What an operator sees of a connection.

use super::Connection;
use hubcast_protocol::Dialect;
use std::net::SocketAddr;
use std::sync::LazyLock;
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

/// A moment, in whole seconds of a clock that goes round in 194 days: how long ago it was is right up to then. It has
/// three bytes, because a fourth one would cost each connection a larger piece of memory.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seconds([u8; 3]);

impl Seconds {
    pub(super) fn of(now: Instant) -> Self {
        let seconds = now.saturating_duration_since(*FIRST).as_secs();
        let [.., high, middle, low] = seconds.to_be_bytes();
        Self([high, middle, low])
    }

    fn until(self, now: Instant) -> Duration {
        let passed = Self::of(now).number().wrapping_sub(self.number()) & 0x00FF_FFFF;
        Duration::from_secs(passed.into())
    }

    fn number(self) -> u32 {
        let [high, middle, low] = self.0;
        u32::from_be_bytes([0, high, middle, low])
    }
}

/// When the process opened its first connection.
static FIRST: LazyLock<Instant> = LazyLock::new(Instant::now);

impl Connection {
    /// For how long it is open, in whole seconds.
    pub(crate) fn open_for(&self, now: Instant) -> Duration {
        self.state.borrow().opened.until(now)
    }

    pub(crate) fn facts(&self, now: Instant) -> ConnectionFacts {
        let blocked_since = self.state.borrow().write_blocked;
        ConnectionFacts {
            address: self.address(),
            dialect: self.peer.dialect,
            open_for: self.open_for(now),
            waiting: self.waiting().0,
            behind: blocked_since.map_or(Duration::ZERO, |since| now.saturating_duration_since(since)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_age_of_a_connection_is_right_however_long_the_process_runs() {
        let day = Duration::from_secs(24 * 3600);
        for opened_after in [0, 1, 193, 194, 195, 1_000] {
            let opened_at = *FIRST + day * opened_after;
            for days in [0, 1, 194] {
                assert_eq!(Seconds::of(opened_at).until(opened_at + day * days), day * days, "{opened_after}, {days}");
            }
        }
    }
}
