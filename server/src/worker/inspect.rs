//! What a simulation asks of a worker.

use super::Worker;
use super::outbound::Outbound;
use super::service::Service;
use crate::connection::peer::Disconnect;
use std::cell::Ref;

/// Numbers about the connections of one worker: how many there are, of how many the reading is stopped, and the bytes
/// that wait.
#[derive(Clone, Copy, Debug)]
pub(crate) struct WorkerLoad {
    pub(crate) connections: usize,
    pub(crate) reading_stopped: usize,
    pub(crate) queued: usize,
}

impl<S: Service> Worker<S> {
    pub(crate) fn turns_taken(&self) -> u64 {
        self.connections.beat.turns()
    }

    pub(crate) fn service(&self) -> Ref<'_, S> {
        self.service.borrow()
    }

    /// Disconnects one connection.
    pub(crate) fn disconnect_one(&self, slot: u32, why: Disconnect) {
        let Some(connection) = self.connections.connection(slot) else { return };
        let mut out = Outbound::new(&self.connections, self.connections.runtime.now());
        self.service.borrow_mut().disconnect(connection.peer, why, &mut out);
        self.connections.want_turn();
    }

    pub(crate) fn load(&self) -> WorkerLoad {
        let connections = self.connections.table.borrow();
        WorkerLoad {
            connections: connections.len(),
            reading_stopped: connections.iter().filter(|(_, connection)| connection.is_reading_stopped()).count(),
            queued: self.connections.totals.queued.get(),
        }
    }
}
