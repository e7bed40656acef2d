//! What happens next: events by virtual time, and at the same time in the order in which they were planned.

use crate::wire::{Down, Up};
use hubcast_hub::Snapshot;
use std::collections::BTreeMap;
use std::time::Duration;

/// One thing that is going to happen.
#[derive(Debug)]
pub(crate) enum Event {
    /// A client's program does something.
    Act(usize),
    /// A client's machine may have something to do.
    WakeClient(usize),
    /// The server may have something to do.
    WakeServer,
    /// Something reaches the server.
    Up(u32, Up),
    /// Something reaches the client.
    Down(u32, Down),
    /// Something breaks.
    Fault,
    /// A draining server stops, and keeps its state for the next one.
    Stop,
    /// A server begins where one stopped or crashed.
    Start(Box<Snapshot>),
    /// The server takes connections again.
    Accept,
}

/// The events to come.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    events: BTreeMap<(Duration, u64), Event>,
    planned: u64,
}

impl Queue {
    pub(crate) fn plan(&mut self, at: Duration, event: Event) {
        self.planned += 1;
        self.events.insert((at, self.planned), event);
    }

    /// The next event, if it comes no later than `until`.
    pub(crate) fn pop(&mut self, until: Duration) -> Option<(Duration, Event)> {
        let next = self.events.first_entry().filter(|next| next.key().0 <= until)?;
        let ((at, _), event) = next.remove_entry();
        Some((at, event))
    }
}
