//! What a service says to the connections of its worker.

use super::connections::Core;
use super::delivery::Delivery;
use crate::connection::peer::Ending;
use crate::encode::batch::{self, Frames, SharedEvent};
use crate::encode::replay_cache::Replays;
use bytes::Bytes;
use hubcast_hub::{HistoryAnswer, Publication};
use hubcast_protocol::{CloseCode, Dialect, Event, Slow};
use std::fmt;
use std::rc::Rc;
use std::time::{Duration, Instant};

/// Where a [`Service`](crate::Service) puts what it has to say to connections of its own worker.
pub struct Outbound<'a> {
    core: &'a Rc<Core>,
    now: Instant,
}

impl<'a> Outbound<'a> {
    pub(super) fn new(core: &'a Rc<Core>, now: Instant) -> Self {
        Self { core, now }
    }

    /// Queues a whole frame, made by [`frame::write`](crate::websocket::frame::write), for one connection. One whose outbox is
    /// full is closed with 4002.
    pub fn push(&mut self, slot: u32, frame: &Bytes) {
        if let Some(connection) = self.core.connections.borrow().get(slot as usize) {
            self.core.push(connection, frame, self.now);
        }
    }

    /// Hands publications to connections as their subscriptions want it. Says whether whoever publishes should slow
    /// down, because one of them is far behind.
    pub(crate) fn deliver(&mut self, frames: &Frames, to: impl Iterator<Item = Delivery>) -> bool {
        self.core.deliver(frames, to, self.now)
    }

    /// Writes what waits for a connection, if the socket takes it.
    pub(crate) fn flush(&mut self, slot: u32) {
        if let Some(connection) = self.core.connections.borrow().get(slot as usize)
            && connection.may_flush()
        {
            self.core.flush(connection, self.now);
        }
    }

    /// Queues the answer to a `history` request, however long it is.
    pub(crate) fn push_history(&mut self, slot: u32, answer: &HistoryAnswer) {
        if let Some(connection) = self.core.connections.borrow().get(slot as usize)
            && connection.peer.dialect == Dialect::Typed
        {
            self.core.push_history(connection, answer, self.now);
        }
    }

    /// Queues what a session missed, however much it is.
    pub(crate) fn push_replay(&mut self, slot: u32, missed: &[Publication], replays: &mut Replays) {
        if let Some(connection) = self.core.connections.borrow().get(slot as usize) {
            if connection.is_blocked() {
                return self.core.push_missed(connection, missed, self.now);
            }
            let (begin, rest) = replays.begin(missed, connection.peer.dialect);
            self.core.push_uncounted(connection, &begin, self.now);
            if !rest.is_empty() {
                self.core.push_missed(connection, rest, self.now);
            }
        }
    }

    /// Queues an event, in the words of the connection's dialect if it has any for it.
    pub(crate) fn push_event(&mut self, slot: u32, event: &Event) {
        if let Some(connection) = self.core.connections.borrow().get(slot as usize)
            && let Some(frame) = batch::of_event(event, connection.peer.dialect)
        {
            match event {
                // As a replay: nobody is slow because of what he missed, or of a list that he asked for.
                Event::Presence(_) => self.core.push_uncounted(connection, &frame, self.now),
                _ => self.core.push(connection, &frame, self.now),
            }
        }
    }

    /// The same with an event that others are told too. A join or a leave may be left out as the subscription wants it.
    pub(crate) fn push_shared(&mut self, slot: u32, slow: Slow, event: &SharedEvent) {
        if let Some(connection) = self.core.connections.borrow().get(slot as usize)
            && let Some(frame) = event.get(connection.peer.dialect)
        {
            match event.topic() {
                Some(topic) if slow != Slow::Disconnect => self.core.push_event(connection, topic, frame, self.now),
                _ => self.core.push(connection, frame, self.now),
            }
        }
    }

    /// Whether more than an outbox may hold waits for a connection that does not count, because it asked for it.
    pub(crate) fn is_backlogged(&self, slot: u32) -> bool {
        let connections = self.core.connections.borrow();
        connections.get(slot as usize).is_some_and(|connection| connection.uncounted() > self.core.config.outbox)
    }

    /// Stops reading a connection, or goes on with it.
    pub(crate) fn hold(&self, slot: u32, is_held: bool) {
        if let Some(connection) = self.core.connection(slot) {
            connection.hold(is_held, self.now);
            if !is_held {
                self.core.wake_reader(slot);
            }
        }
    }

    /// Whether connections of this worker wait to be written to because there were too many for a turn.
    pub(crate) fn is_behind(&self) -> bool {
        self.core.is_behind()
    }

    /// Takes nothing more from a connection.
    pub(crate) fn ignore_rest(&self, slot: u32) {
        if let Some(connection) = self.core.connection(slot) {
            connection.note_ending();
        }
    }

    /// Answers what [`Service::ending`](crate::Service::ending) told.
    pub fn end(&mut self, slot: u32, ending: Ending) {
        if let Some(connection) = self.core.connection(slot) {
            self.core.answer_ending(&connection, ending, self.now);
        }
    }

    /// Closes a connection after what waits for it has been written, as far as its peer takes that in time.
    pub fn close(&mut self, slot: u32, code: CloseCode, reason: &str) {
        if let Some(connection) = self.core.connection(slot) {
            self.core.close(&connection, code, reason, self.now);
        }
    }

    /// Lets the next read of a connection wait for the pause of a publisher.
    pub fn pause(&mut self, slot: u32) {
        if let Some(connection) = self.core.connection(slot) {
            connection.pause();
        }
    }

    /// How long that is.
    pub(crate) fn publisher_pause(&self) -> Duration {
        self.core.config.timeouts.publisher_pause
    }

    /// A number that nobody can guess.
    pub(crate) fn random(&self) -> [u8; 16] {
        self.core.runtime.random()
    }

    /// Asks for a [`turn`](crate::Service::turn) after everything that is ready to be read has been read.
    pub fn want_turn(&self) {
        self.core.want_turn();
    }
}

impl fmt::Debug for Outbound<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outbound").finish_non_exhaustive()
    }
}
