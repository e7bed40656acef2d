//! Puts what the hub tells of sessions and topics into the inbox of the hooks, together with what only the connections
//! know: how they ended.

use super::address::slot_of;
use crate::connection::peer::Closed;
use crate::hooks::inbox::Inbox;
use crate::hooks::settling::ConnectionEnd;
use hubcast_hub::{Effect, Lifecycle};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

/// The reporter of one worker.
#[derive(Debug)]
pub(super) struct Reporter {
    inbox: Arc<Inbox>,
    /// By slot: how a connection ended that the hub has not told to be gone.
    ends: HashMap<u32, ConnectionEnd>,
}

impl Reporter {
    pub(super) fn new(inbox: Arc<Inbox>) -> Self {
        Self { inbox, ends: HashMap::new() }
    }

    /// Notes how a connection ended. Called before the hub learns of it.
    pub(super) fn note_closed(&mut self, slot: u32, closed: Closed) {
        let Closed { code, reason, open_for, .. } = closed;
        self.ends.insert(slot, ConnectionEnd { code: code.0, reason, open_for });
    }

    /// Forgets the connection that had a slot before: the hub never told that it was there.
    pub(super) fn forget(&mut self, slot: u32) {
        self.ends.remove(&slot);
    }

    /// Reports what these effects tell. It is called while the hub is locked, so that the order is that of the hub.
    pub(super) fn report<'a>(&mut self, effects: impl Iterator<Item = &'a Effect>, now: Instant) {
        for effect in effects {
            let Effect::Lifecycle(happened) = effect else { continue };
            let end = match happened {
                Lifecycle::Disconnected { who, .. } => self.ends.remove(&slot_of(who.session)),
                _ => None,
            };
            self.inbox.push(now, happened.clone(), end);
        }
    }
}
