//! The connections of a worker: what waits to be written, told, looked at and cleaned up.

use super::outbound::{Delivery, Outbound};
use crate::account::Account;
use crate::config::Config;
use crate::connection::{Connection, Due, Pushed, Room};
use crate::deadlines::Deadlines;
use crate::frames::Frames;
use crate::history_frame::HistoryFrame;
use crate::outbox::{Outbox, Through, WRITTEN_AT_ONCE};
use crate::paced::Paced;
use crate::runtime::Runtime;
use crate::schedule::{BYTES_A_NANOSECOND, VISIT};
use crate::service::{Ending, Parting, Peer};
use crate::turnstile::Turnstile;
use bytes::Bytes;
use hubcast_hub::{HistoryAnswer, Publication};
use hubcast_protocol::{CloseCode, Slow};
use slab::Slab;
use std::array;
use std::cell::{Cell, RefCell};
use std::cmp::Reverse;
use std::collections::{HashMap, VecDeque};
use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Waker;
use std::time::{Duration, Instant};
use tokio::sync::Notify;

/// The connections of one worker, and what there is to do for them; knows no service.
pub(crate) struct Core {
    number: usize,
    pub(super) runtime: Runtime,
    pub(crate) config: Arc<Config>,
    account: Arc<Account>,
    /// What all connections have waiting for themselves.
    queued: Rc<Cell<usize>>,
    /// Warnings that connections were handled because too much waits in the whole process.
    shed: RefCell<Paced>,
    pub(super) connections: RefCell<Slab<Rc<Connection>>>,
    /// Those that got something and are to be written to, in this turn or, where they are too many, in the next ones.
    pub(super) dirty: RefCell<VecDeque<Rc<Connection>>>,
    /// How many of them, from the first on, the last turn has left over.
    left_over: Cell<usize>,
    /// Nanoseconds for which connections may still be written to in this turn, counted and not measured.
    writing: Cell<u64>,
    /// Where those wait whose sockets take more of what waits for them.
    pub(super) catching_up: Turnstile,
    /// Those that are held and wait to be read again.
    pub(super) held: RefCell<HashMap<u32, Waker>>,
    /// Bytes to be read at once from one connection.
    pub(super) read_limit: Cell<usize>,
    /// Those that take nothing more and whose service does not know it yet.
    pub(super) leaving: RefCell<Vec<(Peer, Parting)>>,
    /// Those whose reading has ended.
    pub(super) ended: RefCell<Vec<u32>>,
    pub(super) deadlines: RefCell<Deadlines>,
    /// When the worker went on after it, or the whole process, had stood still.
    resumed: Cell<Instant>,
    pub(super) earlier_deadline: Notify,
    /// When the service wants a turn by itself.
    pub(super) service_due: Cell<Option<Instant>>,
    pub(super) turn_wanted: Cell<bool>,
    /// How many turns there were.
    pub(super) turns: Cell<u64>,
    /// Whether every connection is on its way out.
    pub(super) draining: Cell<bool>,
    /// Bytes decoded since the last turn.
    pub(super) fed: Cell<usize>,
    /// Whether somebody got several publications at once in this turn.
    pub(super) joined: Cell<bool>,
    /// How long the last turn took, if it was long and somebody got several publications at once in it.
    pub(super) streaming: Cell<Option<Duration>>,
    pub(super) wake: Arc<Notify>,
    /// Told whenever a connection is gone.
    pub(super) vacated: Notify,
}

