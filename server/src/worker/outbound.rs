//! What a service has the connections of its worker do.

use super::connections::Connections;
use super::delivery::Recipient;
use crate::connection::Connection;
use crate::connection::facts::ConnectionFacts;
use crate::connection::peer::Ending;
use crate::encode::batch::{self, Batch, SharedEvent};
use crate::encode::replay_cache::ReplayCache;
use crate::log::warnings::Warning;
use crate::metrics::kinds::PausedReading;
use bytes::Bytes;
use hubcast_hub::{HistoryAnswer, Publication};
use hubcast_protocol::{CloseCode, Dialect, Event, Slow};
use std::fmt;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

/// The way from a [`Service`](crate::Service) to the connections of its own worker.
pub struct Outbound<'a> {
    connections: &'a Rc<Connections>,
    now: Instant,
}

impl<'a> Outbound<'a> {
    pub(super) fn new(connections: &'a Rc<Connections>, now: Instant) -> Self {
        Self { connections, now }
    }

    /// Queues a whole frame, made by [`frame::write`](crate::websocket::frame::write), for one connection. A
    /// connection whose outbox is full is closed with 4002.
    pub fn push(&mut self, slot: u32, frame: &Bytes) {
        if let Some(connection) = self.connections.table.borrow().get(slot as usize) {
            self.connections.push(connection, frame, self.now);
        }
    }

    /// Delivers publications to connections, as their subscriptions demand. Says whether the publisher should slow
    /// down, because one of the connections is far behind.
    pub(crate) fn deliver(&mut self, frames: &Batch, to: impl Iterator<Item = Recipient>) -> bool {
        self.connections.deliver(frames, to, self.now)
    }

    /// Writes what waits for a connection, unless its socket takes no more.
    pub(crate) fn flush(&mut self, slot: u32) {
        if let Some(connection) = self.connections.table.borrow().get(slot as usize)
            && connection.may_flush()
        {
            self.connections.flush(connection, self.now);
        }
    }

    /// Queues the answer to a `history` request, whatever its length.
    pub(crate) fn push_history(&mut self, slot: u32, answer: &HistoryAnswer) {
        if let Some(connection) = self.connections.table.borrow().get(slot as usize)
            && connection.peer.dialect == Dialect::Typed
        {
            self.connections.push_history(connection, answer, self.now);
        }
    }

    /// Queues the publications that a session missed, however many they are.
    pub(crate) fn push_replay(&mut self, slot: u32, missed: &[Publication], replay_cache: &mut ReplayCache) {
        if let Some(connection) = self.connections.table.borrow().get(slot as usize) {
            if connection.is_write_blocked() {
                self.connections.push_missed(connection, missed, self.now);
                return self.push_after(connection, connection.note_publications(missed));
            }
            let (begin, rest) = replay_cache.begin(missed, connection.peer.dialect);
            self.connections.push_exempt(connection, &begin, self.now);
            if !rest.is_empty() {
                self.connections.push_missed(connection, rest, self.now);
            }
            self.push_after(connection, connection.note_publications(missed));
        }
    }

    /// Queues an event in the connection's dialect, if that dialect has the event.
    pub(crate) fn push_event(&mut self, slot: u32, event: &Event) {
        if let Some(connection) = self.connections.table.borrow().get(slot as usize)
            && let Some(frame) = batch::of_event(event, connection.peer.dialect)
        {
            match event {
                // Like a replay, they do not count against the outbox: a connection is not slow because of a list that it
                // asked for, or of topics that it cannot resume.
                Event::Presence(_) | Event::Gap(_) => self.connections.push_exempt(connection, &frame, self.now),
                _ => self.connections.push(connection, &frame, self.now),
            }
            self.push_after(connection, connection.note_event(event));
        }
    }

    /// Queues what a stream of several topics needs after publications: their positions.
    fn push_after(&self, connection: &Rc<Connection>, positions: Option<Bytes>) {
        if let Some(positions) = positions {
            self.connections.push_exempt(connection, &positions, self.now);
        }
    }

