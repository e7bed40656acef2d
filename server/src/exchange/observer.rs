//! What the hub made of its inputs, for a simulation to hold against it what clients are told.

use super::{Exchange, slot_of, worker_of};
use hubcast_hub::{Effect, Effects, Hub, Input, SessionId};
use hubcast_protocol::event::Subscribed;
use hubcast_protocol::request::{Action, Publish};
use hubcast_protocol::{Event, Position, Request};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Writes down what the hub did, in its order, once somebody has begun to read it.
#[derive(Debug, Default)]
pub(super) struct Observer(Mutex<Option<Vec<Observed>>>);

/// One thing that the hub did for a connection: the one that has this slot of this worker now, or had it last.
#[derive(Clone, Debug)]
pub enum Observed {
    /// A publication took effect.
    Published {
        /// The publisher's worker.
        worker: usize,
        /// The publisher's slot there.
        slot: u32,
        /// What was asked for.
        publish: Publish,
        /// Its place in its topic's history, if the topic has one.
        position: Option<Position>,
    },
    /// A subscription was confirmed.
    Subscribed {
        /// The subscriber's worker.
        worker: usize,
        /// The subscriber's slot there.
        slot: u32,
        /// What the subscriber is told.
        reply: Subscribed,
    },
}

/// A publish that is handed to the hub now, by whom, and where its topic's history ended before.
pub(super) type Asked = Option<(SessionId, Publish, Option<Position>)>;

impl Observer {
    /// Looks at an input before the hub takes it.
    pub(super) fn before(&self, input: &Input, hub: &Hub) -> Asked {
        self.observed().as_ref()?;
        match input {
            Input::Request { session, request: Ok(Request { action: Action::Publish(publish), .. }) } => {
                Some((*session, publish.clone(), hub.engine().position(&publish.topic)))
            }
            _ => None,
        }
    }

    /// Looks at what the hub made of it: the effects from the `newest` on.
    pub(super) fn after(&self, asked: Asked, hub: &Hub, effects: &Effects, newest: usize) {
        let mut observed = self.observed();
        let Some(observed) = observed.as_mut() else { return };
        if let Some((session, publish, before)) = asked {
            let delivered = effects.iter().skip(newest).find_map(|effect| match effect {
                Effect::Deliver { publication, .. } => Some(publication.position()),
                _ => None,
            });
            // Also what nobody hears may be kept: then the history ends where it did not end before.
            let end = hub.engine().position(&publish.topic);
            if let Some(position) = delivered.or((end != before).then_some(end)) {
                let (worker, slot) = (worker_of(session), slot_of(session));
                observed.push(Observed::Published { worker, slot, publish, position });
            }
        }
        observed.extend(effects.iter().skip(newest).filter_map(|effect| {
            let Effect::Send { session, event } = effect else { return None };
            let Event::Subscribed(reply) = event.as_ref() else { return None };
            let (worker, slot) = (worker_of(*session), slot_of(*session));
            Some(Observed::Subscribed { worker, slot, reply: reply.clone() })
        }));
    }

    fn observed(&self) -> MutexGuard<'_, Option<Vec<Observed>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Exchange {
    /// What the hub did since the last call; before the first one nothing is written down.
    pub(crate) fn take_observed(&self) -> Vec<Observed> {
        self.observer.observed().replace(Vec::new()).unwrap_or_default()
    }

    /// Whether the hub has no session, no subscription and nothing to be answered.
    pub(crate) fn is_empty(&self) -> bool {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner).hub.is_empty()
    }

    /// How many histories there are.
    pub(crate) fn histories(&self) -> usize {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner).hub.engine().histories()
    }
}
