//! The connections of a worker, with what waits to be written, reported to the service, checked and cleaned up.

use super::admission::Admission;
use super::timers::Deadlines;
use crate::config::Config;
use crate::connection::peer::{CloseReason, Closed, Ending, Peer};
use crate::connection::totals::Totals;
use crate::connection::{Connection, TimerAction};
use crate::encode::account::Account;
use crate::log::warnings::{Warning, Warnings};
use crate::metrics::WorkerMetrics;
use crate::metrics::kinds::{Carrier, SlowPolicy};
use crate::runtime::Runtime;
use crate::runtime::patience::STALL_MIN;
use crate::runtime::pulse::Beat;
use hubcast_protocol::CloseCode;
use slab::Slab;
use std::cell::{Cell, RefCell};
use std::collections::{HashMap, VecDeque};
use std::rc::Rc;
use std::sync::Arc;
use std::task::Waker;
use std::time::{Duration, Instant};
use tokio::sync::Notify;
use tracing::field;

/// The connections of one worker, and the work that they wait for. It does not know the service.
pub(crate) struct Connections {
    pub(super) number: usize,
    pub(super) runtime: Runtime,
    pub(crate) config: Arc<Config>,
    pub(super) account: Arc<Account>,
    pub(super) totals: Rc<Totals>,
    pub(super) warnings: Arc<Warnings>,
    pub(super) table: RefCell<Slab<Rc<Connection>>>,
    /// Connections to be written to, because they got something: in this turn or, if they are too many, in the next
    /// ones.
    pub(super) dirty: RefCell<VecDeque<Rc<Connection>>>,
    /// Whether the last turn has left some of `dirty` over.
    pub(super) is_behind: Cell<bool>,
    /// Nanoseconds of writing that this turn may still do, counted and not measured.
    pub(super) writing: Cell<u64>,
    /// Admission of connections whose sockets take more of what waits for them, a few in each round of the runtime.
    pub(super) catching_up: Admission,
    /// By slot: the readers of connections whose reading is stopped, to be woken when it goes on.
    pub(super) stopped_readers: RefCell<HashMap<u32, Waker>>,
    /// Bytes that one read of a connection takes at most.
    pub(super) read_limit: Cell<usize>,
    /// Connections that take no more input. The next turn reports them to the service by `closed`. Before that, a
    /// connection is first `is_ending` (its client has sent its last message) and then closing (its close frame waits).
    pub(super) leaving: RefCell<Vec<(Peer, Closed)>>,
    /// Slots of the connections whose reading has ended, after all of the above. A slot is used again when the service
    /// has no request of its connection left.
    pub(super) ended: RefCell<Vec<u32>>,
    pub(super) deadlines: RefCell<Deadlines>,
    /// When the last stall of the worker, or of the whole process, ended. Timeouts that began before begin anew then.
    pub(super) stall_ended: Cell<Instant>,
    pub(super) earlier_deadline: Notify,
    /// When the service wants a turn even if nothing comes.
    pub(super) service_due: Cell<Option<Instant>>,
    pub(super) turn_wanted: Cell<bool>,
    /// Counts the turns.
    pub(super) beat: Beat,
    /// Whether all connections are being disconnected.
    pub(super) draining: Cell<bool>,
    /// Bytes decoded since the last turn.
    pub(super) bytes_since_turn: Cell<usize>,
    /// Whether any connection got several publications at once in this turn.
    pub(super) batched: Cell<bool>,
    /// When the oldest of the publications that are delivered in this turn was taken from its publisher.
    pub(super) fanout_began: Cell<Option<Instant>>,
    /// How long the last turn took, if it was long and some connection got several publications at once in it.
    pub(super) burst_turn: Cell<Option<Duration>>,
    pub(super) wake: Arc<Notify>,
    /// Notified whenever a connection is gone.
    pub(super) vacated: Notify,
}