impl Core {
    /// The connections of the worker with this number, none yet.
    pub(crate) fn new(
        number: usize,
        runtime: Runtime,
        config: Arc<Config>,
        account: Arc<Account>,
        wake: Arc<Notify>,
    ) -> Self {
        let now = runtime.now();
        Self {
            number,
            runtime,
            config,
            account,
            queued: Rc::default(),
            shed: RefCell::default(),
            connections: RefCell::default(),
            dirty: RefCell::default(),
            left_over: Cell::new(0),
            writing: Cell::new(WRITING),
            catching_up: Turnstile::new(CATCHING_UP_A_ROUND),
            held: RefCell::default(),
            read_limit: Cell::new(usize::MAX),
            leaving: RefCell::default(),
            ended: RefCell::default(),
            deadlines: RefCell::new(Deadlines::new(now)),
            resumed: Cell::new(now),
            earlier_deadline: Notify::new(),
            service_due: Cell::new(None),
            turn_wanted: Cell::new(false),
            turns: Cell::new(0),
            draining: Cell::new(false),
            fed: Cell::new(0),
            joined: Cell::new(false),
            streaming: Cell::new(None),
            wake,
            vacated: Notify::new(),
        }
    }

    pub(super) fn outbound(self: &Rc<Self>, now: Instant) -> Outbound<'_> {
        Outbound { core: self, now }
    }

    pub(super) fn connection(&self, slot: u32) -> Option<Rc<Connection>> {
        self.connections.borrow().get(slot as usize).cloned()
    }

    /// Sees to it that the service gets a turn when it wants one by itself.
    pub(super) fn note_service_due(&self, at: Option<Instant>) {
        let before = self.service_due.replace(at);
        if at.is_some_and(|at| before.is_none_or(|before| at < before)) {
            self.earlier_deadline.notify_one();
        }
    }

    /// Asks for a turn after everything that is ready to be read has been read.
    pub(super) fn want_turn(&self) {
        if !self.turn_wanted.replace(true) {
            self.wake.notify_one();
        }
    }

    /// Queues what must go out.
    pub(super) fn push(self: &Rc<Self>, connection: &Rc<Connection>, frames: &Bytes, now: Instant) {
        self.put(connection, now, |outbox, _| outbox.push(frames.clone(), self.config.outbox));
    }

    /// Queues what must go out whatever waits already.
    pub(super) fn push_uncounted(self: &Rc<Self>, connection: &Rc<Connection>, frames: &Bytes, now: Instant) {
        self.put(connection, now, |outbox, _| {
            outbox.push_uncounted(frames.clone());
            true
        });
    }

    /// Queues the answer to a `history` request, however long it is.
    pub(super) fn push_history(self: &Rc<Self>, connection: &Rc<Connection>, answer: &HistoryAnswer, now: Instant) {
        self.put(connection, now, |outbox, _| {
            outbox.push_history(HistoryFrame::new(answer));
            true
        });
        if !connection.is_blocked() {
            self.flush(connection, now);
        }
    }

    /// Queues publications that a connection missed, however many they are.
    pub(super) fn push_missed(self: &Rc<Self>, connection: &Rc<Connection>, missed: &[Publication], now: Instant) {
        self.put(connection, now, |outbox, _| {
            outbox.push_missed(missed.to_vec());
            true
        });
        // Before anything comes behind it that may be left out: only a socket that takes no more is a reason for that.
        if !connection.is_blocked() {
            self.flush(connection, now);
        }
    }

    /// Hands publications to connections as their subscriptions want it. Says whether whoever publishes should slow
    /// down.
    pub(super) fn deliver(self: &Rc<Self>, frames: &Frames, to: impl Iterator<Item = Delivery>, now: Instant) -> bool {
        self.joined.set(self.joined.get() || frames.publications().len() > 1);
        let is_near = self.account.is_near();
        let connections = self.connections.borrow();
        let mut to = to.filter_map(|to| Some((connections.get(to.slot as usize)?, to)));
        let mut pressed = false;
        loop {
            // Connections lie far apart in memory: to wait for a few of them takes no longer than to wait for one.
            let few: [_; LOOKED_AT_ONCE] = array::from_fn(|_| {
                let (connection, to) = to.next()?;
                let may_pass = to.is_last && self.writing.get() > 0 && connection.is_idle();
                Some((connection, to, may_pass))
            });
            for (connection, to, may_pass) in few.iter().flatten() {
                let written = if *may_pass { self.write_through(connection, frames) } else { Through::Nothing };
                if written != Through::All {
                    pressed |= self.deliver_rest(connection, frames, to, written, now) || is_near;
                }
            }
            if few.last().is_some_and(Option::is_none) {
                return pressed;
            }
        }
    }

    /// Notes that a connection is written to.
    fn spend(&self, bytes: usize) {
        let cost = VISIT + bytes as u64 / BYTES_A_NANOSECOND;
        self.writing.set(self.writing.get().saturating_sub(cost));
    }

    fn write_through(&self, connection: &Connection, frames: &Frames) -> Through {
        self.spend(frames.len());
        connection.write_through(frames)
    }

    /// Queues what was not written past the outbox. Says whether whoever publishes should slow down: nothing may be
    /// left out, and the outbox is over three quarters full.
    fn deliver_rest(
        self: &Rc<Self>,
        connection: &Rc<Connection>,
        frames: &Frames,
        to: &Delivery,
        written: Through,
        now: Instant,
    ) -> bool {
        if written == Through::Nothing {
            self.put(connection, now, |outbox, Room { dialect, blocked }| {
                outbox.push_publications(frames, to.slow, dialect, blocked, self.config.outbox)
            });
        }
        let may_visit = to.is_last && self.writing.get() > 0 && connection.may_flush();
        if may_visit || written == Through::Part {
            self.spend(frames.len());
            self.flush(connection, now);
        }
        // Only who must not be left out is worth waiting for.
        to.slow == Slow::Disconnect && connection.is_pressed(&self.config)
    }

    /// Has something put into an outbox, and closes the connection if there is no room even after writing.
    pub(super) fn put(
        self: &Rc<Self>,
        connection: &Rc<Connection>,
        now: Instant,
        put: impl Fn(&mut Outbox, Room) -> bool,
    ) {
        let mut pushed = connection.push(&put);
        if pushed == (Pushed::Refused { full: true }) && !connection.is_blocked() {
            // Much came in one turn. That alone makes nobody slow.
            self.flush(connection, now);
            pushed = connection.push(&put);
        }
        match pushed {
            Pushed::Waits { first } => {
                if first && !connection.is_blocked() {
                    self.dirty.borrow_mut().push_back(Rc::clone(connection));
                }
            }
            Pushed::Refused { full: true } => {
                self.close(connection, CloseCode::SLOW_CONSUMER, "too slow for what it subscribed to", now);
            }
            Pushed::Refused { full: false } => {}
        }
    }

    /// Writes what waits, now and, if the socket does not take all of it, when it takes more.
    pub(super) fn flush(self: &Rc<Self>, connection: &Rc<Connection>, now: Instant) {
        if connection.flush(now) {
            self.runtime.spawn(flush_when_writable(Rc::clone(self), Rc::clone(connection)));
        }
        if !connection.is_open() || connection.is_blocked() {
            self.arm(connection, now);
        }
    }

    pub(super) fn close(&self, connection: &Rc<Connection>, code: CloseCode, reason: &str, now: Instant) {
        if connection.close(code, reason, now) {
            self.leave(connection, Parting::Lost, now);
        }
    }

    /// Has the close frame written and the service told.
    pub(super) fn leave(&self, connection: &Rc<Connection>, parting: Parting, now: Instant) {
        self.leaving.borrow_mut().push((connection.peer, parting));
        self.finish(connection, now);
    }

    /// Has the close frame written.
    pub(super) fn finish(&self, connection: &Rc<Connection>, now: Instant) {
        if connection.mark_dirty() && !connection.is_blocked() {
            // Before those that wait to be written to: whoever reads this one waits for its end.
            self.dirty.borrow_mut().push_front(Rc::clone(connection));
        }
        self.arm(connection, now);
        self.wake_reader(connection.peer.slot);
        self.want_turn();
    }

    /// Answers what ended a peer's input, now that all before it is answered.
    pub(super) fn answer_ending(&self, connection: &Rc<Connection>, ending: Ending, now: Instant) {
        match ending {
            Ending::Closing(code) => {
                if connection.answer_close(code, now) {
                    self.leave(connection, Parting::Goodbye, now);
                } else {
                    self.finish(connection, now);
                }
            }
            Ending::Violation { code, reason } => self.close(connection, code, reason, now),
        }
    }

    /// Has a connection's reader look again whether it may read.
    pub(super) fn wake_reader(&self, slot: u32) {
        if let Some(waker) = self.held.borrow_mut().remove(&slot) {
            waker.wake();
        }
    }

    pub(super) fn cut(&self, connection: &Connection) {
        self.wake_reader(connection.peer.slot);
        if connection.cut() {
            self.leaving.borrow_mut().push((connection.peer, Parting::Lost));
            self.want_turn();
        }
    }

    /// Notes that a connection's reading has ended; its slot is free after the turn that tells the service.
    pub(super) fn end(&self, connection: &Connection) {
        if connection.end() {
            self.leaving.borrow_mut().push((connection.peer, Parting::Lost));
        }
        self.held.borrow_mut().remove(&connection.peer.slot);
        self.ended.borrow_mut().push(connection.peer.slot);
        self.want_turn();
    }

    /// Where connections count what they have waiting for themselves.
    pub(super) fn queued(&self) -> Rc<Cell<usize>> {
        Rc::clone(&self.queued)
    }

    /// While more waits in the whole process than may: handles those connections for which most waits, each as its
    /// subscriptions want it.
    pub(super) fn shed(&self, now: Instant) {
        self.account.note_queued(self.number, self.queued.get());
        if !self.account.is_over() {
            return self.account.forget_largest(self.number);
        }
        for (bytes, connection) in self.largest() {
            if !self.account.is_over() || !self.account.is_largest(self.number, bytes) {
                return;
            }
            let (to_write, unfinished) = connection.waiting();
            if unfinished > to_write {
                let reason = "too much waits in the server, and most of it are unfinished messages like yours";
                self.close(&connection, CloseCode::TRY_AGAIN_LATER, reason, now);
            } else if !connection.leave_out_all() {
                let reason = "too much waits in the server, and most of it for readers like you";
                self.close(&connection, CloseCode::SLOW_CONSUMER, reason, now);
            }
            self.account.note_queued(self.number, self.queued.get());
            if let Some(times) = self.shed.borrow_mut().note(now) {
                tracing::warn!(
                    times,
                    bytes,
                    "`max_waiting` is reached: the slowest readers are closed or miss something"
                );
            }
        }
        self.account.is_largest(self.number, 0);
    }

    /// Asks for a turn if more waits in the whole process than may: a message that is not complete asks for none.
    pub(super) fn look_at_account(&self) {
        self.account.note_queued(self.number, self.queued.get());
        if self.account.is_over() {
            self.want_turn();
        }
    }

    /// The connections for which most waits, each with its bytes, from the largest on.
    fn largest(&self) -> Vec<(usize, Rc<Connection>)> {
        let connections = self.connections.borrow();
        let waiting = |connection: &Connection| {
            let (to_write, unfinished) = connection.waiting();
            to_write + unfinished
        };
        let mut all: Vec<_> = connections.iter().map(|(slot, connection)| (waiting(connection), slot)).collect();
        all.sort_unstable_by_key(|(bytes, _)| Reverse(*bytes));
        let largest = all.into_iter().take(SHED_AT_ONCE).filter(|(bytes, _)| *bytes > 0);
        largest.map(|(bytes, slot)| (bytes, Rc::clone(&connections[slot]))).collect()
    }

    /// Begins a turn.
    pub(super) fn begin_turn(&self) {
        self.turn_wanted.set(false);
        self.turns.set(self.turns.get() + 1);
        self.fed.set(0);
        self.writing.set(WRITING);
    }

    /// Whether more connections wait to be written to than a turn may write to.
    pub(super) fn is_behind(&self) -> bool {
        self.writing.get() == 0 || self.left_over.get() > 0
    }

    /// Writes to those whom the last turn has left over, as many as this turn may write to. Who got something since is written
    /// to when this turn has said all that it has for them.
    pub(super) fn flush_left_over(self: &Rc<Self>, now: Instant) {
        self.flush_first(self.left_over.get(), now);
    }

    /// Writes to those that got something, as many as this turn may write to; the others are the first in the next one.
    pub(super) fn flush_dirty(self: &Rc<Self>, now: Instant) {
        self.flush_first(usize::MAX, now);
        let mut dirty = self.dirty.borrow_mut();
        self.left_over.set(dirty.len());
        if dirty.is_empty() {
            dirty.shrink_to(KEPT);
        } else {
            self.want_turn();
        }
    }

    fn flush_first(self: &Rc<Self>, count: usize, now: Instant) {
        for _ in 0..count {
            if self.writing.get() == 0 {
                return;
            }
            let Some(connection) = self.dirty.borrow_mut().pop_front() else { return };
            self.left_over.set(self.left_over.get().saturating_sub(1));
            if connection.may_flush() {
                self.spend(connection.waiting().0.min(WRITTEN_AT_ONCE));
                self.flush(&connection, now);
            }
        }
    }

    pub(super) fn arm(&self, connection: &Connection, now: Instant) {
        let Some(at) = connection.next_deadline(now, self.resumed.get(), &self.config) else { return };
        let mut deadlines = self.deadlines.borrow_mut();
        let tick = deadlines.tick(at);
        if connection.arm(tick) && deadlines.insert(tick, connection.peer.slot) {
            self.earlier_deadline.notify_one();
        }
    }

    /// Notes that something came so much later than it should have, or took so long: nobody is to blame for what happened
    /// meanwhile.
    pub(super) fn note_delay(&self, delay: Duration) {
        if delay >= STALL {
            self.resumed.set(self.runtime.now());
        }
    }

    /// Does what is due. `may_lag` says of one that takes nothing whether all that it hears may be left out.
    pub(super) fn meet_deadlines(self: &Rc<Self>, may_lag: impl Fn(Peer) -> bool) {
        let now = self.runtime.now();
        while let Some((tick, slots)) = { self.deadlines.borrow_mut().pop(now) } {
            for connection in slots.into_iter().filter_map(|slot| self.connection(slot)) {
                match connection.due(tick, now, self.resumed.get(), &self.config) {
                    Due::Ping => {
                        connection.note_ping(now);
                        self.push(&connection, &Bytes::from_static(PING), now);
                        self.want_turn();
                    }
                    Due::Close(code, reason) => self.close(&connection, code, reason, now),
                    Due::Stalled if may_lag(connection.peer) => connection.spare(now),
                    Due::Stalled | Due::Cut => self.cut(&connection),
                    Due::At(_) | Due::Never => {}
                }
                self.arm(&connection, now);
            }
        }
    }
}