    /// Queues an event that other connections get too. A join or a leave may be left out, if the subscription allows
    /// it.
    pub(crate) fn push_shared(&mut self, slot: u32, slow: Slow, event: &SharedEvent) {
        if let Some(connection) = self.connections.table.borrow().get(slot as usize)
            && let Some(frame) = event.get(connection.peer.dialect)
        {
            match event.topic() {
                Some(topic) if slow != Slow::Disconnect => {
                    self.connections.push_presence(connection, topic, frame, self.now);
                }
                _ => self.connections.push(connection, frame, self.now),
            }
        }
    }

    /// The slots of all open connections.
    pub(crate) fn open_slots(&self) -> Vec<u32> {
        let connections = self.connections.table.borrow();
        connections.iter().filter(|(_, connection)| connection.is_open()).map(|(_, of)| of.peer.slot).collect()
    }

    /// The address of the client of a connection, if it has one.
    pub(crate) fn address(&self, slot: u32) -> Option<SocketAddr> {
        self.connections.table.borrow().get(slot as usize)?.address()
    }

    /// Counts reasons for a warning in the log.
    pub(crate) fn warn(&self, warning: Warning, times: u64) {
        self.connections.warnings.note_times(warning, times, self.now);
    }

    /// What is known of a connection, for an operator.
    pub(crate) fn facts(&self, slot: u32) -> Option<ConnectionFacts> {
        Some(self.connections.connection(slot)?.facts(self.now))
    }

    /// Whether more than `outbox` bytes wait for a connection that do not count against its outbox, because it asked
    /// for them.
    pub(crate) fn is_backlogged(&self, slot: u32) -> bool {
        let connections = self.connections.table.borrow();
        connections.get(slot as usize).is_some_and(|connection| connection.exempt() > self.connections.config.outbox)
    }

    /// Stops reading a connection, or starts to read it again.
    pub(crate) fn set_reading_stopped(&self, slot: u32, is_reading_stopped: bool) {
        if let Some(connection) = self.connections.connection(slot) {
            connection.set_reading_stopped(is_reading_stopped, self.now);
            if !is_reading_stopped {
                self.connections.wake_reader(slot);
            }
        }
    }

    /// Whether this worker's connections wait to be written to, because they were too many for the last turn.
    pub(crate) fn is_behind(&self) -> bool {
        self.connections.is_behind()
    }

    /// Ignores everything more that comes from a connection.
    pub(crate) fn ignore_rest(&self, slot: u32) {
        if let Some(connection) = self.connections.connection(slot) {
            connection.note_ending();
        }
    }

    /// Answers an end of input, which [`Service::ending`](crate::Service::ending) reported.
    pub fn end(&mut self, slot: u32, ending: Ending) {
        if let Some(connection) = self.connections.connection(slot) {
            self.connections.answer_ending(&connection, ending, self.now);
        }
    }

    /// Closes a connection after what waits for it has been written, as far as its peer takes that in time.
    pub fn close(&mut self, slot: u32, code: CloseCode, reason: &str) {
        if let Some(connection) = self.connections.connection(slot) {
            self.connections.close(&connection, code, reason, self.now);
        }
    }

    /// Counts that a client is not read for a while.
    pub(crate) fn note_paused(&self, why: PausedReading) {
        self.connections.metrics().note_paused(why);
    }

    /// Delays the next read of a connection, by the configured pause of a publisher.
    pub fn pause(&mut self, slot: u32) {
        if let Some(connection) = self.connections.connection(slot) {
            self.note_paused(PausedReading::Outbox);
            connection.pause();
        }
    }

    /// Length of the pause of a publisher.
    pub(crate) fn publisher_pause(&self) -> Duration {
        self.connections.config.timeouts.publisher_pause
    }

    /// The time of this call.
    pub(crate) fn now(&self) -> Instant {
        self.now
    }

    /// A random number that cannot be guessed.
    pub(crate) fn random(&self) -> [u8; 16] {
        self.connections.runtime.random()
    }

    /// Asks for a [`turn`](crate::Service::turn), which comes after everything that is ready has been read.
    pub fn want_turn(&self) {
        self.connections.want_turn();
    }
}

impl fmt::Debug for Outbound<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outbound").finish_non_exhaustive()
    }
}
