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
    /// Takes the cost of one write from what this turn may still write.
    pub(super) fn spend(&self, bytes: usize) {
        let cost = VISIT_NS + bytes as u64 / BYTES_PER_NS;
        self.writing.set(self.writing.get().saturating_sub(cost));
    }

    pub(super) fn try_write_direct(&self, connection: &Connection, frames: &Batch) -> DirectWrite {
        self.spend(frames.bytes());
        connection.try_write_direct(frames)
    }

    /// Writes what waits. If the socket does not take all of it, a task writes the rest when the socket takes more.
    pub(super) fn flush(self: &Rc<Self>, connection: &Rc<Connection>, now: Instant) {
        if connection.flush(now) {
            self.runtime.spawn(flush_when_writable(Rc::clone(self), Rc::clone(connection)));
        }
        if !connection.is_open() || connection.is_write_blocked() {
            self.arm(connection, now);
        }
    }

    /// Whether the last turn had no time left to write to all connections that got something. Then the next turn writes
    /// to those first, and nothing directly.
    pub(super) fn is_behind(&self) -> bool {
        self.is_behind.get()
    }

    /// Writes to the connections that got something, in the order in which they got it, as far as this turn's budget
    /// goes. The next turn begins with those that are left.
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

/// Writes to a connection whose socket took no more, until it has taken everything.
async fn flush_when_writable(connections: Rc<Connections>, connection: Rc<Connection>) {
    while connection.writable().await.is_ok() {
        // Connections with much to read are written to a few in each round, so that a crowd of them does not delay
        // other work.
        poll_fn(|context| connections.catching_up.poll_admit(context)).await;
        if !connection.flush(connections.runtime.now()) {
            break;
        }
        tokio::task::yield_now().await;
    }
    connections.arm(&connection, connections.runtime.now());
}

/// Memory that is kept for the list of connections to be written to, in connections.
const KEPT_DIRTY: usize = 16 * 1024;
