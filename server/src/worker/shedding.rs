//! Shedding: what happens when more bytes wait in the whole process than are allowed.

use super::connections::Connections;
use crate::connection::Connection;
use crate::log::warnings::Warning;
use crate::metrics::kinds::SlowPolicy;
use hubcast_protocol::CloseCode;
use std::cmp::Reverse;
use std::rc::Rc;
use std::time::Instant;

impl Connections {
    /// Relieves the process while more waits in it than is allowed: takes the connections for which most waits, and
    /// treats each as its subscriptions demand.
    pub(super) fn shed(&self, now: Instant) {
        self.account.note_queued(self.number, self.totals.queued.get());
        if !self.account.is_over() {
            return self.account.forget_largest(self.number);
        }
        for (bytes, connection) in self.largest() {
            if !self.account.is_over() || !self.account.report_largest(self.number, bytes) {
                return;
            }
            let (to_write, unfinished) = connection.waiting();
            if !connection.is_open() {
                // It is closing already, and takes too slowly what waits before its close frame.
                self.abort(&connection, "too much waits for it");
            } else if unfinished > to_write {
                let reason = "too much waits in the server, and most of that is unfinished messages like yours";
                self.close(&connection, CloseCode::TRY_AGAIN_LATER, reason, now);
            } else if connection.leave_out_all() {
                self.note_left_out(&connection);
            } else {
                self.metrics().slow_consumers[SlowPolicy::Disconnect as usize].add(1);
                let reason = "too much waits in the server, and most of it for readers like you";
                self.close(&connection, CloseCode::SLOW_CONSUMER, reason, now);
            }
            self.account.note_queued(self.number, self.totals.queued.get());
            self.warnings.note(Warning::TooMuchWaits, now);
        }
        self.account.report_largest(self.number, 0);
    }

    /// Asks for a turn if more waits in the whole process than is allowed. An incomplete message alone would not cause
    /// a turn.
    pub(super) fn look_at_account(&self) {
        self.account.note_queued(self.number, self.totals.queued.get());
        if self.account.is_over() {
            self.want_turn();
        }
    }

    /// The connections for which most waits, each with its bytes, the largest first. Only those count that have a
    /// quarter of an even share or more.
    fn largest(&self) -> Vec<(usize, Rc<Connection>)> {
        let connections = self.table.borrow();
        let waiting = |connection: &Connection| {
            let (to_write, unfinished) = connection.waiting();
            to_write + unfinished
        };
        let mut all: Vec<_> = connections.iter().map(|(slot, connection)| (waiting(connection), slot)).collect();
        all.sort_unstable_by_key(|(bytes, _)| Reverse(*bytes));
        // A connection that has little of all that waits is not the cause, even if no connection of this worker has
        // more.
        let waiting = all.iter().filter(|(bytes, _)| *bytes > 0).count();
        let least = self.account.bytes() / (4 * waiting.max(1));
        let largest = all.into_iter().take(MAX_SHED_PER_TURN).filter(|(bytes, _)| *bytes > 0 && *bytes >= least);
        largest.map(|(bytes, slot)| (bytes, Rc::clone(&connections[slot]))).collect()
    }
}

/// Connections that are handled in one turn because too much waits, at most.
const MAX_SHED_PER_TURN: usize = 64;
