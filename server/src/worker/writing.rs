//! Which connections are written to in a turn, and which wait for the next one.

use super::connections::{Connections, WRITE_BUDGET_NS};
use crate::connection::Connection;
use crate::encode::batch::Batch;
use crate::outbox::{DirectWrite, MAX_WRITE_BYTES};
use crate::schedule::{BYTES_PER_NS, VISIT_NS};
use std::future::poll_fn;
use std::rc::Rc;
use std::time::Instant;

impl Connections {
    /// Notes that a connection is written to.
    pub(super) fn spend(&self, bytes: usize) {
        let cost = VISIT_NS + bytes as u64 / BYTES_PER_NS;
        self.writing.set(self.writing.get().saturating_sub(cost));
    }

    pub(super) fn try_write_direct(&self, connection: &Connection, frames: &Batch) -> DirectWrite {
        self.spend(frames.len());
        connection.try_write_direct(frames)
    }

    /// Writes what waits, now and, if the socket does not take all of it, when it takes more.
    pub(super) fn flush(self: &Rc<Self>, connection: &Rc<Connection>, now: Instant) {
        if connection.flush(now) {
            self.runtime.spawn(flush_when_writable(Rc::clone(self), Rc::clone(connection)));
        }
        if !connection.is_open() || connection.is_blocked() {
            self.arm(connection, now);
        }
    }

    /// Whether the last turn has left connections over that are to be written to: they come first, so that nobody is
    /// written to past its outbox.
    pub(super) fn is_behind(&self) -> bool {
        self.is_behind.get()
    }

    /// Writes to those that got something, in the order in which they did, as many as this turn may write to; the others are
    /// the first in the next one.
    pub(super) fn flush_dirty(self: &Rc<Self>, now: Instant) {
        if self.is_behind.get() {
            self.writing.set(WRITE_BUDGET_NS);
        }
        while self.writing.get() > 0 {
            let Some(connection) = self.dirty.borrow_mut().pop_front() else { break };
            if connection.may_flush() {
                self.spend(connection.waiting().0.min(MAX_WRITE_BYTES));
                self.flush(&connection, now);
            }
        }
        let mut dirty = self.dirty.borrow_mut();
        self.is_behind.set(!dirty.is_empty());
        if dirty.is_empty() {
            dirty.shrink_to(KEPT_DIRTY);
        } else {
            self.want_turn();
        }
    }
}

/// Goes on writing to a connection whose socket took no more, until it has taken all.
async fn flush_when_writable(connections: Rc<Connections>, connection: Rc<Connection>) {
    while connection.writable().await.is_ok() {
        // Those who have much to read are written to a few in a round, so that a crowd of them keeps nobody waiting.
        poll_fn(|context| connections.catching_up.poll_admit(context)).await;
        if !connection.flush(connections.runtime.now()) {
            break;
        }
        tokio::task::yield_now().await;
    }
    connections.arm(&connection, connections.runtime.now());
}

/// Room that is kept for those that are to be written to.
const KEPT_DIRTY: usize = 16 * 1024;
