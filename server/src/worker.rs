//! A worker: one thread, its connections, and the turns in which it serves them.
//!
//! All that arrives at once is decoded first; then comes the turn, in which the service says what follows and every
//! connection that got something is written to once. Delivering to a connection wakes no task.

mod reading;

use crate::config::Config;
use crate::connection::{Connection, Due, Pushed, Room};
use crate::deadlines::Deadlines;
use crate::frames::{self, Frames};
use crate::limit::Permit;
use crate::outbox::Outbox;
use crate::service::{Farewell, Parting, Peer, Service};
use bytes::Bytes;
use hubcast_protocol::{CloseCode, Dialect, Event, Slow};
use slab::Slab;
use std::cell::{Cell, RefCell};
use std::fmt;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;
use tokio::net::TcpStream;
use tokio::sync::Notify;

/// The connections of one thread, and the service that they talk to.
pub(crate) struct Worker<S> {
    service: RefCell<S>,
    core: Rc<Core>,
    /// Where every read of this worker goes first.
    scratch: RefCell<Box<[u8]>>,
}

/// What does not depend on the service.
pub(crate) struct Core {
    pub(crate) config: Arc<Config>,
    connections: RefCell<Slab<Rc<Connection>>>,
    /// Those that got something in this turn.
    dirty: RefCell<Vec<Rc<Connection>>>,
    /// Those that take nothing more and whose service does not know it yet.
    leaving: RefCell<Vec<(Peer, Parting)>>,
    /// Those whose reading has ended.
    ended: RefCell<Vec<u32>>,
    deadlines: RefCell<Deadlines>,
    earlier_deadline: Notify,
    /// When the service wants a turn by itself.
    service_due: Cell<Option<Instant>>,
    turn_wanted: Cell<bool>,
    /// Bytes decoded since the last turn.
    fed: Cell<usize>,
    wake: Arc<Notify>,
    /// Told whenever a connection is gone.
    vacated: Notify,
}

/// What is left over from a handshake.
pub(crate) struct Early<'a> {
    /// The answer, which is written before anything else.
    pub(crate) answer: Vec<u8>,
    /// What the peer sent without waiting for it.
    pub(crate) frames: &'a [u8],
}

/// Where a [`Service`] puts what it has to say to connections of its own worker.
pub struct Outbound<'a> {
    core: &'a Rc<Core>,
    now: Instant,
}

impl<S: Service> Worker<S> {
    pub(crate) fn new(config: Arc<Config>, service: S, wake: Arc<Notify>) -> Rc<Self> {
        let core = Core {
            config,
            connections: RefCell::default(),
            dirty: RefCell::default(),
            leaving: RefCell::default(),
            ended: RefCell::default(),
            deadlines: RefCell::new(Deadlines::new(Instant::now())),
            earlier_deadline: Notify::new(),
            service_due: Cell::new(None),
            turn_wanted: Cell::new(false),
            fed: Cell::new(0),
            wake,
            vacated: Notify::new(),
        };
        let scratch = RefCell::new(vec![0; SCRATCH].into_boxed_slice());
        Rc::new(Self { service: RefCell::new(service), core: Rc::new(core), scratch })
    }

    pub(crate) fn config(&self) -> &Config {
        &self.core.config
    }

    pub(crate) fn accepts(&self, path: &str) -> bool {
        self.service.borrow().accepts(path)
    }

    /// Takes a WebSocket whose handshake is done.
    pub(crate) fn open(self: &Rc<Self>, stream: TcpStream, early: Early<'_>, dialect: Dialect, permit: Rc<Permit>) {
        let now = Instant::now();
        let connection = {
            let mut connections = self.core.connections.borrow_mut();
            let entry = connections.vacant_entry();
            let slot = u32::try_from(entry.key()).expect("a process has fewer than 2^32 sockets");
            let connection = Rc::new(Connection::new(Peer { slot, dialect }, stream, permit, now));
            entry.insert(Rc::clone(&connection));
            connection
        };
        self.core.push(&connection, &early.answer.into(), now);
        self.service.borrow_mut().opened(connection.peer, &mut self.core.outbound(now));
        self.core.arm(&connection, now);
        self.read_early(&connection, early.frames);
        self.core.want_turn();
        tokio::task::spawn_local(reading::read_all(Rc::clone(self), connection));
    }

