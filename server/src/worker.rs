//! A worker: one thread, its connections, and the turns in which it serves them.
//!
//! First the worker decodes everything that has arrived. Then comes the turn: the service says what follows, and each
//! connection that got something is written to once. A delivery to a connection wakes no task.

pub(crate) mod admission;
pub(crate) mod connections;
pub(crate) mod delivery;
#[cfg(feature = "simulation")]
pub(crate) mod inspect;
pub(crate) mod outbound;
pub(crate) mod reader;
pub(crate) mod service;
mod shedding;
mod timers;
mod writing;

use crate::config::Config;
use crate::connection::peer::{Disconnect, Peer};
use crate::metrics::WorkerMetrics;
use crate::runtime::patience::STALL_MIN;
use admission::Admission;
use connections::Connections;
use hubcast_protocol::CloseCode;
use outbound::Outbound;
use service::Service;
use std::cell::RefCell;
use std::future::poll_fn;
use std::pin::pin;
use std::rc::Rc;
use std::time::{Duration, Instant};
use tokio::task::yield_now;

/// The connections of one thread, and the service that they talk to.
pub(crate) struct Worker<S> {
    service: RefCell<S>,
    connections: Rc<Connections>,
    /// The buffer into which this worker reads from every connection.
    scratch: RefCell<Box<[u8]>>,
    /// Admission of new connections, a few in each round of the runtime.
    admission: Admission,
}

impl<S: Service> Worker<S> {
    pub(crate) fn new(connections: Connections, service: S) -> Rc<Self> {
        let scratch = RefCell::new(vec![0; SCRATCH_BYTES].into_boxed_slice());
        Rc::new(Self {
            service: RefCell::new(service),
            connections: Rc::new(connections),
            scratch,
            admission: Admission::new(ADMIT_PER_ROUND),
        })
    }

    /// What this worker counts, for metrics.
    pub(crate) fn metrics(&self) -> &WorkerMetrics {
        self.connections.metrics()
    }

    pub(crate) fn config(&self) -> &Config {
        &self.connections.config
    }

    /// The admission of new connections; works while [`Admission::run`] runs.
    pub(crate) fn admission(&self) -> Admission {
        self.admission.clone()
    }

    /// The admission of connections whose sockets take more of what waits; works while [`Admission::run`] runs.
    pub(crate) fn catching_up(&self) -> Admission {
        self.connections.catching_up.clone()
    }

    /// A random number that cannot be guessed.
    pub(crate) fn random(&self) -> [u8; 16] {
        self.connections.runtime.random()
    }

    pub(crate) fn accepts(&self, path: &str) -> bool {
        self.service.borrow().accepts(path)
    }

    /// Takes turns without end.
    pub(crate) async fn turns(self: Rc<Self>) {
        loop {
            if !self.wait_until_woken().await {
                // If there is work at once, left over by the last turn or sent by other workers, the reading tasks
                // still have to run first.
                yield_now().await;
            }
            self.coalesce_input().await;
            self.turn();
        }
    }

    /// Takes a turn at least this often, without end, so that an idle worker can be told from one that hangs.
    pub(crate) async fn turn_at_least_every(self: Rc<Self>, every: Duration) {
        loop {
            self.connections.want_turn();
            let next = self.connections.runtime.now() + every;
            self.connections.runtime.sleep_until(next).await;
        }
    }

    /// Waits until there is something to do; says whether it had to wait.
    async fn wait_until_woken(&self) -> bool {
        let (mut woken, mut has_waited) = (pin!(self.connections.wake.notified()), false);
        poll_fn(|context| {
            let poll = woken.as_mut().poll(context);
            has_waited |= poll.is_pending();
            poll
        })
        .await;
        has_waited
    }

    /// Waits a little for more input of a stream that causes long turns. A client that publishes one message after
    /// another has written only some of them when the first one is read. Without this wait, the rest would cost one
    /// more write to each receiver.
    async fn coalesce_input(&self) {
        let Some(last_turn) = self.connections.burst_turn.get() else { return };
        let begun = self.connections.runtime.now();
        let (mut changed, mut fed) = (begun, self.connections.bytes_since_turn.get());
        loop {
            yield_now().await;
            let now = self.connections.runtime.now();
            if fed != self.connections.bytes_since_turn.get() {
                (changed, fed) = (now, self.connections.bytes_since_turn.get());
            }
            if now - changed >= QUIET || now - begun >= last_turn / 20 {
                return;
            }
        }
    }

    /// Waits for deadlines and meets them, without end.
    pub(crate) async fn watch_deadlines(self: Rc<Self>) {
        loop {
            let turn = self.connections.service_due.get();
            let next = self.connections.deadlines.borrow().next().into_iter().chain(turn).min();
            let changed = self.connections.earlier_deadline.notified();
            match next {
                Some(at) => tokio::select! {
                    // Polled in this order and not in a random one, so that a simulation's seed gives the same run
                    // again.
                    biased;
                    () = self.connections.runtime.sleep_until(at) => {
                        self.connections.note_delay(self.connections.runtime.now().saturating_duration_since(at));
                        self.read_what_has_come().await;
                        self.connections.meet_deadlines(|peer| self.service.borrow().may_skip(peer));
                        if turn.is_some_and(|turn| turn <= at) {
                            self.connections.service_due.set(None);
                            self.connections.want_turn();
                        }
                    }
                    () = changed => {}
                },
                None => changed.await,
            }
        }
    }

    /// Returns when everything that had come for any connection has been read, or reading it has at least begun.
    async fn read_what_has_come(&self) {
        let rounds = 1 + self.connections.table.borrow().len() / EVENTS_PER_POLL;
        for _ in 0..rounds {
            yield_now().await;
        }
    }

