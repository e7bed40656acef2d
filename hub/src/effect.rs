//! What the hub wants done.

use crate::{Publication, SessionId, engine::Ask};
use hubcast_protocol::{CloseCode, Event, Slow};
use std::{borrow::Cow, ops::Range, sync::Arc};

/// One thing to do. Those that name the same session must reach it in the order of the list.
#[derive(Clone, Debug)]
pub enum Effect {
    /// Tell one session something.
    Send {
        /// Who is told.
        session: SessionId,
        /// What.
        event: Box<Event>,
    },
    /// Tell each of many sessions the same; [`Effects::receivers`] lists them.
    Tell {
        /// What, encoded once for a dialect.
        event: Arc<Event>,
        /// Where in the list they stand.
        receivers: Range<usize>,
    },
    /// Hand one publication to each of many sessions; [`Effects::receivers`] lists them.
    Deliver {
        /// What they get, encoded once for a dialect.
        publication: Publication,
        /// Where in the list they stand.
        receivers: Range<usize>,
    },
    /// Hand one session what it missed, in order. It does not count against what may wait for a slow reader.
    Replay {
        /// Who gets it.
        session: SessionId,
        /// What.
        missed: Vec<Publication>,
    },
    /// Close a connection once everything before this has been written to it.
    Close {
        /// Whose.
        session: SessionId,
        /// With which code.
        code: CloseCode,
        /// Why, for people.
        reason: Cow<'static, str>,
    },
    /// Pass a question on to an engine that lives elsewhere; the embedded one never causes this.
    Ask(Ask),
}

/// One session of many that get the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Receiver {
    /// Who.
    pub session: SessionId,
    /// What its subscription wants when its connection cannot keep up; an event is never left out.
    pub slow: Slow,
}

/// Effects in delivery order, pushed by the hub into what the caller gives; [`Effects::clear`] keeps the room.
#[derive(Clone, Debug, Default)]
pub struct Effects {
    list: Vec<Effect>,
    receivers: Vec<Receiver>,
}

impl Effects {
    /// Forgets everything, so that the room can be used again; what one large input needed is given back.
    pub fn clear(&mut self) {
        self.list.clear();
        self.list.shrink_to(KEPT);
        self.receivers.clear();
        self.receivers.shrink_to(KEPT);
    }

    /// The effects in order.
    pub fn iter(&self) -> impl Iterator<Item = &Effect> {
        self.list.iter()
    }

    /// The sessions that an [`Effect::Deliver`] or [`Effect::Tell`] of this list names.
    pub fn receivers(&self, of: &Range<usize>) -> &[Receiver] {
        &self.receivers[of.clone()]
    }

    /// How many effects there are.
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    pub(crate) fn push(&mut self, effect: Effect) {
        self.list.push(effect);
    }

    pub(crate) fn send(&mut self, session: SessionId, event: Event) {
        self.list.push(Effect::Send { session, event: Box::new(event) });
    }

    /// Lists the receivers that `fill` pushes and delivers to them; says how many they are.
    pub(crate) fn deliver(&mut self, publication: &Publication, fill: impl FnOnce(&mut Vec<Receiver>)) -> usize {
        let receivers = self.list_receivers(fill);
        let count = receivers.len();
        if count > 0 {
            self.list.push(Effect::Deliver { publication: publication.clone(), receivers });
        }
        count
    }

    /// Lists the receivers that `fill` pushes and tells them.
    pub(crate) fn tell(&mut self, event: Event, fill: impl FnOnce(&mut Vec<Receiver>)) {
        let receivers = self.list_receivers(fill);
        if !receivers.is_empty() {
            self.list.push(Effect::Tell { event: Arc::new(event), receivers });
        }
    }

    fn list_receivers(&mut self, fill: impl FnOnce(&mut Vec<Receiver>)) -> Range<usize> {
        let start = self.receivers.len();
        fill(&mut self.receivers);
        start..self.receivers.len()
    }
}

/// Effects and receivers whose room is kept.
const KEPT: usize = 32 * 1024;