    /// Serves turn after turn.
    pub(crate) async fn turns(self: Rc<Self>) {
        loop {
            self.core.wake.notified().await;
            self.turn();
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
                    () = tokio::time::sleep_until(at.into()) => {
                        self.core.meet_deadlines();
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

    /// Sends connections away one after another over the time the configuration gives for it.
    pub(crate) async fn drain(self: Rc<Self>) {
        let slots: Vec<u32> = self.core.connections.borrow().iter().map(|(slot, _)| key(slot)).collect();
        let spread = self.core.config.drain.spread;
        let start = tokio::time::Instant::now();
        let count = u32::try_from(slots.len()).unwrap_or(u32::MAX).max(1);
        for (place, slot) in (0_u32..).zip(slots) {
            let wait = spread * place / count;
            tokio::time::sleep_until(start + wait).await;
            let Some(peer) = self.core.connection(slot).map(|connection| connection.peer) else { continue };
            // Later ones wait longer: they return in the order in which they went, over the same time again.
            let reconnect_in_ms = u64::try_from((spread + wait).as_millis()).ok();
            let why = Farewell { code: CloseCode::RESTARTING, reason: "restarting".into(), reconnect_in_ms };
            let mut out = self.core.outbound(Instant::now());
            self.service.borrow_mut().send_away(peer, why, &mut out);
            self.core.want_turn();
        }
    }

    /// Waits until every connection is gone.
    pub(crate) async fn idle(&self) {
        while !self.core.connections.borrow().is_empty() {
            self.core.vacated.notified().await;
        }
    }

    /// Counts what was decoded, and takes a turn at once when it is much.
    fn note_fed(&self, bytes: usize) {
        self.core.fed.set(self.core.fed.get() + bytes);
        if self.core.fed.get() > FED_BEFORE_TURN {
            self.turn();
        }
    }

    /// Lets the service say what follows from what has come, and writes it.
    fn turn(&self) {
        loop {
            self.core.turn_wanted.set(false);
            self.core.fed.set(0);
            let now = Instant::now();
            let mut service = self.service.borrow_mut();
            for (peer, parting) in self.core.leaving.take() {
                service.closed(peer, parting);
            }
            let ended = self.core.ended.take();
            service.turn(now, &mut self.core.outbound(now));
            self.core.note_service_due(service.next_turn());
            drop(service);
            self.core.flush_dirty(now);
            for slot in ended {
                self.core.connections.borrow_mut().remove(slot as usize);
                self.core.vacated.notify_one();
            }
            if self.core.leaving.borrow().is_empty() {
                break;
            }
        }
    }
}

impl Core {
    fn outbound(self: &Rc<Self>, now: Instant) -> Outbound<'_> {
        Outbound { core: self, now }
    }

    fn connection(&self, slot: u32) -> Option<Rc<Connection>> {
        self.connections.borrow().get(slot as usize).cloned()
    }

    /// Sees to it that the service gets a turn when it wants one by itself.
    fn note_service_due(&self, at: Option<Instant>) {
        let before = self.service_due.replace(at);
        if at.is_some_and(|at| before.is_none_or(|before| at < before)) {
            self.earlier_deadline.notify_one();
        }
    }

    /// Asks for a turn after everything that is ready to be read has been read.
    fn want_turn(&self) {
        if !self.turn_wanted.replace(true) {
            self.wake.notify_one();
        }
    }

    /// Queues what must go out.
    fn push(self: &Rc<Self>, connection: &Rc<Connection>, frames: &Bytes, now: Instant) {
        self.put(connection, now, |outbox, _| outbox.push(frames.clone(), self.config.outbox));
    }

    /// Has something put into an outbox, and closes the connection if there is no room even after writing.
    fn put(self: &Rc<Self>, connection: &Rc<Connection>, now: Instant, put: impl Fn(&mut Outbox, Room) -> bool) {
        let mut pushed = connection.push(&put);
        if pushed == (Pushed::Refused { full: true }) && !connection.is_blocked() {
            // Much came in one turn. That alone makes nobody slow.
            self.flush(connection, now);
            pushed = connection.push(&put);
        }
        match pushed {
            Pushed::Waits { first } => {
                if first && !connection.is_blocked() {
                    self.dirty.borrow_mut().push(Rc::clone(connection));
                }
            }
            Pushed::Refused { full: true } => {
                self.close(connection, CloseCode::SLOW_CONSUMER, "too slow for what it subscribed to", now);
            }
            Pushed::Refused { full: false } => {}
        }
    }

    /// Writes what waits, now and, if the socket does not take all of it, when it takes more.
    fn flush(self: &Rc<Self>, connection: &Rc<Connection>, now: Instant) {
        if connection.flush(now) {
            tokio::task::spawn_local(flush_when_writable(Rc::clone(self), Rc::clone(connection)));
        }
        if !connection.is_open() || connection.is_blocked() {
            self.arm(connection, now);
        }
    }

    fn close(&self, connection: &Rc<Connection>, code: CloseCode, reason: &str, now: Instant) {
        if connection.close(code, reason, now) {
            self.leave(connection, Parting::Lost, now);
        }
    }

    /// Has the close frame written and the service told.
    fn leave(&self, connection: &Rc<Connection>, parting: Parting, now: Instant) {
        self.leaving.borrow_mut().push((connection.peer, parting));
        if connection.mark_dirty() && !connection.is_blocked() {
            self.dirty.borrow_mut().push(Rc::clone(connection));
        }
        self.arm(connection, now);
        self.want_turn();
    }

    fn cut(&self, connection: &Connection) {
        if connection.cut() {
            self.leaving.borrow_mut().push((connection.peer, Parting::Lost));
            self.want_turn();
        }
    }

    /// Notes that a connection's reading has ended; its slot is free after the turn that tells the service.
    fn end(&self, connection: &Connection) {
        if connection.end() {
            self.leaving.borrow_mut().push((connection.peer, Parting::Lost));
        }
        self.ended.borrow_mut().push(connection.peer.slot);
        self.want_turn();
    }

    fn flush_dirty(self: &Rc<Self>, now: Instant) {
        let mut dirty = self.dirty.take();
        for connection in dirty.drain(..) {
            if !connection.is_blocked() {
                self.flush(&connection, now);
            }
        }
        // The room is used again, unless a connection was pushed to meanwhile.
        let mut since = self.dirty.borrow_mut();
        if since.is_empty() {
            *since = dirty;
        }
    }

    fn arm(&self, connection: &Connection, now: Instant) {
        let Some(at) = connection.next_deadline(now, &self.config) else { return };
        let mut deadlines = self.deadlines.borrow_mut();
        let tick = deadlines.tick(at);
        if connection.arm(tick) && deadlines.insert(tick, connection.peer.slot) {
            self.earlier_deadline.notify_one();
        }
    }

    fn meet_deadlines(self: &Rc<Self>) {
        let now = Instant::now();
        while let Some((tick, slots)) = { self.deadlines.borrow_mut().pop(now) } {
            for connection in slots.into_iter().filter_map(|slot| self.connection(slot)) {
                match connection.due(tick, now, &self.config) {
                    Due::Ping => {
                        connection.note_ping(now);
                        self.push(&connection, &Bytes::from_static(PING), now);
                        self.want_turn();
                    }
                    Due::Close(code, reason) => self.close(&connection, code, reason, now),
                    Due::Cut => self.cut(&connection),
                    Due::At(_) | Due::Never => {}
                }
                self.arm(&connection, now);
            }
        }
    }
}

impl Outbound<'_> {
    /// Queues a whole frame, made by [`frame::write`](crate::frame::write), for one connection. One whose outbox is
    /// full is closed with 4002.
    pub fn push(&mut self, slot: u32, frame: &Bytes) {
        if let Some(connection) = self.core.connections.borrow().get(slot as usize) {
            self.core.push(connection, frame, self.now);
        }
    }

    /// Queues publications as their subscription wants it. Says whether the outbox is over three quarters full.
    pub(crate) fn push_publications(&mut self, slot: u32, frames: &Frames, slow: Slow) -> bool {
        let connections = self.core.connections.borrow();
        let Some(connection) = connections.get(slot as usize) else { return false };
        let most = self.core.config.outbox;
        connection.note_slow(slow);
        self.core.put(connection, self.now, |outbox, Room { dialect, blocked }| {
            outbox.push_publications(frames, slow, dialect, blocked, most)
        });
        connection.is_pressed(&self.core.config)
    }

    /// Queues what a session missed, however much it is.
    pub(crate) fn push_replay(&mut self, slot: u32, missed: &Frames) {
        if let Some(connection) = self.core.connections.borrow().get(slot as usize) {
            self.core.put(connection, self.now, |outbox, Room { dialect, .. }| {
                outbox.push_uncounted(missed.get(dialect));
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

    /// Asks for a [`turn`](Service::turn) after everything that is ready to be read has been read.
    pub fn want_turn(&mut self) {
        self.core.want_turn();
    }
}

impl fmt::Debug for Outbound<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outbound").finish_non_exhaustive()
    }
}

/// Goes on writing to a connection whose socket took no more, until it has taken all.
async fn flush_when_writable(core: Rc<Core>, connection: Rc<Connection>) {
    while connection.writable().await.is_ok() && connection.flush(Instant::now()) {}
    core.arm(&connection, Instant::now());
}

fn key(slot: usize) -> u32 {
    u32::try_from(slot).unwrap_or(u32::MAX)
}

/// A ping without payload.
const PING: &[u8] = &[0x89, 0];

/// Bytes read at once.
const SCRATCH: usize = 64 * 1024;

/// Bytes after which a turn does not wait for what else is ready, so that what waits for it stays bounded.
const FED_BEFORE_TURN: usize = 1024 * 1024;