/// Goes on writing to a connection whose socket took no more, until it has taken all.
async fn flush_when_writable(core: Rc<Core>, connection: Rc<Connection>) {
    while connection.writable().await.is_ok() {
        // Those who have much to read are written to a few in a round, so that a crowd of them keeps nobody waiting.
        poll_fn(|context| core.catching_up.poll_pass(context)).await;
        if !connection.flush(core.runtime.now()) {
            break;
        }
        tokio::task::yield_now().await;
    }
    core.arm(&connection, core.runtime.now());
}

/// Connections that a fan-out looks at before it writes to the first of them.
const LOOKED_AT_ONCE: usize = 8;

/// Who stood still for so long gives everybody the time anew that they have for an answer.
const STALL: Duration = Duration::from_millis(250);

/// Connections that are handled in one turn because too much waits.
const SHED_AT_ONCE: usize = 64;

/// Connections in a round of the runtime that are written to because their sockets take more.
const CATCHING_UP_A_ROUND: usize = 32;

/// Nanoseconds for which connections are written to in one turn: some four thousand of them, if each gets little.
const WRITING: u64 = 37_000_000;

/// Room that is kept for those that are to be written to.
const KEPT: usize = 16 * 1024;

/// A ping without payload.
const PING: &[u8] = &[0x89, 0];
