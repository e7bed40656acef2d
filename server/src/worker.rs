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
use crate::connection::peer::{Farewell, Peer};
use admission::Turnstile;
use connections::Core;
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
    core: Rc<Core>,
    /// Where every read of this worker goes first.
    scratch: RefCell<Box<[u8]>>,
    /// Where those wait who come in a crowd.
    turnstile: Turnstile,
}

impl<S: Service> Worker<S> {
    pub(crate) fn new(core: Core, service: S) -> Rc<Self> {
        let scratch = RefCell::new(vec![0; SCRATCH].into_boxed_slice());
        Rc::new(Self {
            service: RefCell::new(service),
            core: Rc::new(core),
            scratch,
            turnstile: Turnstile::new(NEWCOMERS_A_ROUND),
        })
    }

    pub(crate) fn config(&self) -> &Config {
        &self.core.config
    }

    /// Passes newcomers a few at a time while [`Turnstile::go_round`] runs.
    pub(crate) fn turnstile(&self) -> Turnstile {
        self.turnstile.clone()
    }

    /// Passes those a few at a time who catch up, while [`Turnstile::go_round`] runs.
    pub(crate) fn catching_up(&self) -> Turnstile {
        self.core.catching_up.clone()
    }

    /// Begins a task of this worker.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + 'static) {
        self.core.runtime.spawn(task);
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
            self.gather().await;
            self.turn();
        }
    }

    /// Waits until there is something to do; says whether that took any time.
    async fn wait_until_woken(&self) -> bool {
        let (mut woken, mut has_waited) = (pin!(self.core.wake.notified()), false);
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
    async fn gather(&self) {
        let Some(last_turn) = self.core.streaming.get() else { return };
        let begun = self.core.runtime.now();
        let (mut changed, mut fed) = (begun, self.core.fed.get());
        loop {
            yield_now().await;
            let now = self.core.runtime.now();
            if fed != self.core.fed.get() {
                (changed, fed) = (now, self.core.fed.get());
            }
            if now - changed >= QUIET || now - begun >= last_turn / 20 {
                return;
            }
        }
    }

    /// Looks at deadlines as they come.
    pub(crate) async fn watch_deadlines(self: Rc<Self>) {
        loop {
            let turn = self.core.service_due.get();
            let next = self.core.deadlines.borrow().next().into_iter().chain(turn).min();
            let changed = self.core.earlier_deadline.notified();
            match next {
                Some(at) => tokio::select! {
                    // In this order, and not in one by chance: a run of the simulation is made again by its seed.
                    biased;
                    () = self.core.runtime.sleep_until(at) => {
                        self.core.note_delay(self.core.runtime.now().saturating_duration_since(at));
                        self.read_what_has_come().await;
                        self.core.meet_deadlines(|peer| self.service.borrow().may_lag(peer));
                        if turn.is_some_and(|turn| turn <= at) {
                            self.core.service_due.set(None);
                            self.core.want_turn();
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
        let rounds = 1 + self.core.connections.borrow().len() / EVENTS;
        for _ in 0..rounds {
            yield_now().await;
        }
    }

    /// Sends connections away one after another over the time the configuration gives for it, and from then on each
    /// new one at once.
    pub(crate) async fn drain(self: Rc<Self>) {
        self.core.draining.set(true);
        let slots: Vec<u32> = self.core.connections.borrow().iter().map(|(slot, _)| key(slot)).collect();
        let spread = self.core.config.drain.spread;
        let start = self.core.runtime.now();
        let count = u32::try_from(slots.len()).unwrap_or(u32::MAX).max(1);
        for (place, slot) in (0_u32..).zip(slots) {
            let wait = spread * place / count;
            self.core.runtime.sleep_until(start + wait).await;
            if let Some(connection) = self.core.connection(slot) {
                // They return in the order in which they went, over the same time again.
                self.send_away(connection.peer, spread + wait);
            }
        }
    }

    /// Sends all connections away that are still open, and nobody waits for the next.
    pub(crate) fn send_all_away(&self) {
        self.core.draining.set(true);
        let connections = self.core.connections.borrow();
        let peers: Vec<Peer> = connections.iter().map(|(_, c)| c).filter(|c| c.is_open()).map(|c| c.peer).collect();
        drop(connections);
        for peer in peers {
            self.send_away(peer, self.core.config.drain.spread);
        }
    }

    pub(super) fn send_away(&self, peer: Peer, back_in: Duration) {
        let reconnect_in_ms = u64::try_from(back_in.as_millis()).ok();
        let why = Farewell { code: CloseCode::RESTARTING, reason: "restarting".into(), reconnect_in_ms };
        let mut out = Outbound::new(&self.core, self.core.runtime.now());
        self.service.borrow_mut().send_away(peer, why, &mut out);
        self.core.want_turn();
    }

    /// How many connections there are.
    pub(crate) fn len(&self) -> usize {
        self.core.connections.borrow().len()
    }

    /// Waits until every connection is gone.
    pub(crate) async fn idle(&self) {
        while !self.core.connections.borrow().is_empty() {
            self.core.vacated.notified().await;
        }
    }

    /// Remembers the turn that ends now if it was a long one of a stream.
    fn note_turn(&self, began: Instant) {
        let took = self.core.runtime.now().saturating_duration_since(began);
        self.core.note_delay(took);
        self.core.streaming.set((self.core.joined.take() && took >= LONG_TURN).then_some(took));
    }

    /// Counts what was decoded.
    fn note_fed(&self, bytes: usize) {
        self.core.fed.set(self.core.fed.get() + bytes);
        let limit = self.service.borrow().read_limit();
        let limit = if self.core.fed.get() > FED_BEFORE_TURN { limit.min(SHORT_READ) } else { limit };
        self.core.read_limit.set(limit);
    }

    /// Lets the service say what follows from what has come, and writes it.
    fn turn(&self) {
        let began = self.core.runtime.now();
        self.core.begin_turn();
        let mut service = self.service.borrow_mut();
        for (peer, parting) in self.core.leaving.take() {
            service.closed(peer, parting);
        }
        let ended = self.core.ended.take();
        service.turn(began, &mut Outbound::new(&self.core, began));
        self.core.note_service_due(service.next_turn());
        self.core.flush_dirty(began);
        for slot in ended {
            // What it asked for still names it.
            if service.is_waiting(slot) {
                self.core.ended.borrow_mut().push(slot);
                continue;
            }
            self.core.connections.borrow_mut().remove(slot as usize);
            self.core.vacated.notify_one();
        }
        self.core.shed(began);
        self.core.read_limit.set(service.read_limit());
        drop(service);
        if !self.core.leaving.borrow().is_empty() {
            self.core.want_turn();
        }
        self.note_turn(began);
    }
}

fn key(slot: usize) -> u32 {
    u32::try_from(slot).unwrap_or(u32::MAX)
}

/// Newcomers in a round of the runtime: what they cost together delays a delivery by less than a millisecond.
const NEWCOMERS_A_ROUND: usize = 8;

/// Sockets of which the runtime hears from the system at once that they can be read.
const EVENTS: usize = 1024;

/// Bytes read at once.
const SCRATCH: usize = 64 * 1024;

/// A turn that writes so long is worth waiting for more, a twentieth of it at most.
const LONG_TURN: Duration = Duration::from_millis(1);

/// When nothing has come for so long, nothing more is on its way.
const QUIET: Duration = Duration::from_micros(40);

/// Bytes after which what else is read before a turn is read a little at a time, and how much that is: so what waits for
/// a turn stays bounded.
const FED_BEFORE_TURN: usize = 256 * 1024;
const SHORT_READ: usize = 8 * 1024;
