//! What a simulation asks of a worker.

use super::Worker;
use crate::pubsub::PubSub;
use crate::simulated::Load;

impl Worker<PubSub> {
    pub(crate) fn turns_taken(&self) -> u64 {
        self.core.turns.get()
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
