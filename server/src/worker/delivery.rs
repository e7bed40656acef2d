//! Delivery to connections: into their outboxes, or directly to their sockets.

use super::connections::Connections;
use crate::connection::{Connection, PushContext, PushResult};
use crate::encode::batch::Batch;
use crate::encode::history_reply::HistoryReply;
use crate::log::warnings::Warning;
use crate::metrics::kinds::{Carrier, SlowPolicy};
use crate::outbox::{DirectWrite, LeftOut, Outbox};
use bytes::Bytes;
use hubcast_hub::{HistoryAnswer, Publication};
use hubcast_protocol::{CloseCode, Dialect, Slow, Topic};
use std::array;
use std::rc::Rc;
use std::time::Instant;

/// One connection that gets a batch of publications.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Recipient {
    pub(crate) slot: u32,
    pub(crate) slow: Slow,
    /// Whether the turn has nothing more for this connection, so that the batch can be written at once.
    pub(crate) is_last: bool,
}

impl Connections {
    /// Queues frames that must not be left out.
    pub(super) fn push(self: &Rc<Self>, connection: &Rc<Connection>, frames: &Bytes, now: Instant) {
        self.put(connection, now, |outbox, _| outbox.push(frames.clone(), self.config.outbox));
    }

    /// Queues a join or a leave of a topic, which may be left out.
    pub(super) fn push_presence(
        self: &Rc<Self>,
        connection: &Rc<Connection>,
        topic: &Topic,
        frame: &Bytes,
        now: Instant,
    ) {
        self.put(connection, now, |outbox, context| {
            outbox.push_presence(topic, frame, context.write_blocked, self.config.outbox)
        });
    }

    /// Queues frames that do not count against the bound of the outbox.
    pub(super) fn push_exempt(self: &Rc<Self>, connection: &Rc<Connection>, frames: &Bytes, now: Instant) {
        self.put(connection, now, |outbox, _| {
            outbox.push_exempt(frames.clone());
            true
        });
    }

    /// Queues the answer to a `history` request, whatever its length.
    pub(super) fn push_history(self: &Rc<Self>, connection: &Rc<Connection>, answer: &HistoryAnswer, now: Instant) {
        self.put(connection, now, |outbox, _| {
            outbox.push_history(HistoryReply::new(answer));
            true
        });
        if !connection.is_write_blocked() {
            self.flush(connection, now);
        }
    }

    /// Queues publications that a connection missed, however many they are.
    pub(super) fn push_missed(self: &Rc<Self>, connection: &Rc<Connection>, missed: &[Publication], now: Instant) {
        self.put(connection, now, |outbox, _| {
            outbox.push_missed(missed.to_vec());
            true
        });
        // Written now, before anything is queued behind it that may be left out: only a full socket is a reason to
        // leave out.
        if !connection.is_write_blocked() {
            self.flush(connection, now);
        }
    }

    /// Delivers publications to connections, as their subscriptions demand. Says whether the publisher should slow
    /// down.
    pub(super) fn deliver(self: &Rc<Self>, frames: &Batch, to: impl Iterator<Item = Recipient>, now: Instant) -> bool {
        self.batched.set(self.batched.get() || frames.publications().len() > 1);
        let is_near = self.account.is_near();
        let connections = self.table.borrow();
        let mut to = to.filter_map(|to| Some((connections.get(to.slot as usize)?, to)));
        let (mut pressed, mut tally) = (false, Tally::default());
        loop {
            // Connections lie far apart in memory. Loading a few of them together takes no longer than loading one.
            let few: [_; PREFETCH] = array::from_fn(|_| {
                let (connection, to) = to.next()?;
                // A stream of several topics gets the positions after its publications.
                let is_alone = to.is_last && connection.peer.dialect != Dialect::JoinedEventStream;
                let may_pass = is_alone && self.writing.get() > 0 && connection.is_idle();
                Some((connection, to, may_pass))
            });
            for (connection, to, may_pass) in few.iter().flatten() {
                tally.deliveries[connection.peer.dialect as usize] += 1;
                let written = if *may_pass { self.try_write_direct(connection, frames) } else { DirectWrite::Nothing };
                if written != DirectWrite::All {
                    tally.rests[connection.peer.dialect as usize] += 1;
                    pressed |= self.deliver_rest(connection, frames, to, written, now) || is_near;
                }
            }
            if few.last().is_some_and(Option::is_none) {
                self.count(frames, &tally);
                return pressed;
            }
        }
    }