impl Connections {
    /// Makes the table of worker `number`, without connections.
    pub(crate) fn new(
        number: usize,
        runtime: Runtime,
        config: Arc<Config>,
        account: Arc<Account>,
        (warnings, metrics): (Arc<Warnings>, Arc<WorkerMetrics>),
        wake: Arc<Notify>,
        beat: Beat,
    ) -> Self {
        let now = runtime.now();
        Self {
            number,
            runtime,
            config,
            account,
            totals: Rc::new(Totals { queued: Cell::new(0), metrics }),
            warnings,
            table: RefCell::default(),
            dirty: RefCell::default(),
            is_behind: Cell::new(false),
            writing: Cell::new(WRITE_BUDGET_NS),
            catching_up: Admission::new(CATCH_UP_PER_ROUND),
            stopped_readers: RefCell::default(),
            read_limit: Cell::new(usize::MAX),
            leaving: RefCell::default(),
            ended: RefCell::default(),
            deadlines: RefCell::new(Deadlines::new(now)),
            stall_ended: Cell::new(now),
            earlier_deadline: Notify::new(),
            service_due: Cell::new(None),
            turn_wanted: Cell::new(false),
            beat,
            draining: Cell::new(false),
            bytes_since_turn: Cell::new(0),
            batched: Cell::new(false),
            fanout_began: Cell::new(None),
            burst_turn: Cell::new(None),
            wake,
            vacated: Notify::new(),
        }
    }

    pub(super) fn connection(&self, slot: u32) -> Option<Rc<Connection>> {
        self.table.borrow().get(slot as usize).cloned()
    }

    /// Notes when the service next wants a turn even if nothing comes.
    pub(super) fn note_service_due(&self, at: Option<Instant>) {
        let before = self.service_due.replace(at);
        if at.is_some_and(|at| before.is_none_or(|before| at < before)) {
            self.earlier_deadline.notify_one();
        }
    }

    /// Asks for a turn, which comes after everything that is ready has been read.
    pub(super) fn want_turn(&self) {
        if !self.turn_wanted.replace(true) {
            self.wake.notify_one();
        }
    }

    pub(super) fn close(&self, connection: &Rc<Connection>, code: CloseCode, reason: &str, now: Instant) {
        if connection.close(code, reason, now) {
            let (worker, slot) = (self.number, connection.peer.slot);
            tracing::debug!(
                worker,
                slot,
                peer = connection.address().map(field::display),
                code = code.0,
                reason,
                "closing a connection"
            );
            self.note_closed(connection, CloseReason::Lost, code, reason);
            self.finish(connection, now);
        }
    }

    /// Counts the close, and has the service called in the next turn.
    fn note_closed(&self, connection: &Connection, close_reason: CloseReason, code: CloseCode, reason: &str) {
        self.metrics().note_closed(code.0);
        let open_for = connection.open_for(self.runtime.now());
        let (address, traffic) = (connection.address(), connection.traffic());
        let closed = Closed { close_reason, code, reason: reason.into(), open_for, address, traffic };
        self.leaving.borrow_mut().push((connection.peer, closed));
    }

    /// Has the close frame written.
    pub(super) fn finish(&self, connection: &Rc<Connection>, now: Instant) {
        if connection.mark_dirty() && !connection.is_write_blocked() {
            // In front of connections that got something else: the peer of this one waits for the close.
            self.dirty.borrow_mut().push_front(Rc::clone(connection));
        }
        self.arm(connection, now);
        self.wake_reader(connection.peer.slot);
        self.want_turn();
    }

    /// Answers the end of a peer's input, after all requests before it have been answered.
    pub(super) fn answer_ending(&self, connection: &Rc<Connection>, ending: Ending, now: Instant) {
        match ending {
            Ending::Closing(code) => {
                if connection.answer_close(code, now) {
                    self.note_closed(connection, CloseReason::Clean, code.unwrap_or(NO_CODE), "");
                }
                self.finish(connection, now);
            }
            Ending::Violation { code, reason } => self.close(connection, code, reason, now),
        }
    }

    /// Has a connection's reader check again whether it may read.
    pub(super) fn wake_reader(&self, slot: u32) {
        if let Some(waker) = self.stopped_readers.borrow_mut().remove(&slot) {
            waker.wake();
        }
    }

    pub(super) fn abort(&self, connection: &Connection, reason: &str) {
        self.wake_reader(connection.peer.slot);
        if connection.abort() {
            self.note_closed(connection, CloseReason::Lost, BROKEN, reason);
            self.want_turn();
        }
    }

    /// Aborts a connection whose time is over, and logs the reason.
    fn abort_late(&self, connection: &Connection, reason: &str) {
        let (worker, slot) = (self.number, connection.peer.slot);
        tracing::debug!(worker, slot, peer = connection.address().map(field::display), reason, "cutting a connection");
        self.abort(connection, reason);
    }

