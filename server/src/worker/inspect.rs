//! What a simulation asks of a worker.

use super::Worker;
use super::outbound::Outbound;
use super::service::Service;
use crate::connection::peer::Farewell;
use std::cell::Ref;

/// What the connections of one worker have to do.
#[derive(Clone, Copy, Debug)]
pub(crate) struct WorkerLoad {
    pub(crate) connections: usize,
    pub(crate) held: usize,
    pub(crate) queued: usize,
}

impl<S: Service> Worker<S> {
    pub(crate) fn turns_taken(&self) -> u64 {
        self.core.turns.get()
    }

    pub(crate) fn service(&self) -> Ref<'_, S> {
        self.service.borrow()
    }

    /// Sends one connection away.
    pub(crate) fn send_away_from(&self, slot: u32, why: Farewell) {
        let Some(connection) = self.core.connection(slot) else { return };
        let mut out = Outbound::new(&self.core, self.core.runtime.now());
        self.service.borrow_mut().send_away(connection.peer, why, &mut out);
        self.core.want_turn();
    }

    pub(crate) fn load(&self) -> WorkerLoad {
        let connections = self.core.connections.borrow();
        WorkerLoad {
            connections: connections.len(),
            held: connections.iter().filter(|(_, connection)| connection.is_held()).count(),
            queued: self.core.queued().get(),
        }
    }
}