    /// Counts a batch that was handed to connections.
    fn count(&self, frames: &Batch, Tally { deliveries, rests }: &Tally) {
        for dialect in DIALECTS {
            let (connections, rests) = (deliveries[dialect as usize], rests[dialect as usize]);
            if connections > 0 {
                let (metrics, carrier) = (self.metrics(), Carrier::of(dialect) as usize);
                metrics.deliveries[carrier].add(connections * frames.publications().len() as u64);
                if connections > rests {
                    metrics.sent_bytes[carrier].add((connections - rests) * frames.get(dialect).len() as u64);
                }
            }
        }
        if let Some(began) = frames.began() {
            self.fanout_began.set(Some(self.fanout_began.get().map_or(began, |earlier| earlier.min(began))));
        }
    }

    /// Counts what a slow reader misses.
    pub(super) fn note_left_out(&self, connection: &Connection) {
        let Some(LeftOut { publications, gaps }) = connection.take_left_out() else { return };
        for (policy, kind) in [SlowPolicy::Drop, SlowPolicy::Latest].into_iter().enumerate() {
            self.metrics().left_out[kind as usize].add(publications[policy]);
            self.metrics().slow_consumers[kind as usize].add(gaps[policy]);
        }
    }

    /// Queues a batch unless it was written directly. Says whether the publisher should slow down: the subscription
    /// lets nothing be left out, and the outbox is over three quarters full.
    fn deliver_rest(
        self: &Rc<Self>,
        connection: &Rc<Connection>,
        frames: &Batch,
        to: &Recipient,
        written: DirectWrite,
        now: Instant,
    ) -> bool {
        if written == DirectWrite::Nothing {
            connection.note_deliveries(frames.publications().len());
            self.put(connection, now, |outbox, PushContext { dialect, write_blocked }| {
                outbox.push_publications(frames, to.slow, dialect, write_blocked, self.config.outbox)
            });
            if let Some(positions) = connection.note_publications(frames.publications()) {
                self.push_exempt(connection, &positions, now);
            }
        }
        let may_visit = to.is_last && self.writing.get() > 0 && connection.may_flush();
        if may_visit || written == DirectWrite::Part {
            self.spend(frames.bytes());
            self.flush(connection, now);
        }
        // A publisher waits only for a receiver that must get everything, and only after that receiver's socket was
        // tried.
        to.slow == Slow::Disconnect && connection.is_write_blocked() && connection.is_pressed(&self.config)
    }

    /// Puts something into an outbox. If there is no room even after writing, it closes the connection.
    pub(super) fn put(
        self: &Rc<Self>,
        connection: &Rc<Connection>,
        now: Instant,
        put: impl Fn(&mut Outbox, PushContext) -> bool,
    ) {
        let mut pushed = connection.push(&put);
        if pushed == (PushResult::Rejected { full: true }) && !connection.is_write_blocked() {
            // Much came in one turn. That alone does not make the connection slow: write, then try again.
            self.flush(connection, now);
            pushed = connection.push(&put);
        }
        if connection.is_write_blocked() {
            self.note_left_out(connection);
            let waiting = connection.waiting().0 as u64;
            self.metrics().largest_outbox.note(waiting, now.saturating_duration_since(self.metrics().begun));
        }
        match pushed {
            PushResult::Waits { first } => {
                if first && !connection.is_write_blocked() {
                    self.dirty.borrow_mut().push_back(Rc::clone(connection));
                }
            }
            PushResult::Rejected { full: true } => {
                self.warnings.note(Warning::SlowConsumer, now);
                self.metrics().slow_consumers[SlowPolicy::Disconnect as usize].add(1);
                self.close(
                    connection,
                    CloseCode::SLOW_CONSUMER,
                    "too slow: more waits for this connection than may",
                    now,
                );
            }
            PushResult::Rejected { full: false } => {}
        }
    }
}

/// How many connections got a batch, by dialect.
#[derive(Default)]
struct Tally {
    deliveries: [u64; DIALECTS.len()],
    /// Those of them whose sockets did not take all of it at once.
    rests: [u64; DIALECTS.len()],
}

/// All dialects, in their order.
const DIALECTS: [Dialect; 4] = [Dialect::Plain, Dialect::Typed, Dialect::EventStream, Dialect::JoinedEventStream];

/// Connections that a fan-out loads before it writes to the first of them.
const PREFETCH: usize = 8;
