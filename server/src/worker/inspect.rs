//! What a simulation asks of a worker.

use super::Worker;
use crate::pubsub::PubSub;
use crate::service::{Farewell, Service};

/// What one worker has to do, and what it keeps for that.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Load {
    /// Connections, those included of which something is left to be done.
    pub connections: usize,
    /// Of these, those that are not read until what they asked for is done or taken.
    pub held: usize,
    /// Bytes of requests that were read and not served, about.
    pub unserved: usize,
    /// Whether requests wait until their connection has taken what it asked for before.
    pub holds_back: bool,
    /// Bytes that wait to be written.
    pub queued: usize,
    /// Bytes of frames that are kept for the next who missed the same.
    pub replays: usize,
}

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
        let (connections, service) = (self.core.connections.borrow(), self.service.borrow());
        Load {
            connections: connections.len(),
            held: connections.iter().filter(|(_, connection)| connection.is_held()).count(),
            unserved: service.unserved(),
            holds_back: service.holds_back(),
            queued: self.core.queued().get(),
            replays: service.replays(),
        }
    }
}
