//! The events to come, ordered by virtual time. Events at the same time keep the order in which they were planned.

use crate::wire::{Down, Up};
use hubcast_hub::Snapshot;
use std::collections::BTreeMap;
use std::time::Duration;

/// One planned event.
#[derive(Debug)]
pub(crate) enum Event {
    /// A client's program does something.
    Act(usize),
    /// A client's machine may have a timeout that is due.
    WakeClient(usize),
    /// The server may have something to do.
    WakeServer,
    /// Something arrives at the server, on the wire with this number.
    Up(u32, Up),
    /// Something arrives at the client, on the wire with this number.
    Down(u32, Down),
    /// Something breaks.
    Fault,
    /// A draining server stops, and its state is saved for the next one.
    Stop,
    /// A server starts after another one stopped or crashed.
    Start(Box<Snapshot>),
    /// The server accepts connections again.
    Accept,
}

/// All planned events.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    events: BTreeMap<(Duration, u64), Event>,
    planned: u64,
}

impl Queue {
    /// Adds an event.
    pub(crate) fn plan(&mut self, at: Duration, event: Event) {
        self.planned += 1;
        self.events.insert((at, self.planned), event);
    }

    /// Removes the next event if its time is not after `until`.
    pub(crate) fn pop(&mut self, until: Duration) -> Option<(Duration, Event)> {
        let next = self.events.first_entry().filter(|next| next.key().0 <= until)?;
        let ((at, _), event) = next.remove_entry();
        Some((at, event))
    }
}
