//! Which connections are written to in a turn, and which wait for the next one.

use super::core::Core;
use crate::connection::Connection;
use crate::frames::Frames;
use crate::outbox::{Through, WRITTEN_AT_ONCE};
use crate::schedule::{BYTES_A_NANOSECOND, VISIT};
use std::future::poll_fn;
use std::rc::Rc;
use std::time::Instant;

impl Core {
    /// Notes that a connection is written to.
    pub(super) fn spend(&self, bytes: usize) {
        let cost = VISIT + bytes as u64 / BYTES_A_NANOSECOND;
        self.writing.set(self.writing.get().saturating_sub(cost));
    }

    pub(super) fn write_through(&self, connection: &Connection, frames: &Frames) -> Through {
        self.spend(frames.len());
        connection.write_through(frames)
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

    /// Whether more connections wait to be written to than a turn may write to.
    pub(super) fn is_behind(&self) -> bool {
        self.writing.get() == 0 || self.left_over.get() > 0
    }

    /// Writes to those whom the last turn has left over, as many as this turn may write to. Who got something since is written
    /// to when this turn has said all that it has for them.
    pub(super) fn flush_left_over(self: &Rc<Self>, now: Instant) {
        self.flush_first(self.left_over.get(), now);
    }

    /// Writes to those that got something, as many as this turn may write to; the others are the first in the next one.
    pub(super) fn flush_dirty(self: &Rc<Self>, now: Instant) {
        self.flush_first(usize::MAX, now);
        let mut dirty = self.dirty.borrow_mut();
        self.left_over.set(dirty.len());
        if dirty.is_empty() {
            dirty.shrink_to(KEPT);
        } else {
            self.want_turn();
        }
    }

    fn flush_first(self: &Rc<Self>, count: usize, now: Instant) {
        for _ in 0..count {
            if self.writing.get() == 0 {
                return;
            }
            let Some(connection) = self.dirty.borrow_mut().pop_front() else { return };
            self.left_over.set(self.left_over.get().saturating_sub(1));
            if connection.may_flush() {
                self.spend(connection.waiting().0.min(WRITTEN_AT_ONCE));
                self.flush(&connection, now);
            }
        }
    }
}

/// Goes on writing to a connection whose socket took no more, until it has taken all.
async fn flush_when_writable(core: Rc<Core>, connection: Rc<Connection>) {
    while connection.writable().await.is_ok() {
        // Those who have much to read are written to a few in a round, so that a crowd of them keeps nobody waiting.
        poll_fn(|context| core.catching_up.poll_pass(context)).await;
        if !connection.flush(core.runtime.now()) {
            break;
        }
        tokio::task::yield_now().await;
    }
    core.arm(&connection, core.runtime.now());
}

/// Room that is kept for those that are to be written to.
const KEPT: usize = 16 * 1024;
