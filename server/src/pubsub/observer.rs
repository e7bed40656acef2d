//! A record of what the hub did with its inputs. A simulation compares it with what clients got.

use super::address::{slot_of, worker_of};
use hubcast_hub::{Effect, Effects, Hub, Input, SessionId, Unfinished};
use hubcast_protocol::event::Subscribed;
use hubcast_protocol::request::{Action, Publish};
use hubcast_protocol::{Event, Position, Request};
use std::mem;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Records what the hub did, in order, from the first [`Observer::take`] on.
#[derive(Debug, Default)]
pub(super) struct Observer(Mutex<Option<Notes>>);

#[derive(Debug, Default)]
struct Notes {
    observed: Vec<Observed>,
    /// Publishes that were handed to the hub and have not taken effect yet.
    asked: Vec<Asked>,
}

#[derive(Debug)]
struct Asked {
    session: SessionId,
    publish: Publish,
    /// The last position of the topic's history before the publish.
    end: Option<Position>,
}

/// One thing that the hub did for a connection: the one that has this slot of this worker now, or had it last.
#[derive(Clone, Debug)]
pub enum Observed {
    /// A publication took effect.
    Published {
        /// The publisher's worker.
        worker: usize,
        /// The publisher's slot there.
        slot: u32,
        /// The request.
        publish: Publish,
        /// Its position in the topic's history, if the topic has one.
        position: Option<Position>,
    },
    /// A subscription was confirmed.
    Subscribed {
        /// The subscriber's worker.
        worker: usize,
        /// The subscriber's slot there.
        slot: u32,
        /// The reply to the subscriber.
        reply: Subscribed,
    },
}

impl Observer {
    /// Looks at an input before the hub takes it.
    pub(super) fn before(&self, input: &Input, hub: &Hub) {
        let mut notes = self.notes();
        let Some(Notes { asked, .. }) = notes.as_mut() else { return };
        if let Input::Request { session, request: Ok(Request { action: Action::Publish(publish), .. }) } = input {
            asked.push(Asked { session: *session, publish: publish.clone(), end: None });
        }
        for Asked { publish, end, .. } in asked {
            *end = hub.engine().position(&publish.topic);
        }
    }

    /// Looks at what the hub did with an input of `session`: the effects from number `newest` on, and what is `left`
    /// of it.
    pub(super) fn after(
        &self,
        session: SessionId,
        left: Option<&Unfinished>,
        hub: &Hub,
        effects: &Effects,
        newest: usize,
    ) {
        let mut notes = self.notes();
        let Some(Notes { observed, asked }) = notes.as_mut() else { return };
        asked.retain(|asked| {
            let Asked { publish, end: before, .. } = asked;
            let delivered = effects.iter().skip(newest).find_map(|effect| match effect {
                Effect::Deliver { publication, .. }
                    if *publication.topic() == publish.topic && *publication.payload() == publish.payload =>
                {
                    Some(publication.position())
                }
                _ => None,
            });
            // A publication without receivers may be kept too: then the position of the history has changed.
            let end = hub.engine().position(&publish.topic);
            let Some(position) = delivered.or((end != *before).then_some(end)) else {
                let is_left = left.is_some_and(|left| matches!(*left.next, Input::Continue { .. }));
                return asked.session != session || is_left;
            };
            let (worker, slot) = (worker_of(asked.session), slot_of(asked.session));
            observed.push(Observed::Published { worker, slot, publish: publish.clone(), position });
            false
        });
        observed.extend(effects.iter().skip(newest).filter_map(|effect| {
            let Effect::Send { session, event } = effect else { return None };
            let Event::Subscribed(reply) = event.as_ref() else { return None };
            let (worker, slot) = (worker_of(*session), slot_of(*session));
            Some(Observed::Subscribed { worker, slot, reply: reply.clone() })
        }));
    }

    /// What was recorded since the last call. The first call starts the recording.
    pub(super) fn take(&self) -> Vec<Observed> {
        mem::take(&mut self.notes().get_or_insert_default().observed)
    }

    fn notes(&self) -> MutexGuard<'_, Option<Notes>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
