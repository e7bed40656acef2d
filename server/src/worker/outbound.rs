//! What a service says to the connections of its worker.

use super::core::Core;
use crate::frames::{self, Frames};
use crate::replays::Replays;
use bytes::Bytes;
use hubcast_hub::Publication;
use hubcast_protocol::{CloseCode, Event, Slow};
use std::fmt;
use std::rc::Rc;
use std::time::Instant;

/// Where a [`Service`](crate::Service) puts what it has to say to connections of its own worker.
pub struct Outbound<'a> {
    pub(super) core: &'a Rc<Core>,
    pub(super) now: Instant,
}

impl Outbound<'_> {
    /// Queues a whole frame, made by [`frame::write`](crate::frame::write), for one connection. One whose outbox is
    /// full is closed with 4002.
    pub fn push(&mut self, slot: u32, frame: &Bytes) {
        if let Some(connection) = self.core.connections.borrow().get(slot as usize) {
            self.core.push(connection, frame, self.now);
        }
    }

    /// Hands publications to a connection as their subscription wants it; `is_last` when this turn has nothing else
    /// for it, so that they can be written at once. Says whether whoever publishes should slow down.
    pub(crate) fn deliver(&mut self, slot: u32, frames: &Frames, slow: Slow, is_last: bool) -> bool {
        let connections = self.core.connections.borrow();
        let connection = connections.get(slot as usize);
        connection.is_some_and(|connection| self.core.deliver(connection, frames, slow, is_last, self.now))
    }

    /// Queues what a session missed, however much it is.
    pub(crate) fn push_replay(&mut self, slot: u32, missed: &[Publication], replays: &mut Replays) {
        if let Some(connection) = self.core.connections.borrow().get(slot as usize) {
            let missed = replays.encode(missed, connection.peer.dialect);
            self.core.put(connection, self.now, |outbox, _| {
                outbox.push_uncounted(missed.clone());
                true
            });
        }
    }

    /// Queues an event, in the words of the connection's dialect if it has any for it.
    pub(crate) fn push_event(&mut self, slot: u32, event: &Event) {
        if let Some(connection) = self.core.connections.borrow().get(slot as usize)
            && let Some(frame) = frames::of_event(event, connection.peer.dialect)
        {
            self.core.push(connection, &frame, self.now);
        }
    }

    /// Closes a connection after what waits for it has been written.
    pub fn close(&mut self, slot: u32, code: CloseCode, reason: &str) {
        if let Some(connection) = self.core.connection(slot) {
            self.core.close(&connection, code, reason, self.now);
        }
    }

    /// Lets the next read of a connection wait ten milliseconds.
    pub fn pause(&mut self, slot: u32) {
        if let Some(connection) = self.core.connection(slot) {
            connection.pause();
        }
    }

    /// Asks for a [`turn`](crate::Service::turn) after everything that is ready to be read has been read.
    pub fn want_turn(&mut self) {
        self.core.want_turn();
    }
}

impl fmt::Debug for Outbound<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outbound").finish_non_exhaustive()
    }
}
