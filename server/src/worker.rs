//! A worker: one thread, its connections, and the turns in which it serves them.
//!
//! All that arrives at once is decoded first; then comes the turn, in which the service says what follows and every
//! connection that got something is written to once. Delivering to a connection wakes no task.

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
    /// Where every read of this worker goes first.
    scratch: RefCell<Box<[u8]>>,
    /// Where those wait who come in a crowd.
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

    pub(crate) fn config(&self) -> &Config {
        &self.connections.config
    }

    /// Passes newcomers a few at a time while [`Admission::run`] runs.
    pub(crate) fn admission(&self) -> Admission {
        self.admission.clone()
    }

    /// Passes those a few at a time who catch up, while [`Admission::run`] runs.
    pub(crate) fn catching_up(&self) -> Admission {
        self.connections.catching_up.clone()
    }

    /// Begins a task of this worker.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + 'static) {
        self.connections.runtime.spawn(task);
    }

    pub(crate) fn accepts(&self, path: &str) -> bool {
        self.service.borrow().accepts(path)
    }

    /// Serves turn after turn.
    pub(crate) async fn turns(self: Rc<Self>) {
        loop {
            if !self.wait_until_woken().await {
                // What the last turn has left over, or other workers go on sending, must not keep anybody from being read.
                yield_now().await;
            }
            self.coalesce_input().await;
            self.turn();
        }
    }

    /// Waits until there is something to do; says whether that took any time.
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

    /// Waits a little for more of a stream that fills long turns: whoever publishes one message after another has
    /// written only some of them when the first is read, and the rest would pay for a write to each receiver again.
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

    /// Looks at deadlines as they come.
    pub(crate) async fn watch_deadlines(self: Rc<Self>) {
        loop {
            let turn = self.connections.service_due.get();
            let next = self.connections.deadlines.borrow().next().into_iter().chain(turn).min();
            let changed = self.connections.earlier_deadline.notified();
            match next {
                Some(at) => tokio::select! {
                    // In this order, and not in one by chance: a run of the simulation is made again by its seed.
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

    /// Comes back when all that had come for any connection has been read, or at least begun to be.
    async fn read_what_has_come(&self) {
        let rounds = 1 + self.connections.table.borrow().len() / EVENTS_PER_POLL;
        for _ in 0..rounds {
            yield_now().await;
        }
    }

    /// Sends connections away one after another over the time the configuration gives for it, and from then on each
    /// new one at once.
    pub(crate) async fn drain(self: Rc<Self>) {
        self.connections.draining.set(true);
        let slots: Vec<u32> = self.connections.table.borrow().iter().map(|(slot, _)| key(slot)).collect();
        let spread = self.connections.config.drain.spread;
        let start = self.connections.runtime.now();
        let count = u32::try_from(slots.len()).unwrap_or(u32::MAX).max(1);
        for (place, slot) in (0_u32..).zip(slots) {
            let wait = spread * place / count;
            self.connections.runtime.sleep_until(start + wait).await;
            if let Some(connection) = self.connections.connection(slot) {
                // They return in the order in which they went, over the same time again.
                self.disconnect(connection.peer, spread + wait);
            }
        }
    }

    /// Sends all connections away that are still open, and nobody waits for the next.
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

    /// How many connections there are.
    pub(crate) fn len(&self) -> usize {
        self.connections.table.borrow().len()
    }

    /// Waits until every connection is gone.
    pub(crate) async fn idle(&self) {
        while !self.connections.table.borrow().is_empty() {
            self.connections.vacated.notified().await;
        }
    }

    /// Remembers the turn that ends now if it was a long one of a stream.
    fn note_turn(&self, began: Instant) {
        let took = self.connections.runtime.now().saturating_duration_since(began);
        self.connections.note_delay(took);
        self.connections.burst_turn.set((self.connections.batched.take() && took >= LONG_TURN).then_some(took));
    }

    /// Counts what was decoded.
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

    /// Lets the service say what follows from what has come, and writes it.
    fn turn(&self) {
        let began = self.connections.runtime.now();
        self.connections.begin_turn();
        let mut service = self.service.borrow_mut();
        for (peer, close_reason) in self.connections.leaving.take() {
            service.closed(peer, close_reason);
        }
        let ended = self.connections.ended.take();
        service.turn(began, &mut Outbound::new(&self.connections, began));
        self.connections.note_service_due(service.next_turn());
        self.connections.flush_dirty(began);
        for slot in ended {
            // What it asked for still names it.
            if service.is_waiting(slot) {
                self.connections.ended.borrow_mut().push(slot);
                continue;
            }
            self.connections.table.borrow_mut().remove(slot as usize);
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

/// Newcomers in a round of the runtime: what they cost together delays a delivery by less than a millisecond.
const ADMIT_PER_ROUND: usize = 8;

/// Sockets of which the runtime hears from the system at once that they can be read.
const EVENTS_PER_POLL: usize = 1024;

/// Bytes read at once.
const SCRATCH_BYTES: usize = 64 * 1024;

/// A turn that writes so long is worth waiting for more, a twentieth of it at most.
const LONG_TURN: Duration = Duration::from_millis(1);

/// When nothing has come for so long, nothing more is on its way.
const QUIET: Duration = Duration::from_micros(40);

/// Bytes after which what else is read before a turn is read a little at a time, and how much that is: so what waits for
/// a turn stays bounded.
const BYTES_BEFORE_TURN: usize = 256 * 1024;
const SHORT_READ_BYTES: usize = 8 * 1024;
