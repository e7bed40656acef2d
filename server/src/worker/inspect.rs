//! What a simulation asks of a worker.

use super::Worker;
use crate::pubsub::PubSub;
use crate::service::{Farewell, Service};
use crate::simulated::Load;

impl Worker<PubSub> {
    pub(crate) fn turns_taken(&self) -> u64 {
        self.core.turns.get()
    }

    /// Sends one connection away.
    pub(crate) fn send_away_from(&self, slot: u32, why: Farewell) {
        let Some(connection) = self.core.connection(slot) else { return };
        let mut out = self.core.outbound(self.core.runtime.now());
        self.service.borrow_mut().send_away(connection.peer, why, &mut out);
        self.core.want_turn();
    }

    pub(crate) fn load(&self) -> Load {
        let connections = self.core.connections.borrow();
        Load {
            connections: connections.len(),
            held: connections.iter().filter(|(_, connection)| connection.is_held()).count(),
            queued: self.core.queued().get(),
            ..self.service.borrow().load()
        }
    }
}