    /// Notes that a connection's reading has ended. Its slot becomes free after the turn that reports this to the
    /// service.
    pub(super) fn on_read_closed(&self, connection: &Connection) {
        if connection.on_read_closed() {
            // A stream of server-sent events has no close frame: its client just goes.
            let code = if connection.carrier() == Carrier::Sse { NO_CODE } else { BROKEN };
            self.note_closed(connection, CloseReason::Lost, code, "");
        }
        self.stopped_readers.borrow_mut().remove(&connection.peer.slot);
        self.ended.borrow_mut().push(connection.peer.slot);
        self.want_turn();
    }

    /// What this worker counts, for metrics.
    pub(super) fn metrics(&self) -> &WorkerMetrics {
        &self.totals.metrics
    }

    /// Begins a turn: resets what is counted for one turn.
    pub(super) fn begin_turn(&self) {
        self.turn_wanted.set(false);
        self.beat.turn();
        self.bytes_since_turn.set(0);
        self.writing.set(if self.is_behind.get() { 0 } else { WRITE_BUDGET_NS });
    }

    pub(super) fn arm(&self, connection: &Connection, now: Instant) {
        let Some(at) = connection.next_deadline(now, self.stall_ended.get(), &self.config) else { return };
        let mut deadlines = self.deadlines.borrow_mut();
        let tick = deadlines.tick(at);
        if connection.arm(tick) && deadlines.insert(tick, connection.peer.slot) {
            self.earlier_deadline.notify_one();
        }
    }

    /// Notes that a timer came late by `delay`, or that a turn took that long. From `STALL_MIN` on, connections get
    /// their time for an answer anew: they could not be served meanwhile.
    pub(super) fn note_delay(&self, delay: Duration) {
        if delay >= STALL_MIN {
            self.stall_ended.set(self.runtime.now());
        }
    }

    /// Does what is due. `may_skip` says whether everything that a connection gets may be left out; then the
    /// connection is not aborted only because it takes nothing.
    pub(super) fn meet_deadlines(self: &Rc<Self>, may_skip: impl Fn(Peer) -> bool) {
        let now = self.runtime.now();
        while let Some((tick, slots)) = { self.deadlines.borrow_mut().pop(now) } {
            for connection in slots.into_iter().filter_map(|slot| self.connection(slot)) {
                let mut due = connection.due(tick, now, self.stall_ended.get(), &self.config);
                if matches!(due, TimerAction::Stalled | TimerAction::Abort) {
                    // Before a connection counts as stalled, its socket is tried once more.
                    connection.retry_write(now);
                    due = connection.due(tick, now, self.stall_ended.get(), &self.config);
                }
                match due {
                    TimerAction::Ping => {
                        connection.note_ping(now);
                        self.push(&connection, &connection.heartbeat(), now);
                        self.want_turn();
                    }
                    TimerAction::Close(code, reason) => self.close(&connection, code, reason, now),
                    // A connection whose reading is stopped is excluded, because a pong from it could not be seen.
                    TimerAction::Stalled if !connection.is_reading_stopped() && may_skip(connection.peer) => {
                        connection.extend_write_timeout(now);
                    }
                    TimerAction::Stalled => {
                        self.warnings.note(Warning::SlowConsumer, now);
                        self.metrics().slow_consumers[SlowPolicy::Disconnect as usize].add(1);
                        self.abort_late(&connection, "it reads nothing of what it is sent");
                    }
                    TimerAction::Abort => self.abort_late(&connection, "its close took too long"),
                    TimerAction::At(_) | TimerAction::Never => {}
                }
                self.arm(&connection, now);
            }
        }
    }
}

/// The codes of a close without a code, and of a connection that broke (RFC 6455 section 7.4.1).
const NO_CODE: CloseCode = CloseCode(1005);
const BROKEN: CloseCode = CloseCode(1006);

/// Connections that are written to in one round of the runtime because their sockets take more.
const CATCH_UP_PER_ROUND: usize = 32;

/// Nanoseconds of writing to connections in one turn: some two thousand connections, if each gets little.
pub(super) const WRITE_BUDGET_NS: u64 = 20_000_000;
