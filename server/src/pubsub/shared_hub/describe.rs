//! Facts about connections, which only their workers know.

use super::SharedHub;
use crate::connection::facts::ConnectionFacts;
use crate::pubsub::address::{slot_of, worker_of};
use crate::pubsub::mail::{Describe, RemoteOutput};
use hubcast_hub::{Hub, SessionId};
use tokio::sync::oneshot;

/// Facts about connections of one worker that are to come.
#[derive(Debug)]
pub(in crate::pubsub) struct Facts {
    pub(in crate::pubsub) sessions: Vec<SessionId>,
    pub(in crate::pubsub) facts: oneshot::Receiver<Vec<Option<ConnectionFacts>>>,
}

impl SharedHub {
    /// Reads the hub, and asks the workers for the facts about the connections of the sessions that `act` names: each
    /// worker answers once, in its next turn. No other connection can get the slot of one of these sessions before.
    pub(in crate::pubsub) fn describe<T>(&self, act: impl FnOnce(&Hub) -> (T, Vec<SessionId>)) -> (T, Vec<Facts>) {
        let mut shared = self.lock();
        let (read, sessions) = act(&shared.hub);
        let mut asked = Vec::new();
        for worker in 0..self.wakes.len() {
            let of_worker: Vec<_> = sessions.iter().copied().filter(|of| worker_of(*of) == worker).collect();
            if of_worker.is_empty() {
                continue;
            }
            let (answer, facts) = oneshot::channel();
            let slots = of_worker.iter().map(|session| slot_of(*session)).collect();
            shared.mail[worker].put(RemoteOutput::Describe(Describe { slots, answer }), 0);
            self.wakes[worker].notify_one();
            asked.push(Facts { sessions: of_worker, facts });
        }
        (read, asked)
    }
}