    /// Disconnects all connections one after another, over the time `drain.spread` of the configuration. From the
    /// start of this on, each new connection is disconnected at once.
    pub(crate) async fn drain(self: Rc<Self>) {
        self.connections.draining.set(true);
        let slots: Vec<u32> = self.connections.table.borrow().iter().map(|(slot, _)| key(slot)).collect();
        let spread = self.connections.config.drain.spread;
        let mut start = self.connections.runtime.now();
        let count = u32::try_from(slots.len()).unwrap_or(u32::MAX).max(1);
        for (place, slot) in (0_u32..).zip(slots) {
            let wait = spread * place / count;
            self.connections.runtime.sleep_until(start + wait).await;
            let late = self.connections.runtime.now().saturating_duration_since(start + wait);
            if late >= STALL_MIN {
                // The process stood still. Those that are left are still disconnected one after another.
                start += late;
            }
            if let Some(connection) = self.connections.connection(slot) {
                // They return in the order in which they were disconnected.
                self.disconnect(connection.peer, spread + wait);
            }
        }
    }

    /// Disconnects all open connections at once, without a pause between them.
    pub(crate) fn disconnect_all(&self) {
        self.connections.draining.set(true);
        let connections = self.connections.table.borrow();
        let peers: Vec<Peer> = connections.iter().map(|(_, c)| c).filter(|c| c.is_open()).map(|c| c.peer).collect();
        drop(connections);
        for peer in peers {
            self.disconnect(peer, self.connections.config.drain.spread);
        }
    }

    pub(super) fn disconnect(&self, peer: Peer, back_in: Duration) {
        let reconnect_in_ms = u64::try_from(back_in.as_millis()).ok();
        let why = Disconnect { code: CloseCode::RESTARTING, reason: "restarting".into(), reconnect_in_ms };
        let mut out = Outbound::new(&self.connections, self.connections.runtime.now());
        self.service.borrow_mut().disconnect(peer, why, &mut out);
        self.connections.want_turn();
    }

    /// Number of connections.
    pub(crate) fn len(&self) -> usize {
        self.connections.table.borrow().len()
    }

    /// Waits until every connection is gone.
    pub(crate) async fn idle(&self) {
        while !self.connections.table.borrow().is_empty() {
            self.connections.vacated.notified().await;
        }
    }

    /// Records how long the turn took that ends now, if it was long and delivered several publications at once.
    fn note_turn(&self, began: Instant) {
        let now = self.connections.runtime.now();
        let took = now.saturating_duration_since(began);
        self.connections.metrics().turn.note(took);
        if let Some(began) = self.connections.fanout_began.take() {
            self.connections.metrics().fanout.note(now.saturating_duration_since(began));
        }
        self.connections.note_delay(took);
        self.connections.burst_turn.set((self.connections.batched.take() && took >= LONG_TURN).then_some(took));
    }

    /// Counts decoded bytes, and sets how much the next read may take.
    fn note_input(&self, bytes: usize) {
        self.connections.bytes_since_turn.set(self.connections.bytes_since_turn.get() + bytes);
        let limit = self.service.borrow().read_limit();
        let limit = if self.connections.bytes_since_turn.get() > BYTES_BEFORE_TURN {
            limit.min(SHORT_READ_BYTES)
        } else {
            limit
        };
        self.connections.read_limit.set(limit);
    }

    /// Takes one turn: lets the service say what follows from the input, writes this, and frees the slots of ended
    /// connections.
    fn turn(&self) {
        let began = self.connections.runtime.now();
        self.connections.begin_turn();
        let mut service = self.service.borrow_mut();
        for (peer, closed) in self.connections.leaving.take() {
            service.closed(peer, closed);
        }
        let ended = self.connections.ended.take();
        service.turn(began, &mut Outbound::new(&self.connections, began));
        self.connections.note_service_due(service.next_turn());
        self.connections.flush_dirty(began);
        for slot in ended {
            // Requests of this connection still wait and name its slot. Another connection must not get the slot
            // before they are served.
            if service.is_waiting(slot) {
                self.connections.ended.borrow_mut().push(slot);
                continue;
            }
            let gone = self.connections.table.borrow_mut().remove(slot as usize);
            self.connections.metrics().note_gone(gone.carrier());
            self.connections.vacated.notify_one();
        }
        self.connections.shed(began);
        self.connections.read_limit.set(service.read_limit());
        drop(service);
        if !self.connections.leaving.borrow().is_empty() {
            self.connections.want_turn();
        }
        self.note_turn(began);
    }
}

fn key(slot: usize) -> u32 {
    u32::try_from(slot).unwrap_or(u32::MAX)
}

/// New connections admitted in one round of the runtime: together they delay a delivery by less than a millisecond.
const ADMIT_PER_ROUND: usize = 8;

/// Readable sockets that the runtime learns about from the system in one poll.
const EVENTS_PER_POLL: usize = 1024;

/// Bytes that one read takes at most.
const SCRATCH_BYTES: usize = 64 * 1024;

/// Length of a turn from which on the next turn waits for more input, for a twentieth of that length at most.
const LONG_TURN: Duration = Duration::from_millis(1);

/// If nothing has come for this time, nothing more is expected.
const QUIET: Duration = Duration::from_micros(40);

/// Bytes that are read between two turns in reads of full length, and the length of each read after that. So what
/// waits for a turn stays bounded.
const BYTES_BEFORE_TURN: usize = 256 * 1024;
const SHORT_READ_BYTES: usize = 8 * 1024;
