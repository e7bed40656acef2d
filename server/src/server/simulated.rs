//! A whole server without threads, sockets or a clock, for tests that decide what happens next.
//!
//! All other code is that of the real server: the tasks that read, take turns, check deadlines and write when there is
//! room, the hub behind its lock, and the mail between workers. A test polls these tasks one by one, on any worker, and
//! sets the time.

pub use crate::connection::ClientEnd;
pub use crate::pubsub::observer::Observed;

use super::{RESUME_WINDOW, settings};
use crate::config::{Config, LiveConfig};
use crate::connection::peer::{Arrival, Disconnect};
use crate::connection::{News, pipe};
use crate::encode::account::Account;
use crate::listener::limit::ConnectionLimit;
use crate::log::warnings::Warnings;
use crate::metrics::Metrics;
use crate::pubsub::PubSub;
use crate::pubsub::shared_hub::SharedHub;
use crate::runtime::pulse::Beat;
use crate::runtime::{ByHand, Runtime};
use crate::worker::Worker;
use crate::worker::connections::Connections;
use crate::worker::inspect::WorkerLoad;
use crate::worker::reader::Leftover;
use hubcast_hub::{Hub, LiveBytes, Settings, Snapshot};
use hubcast_protocol::Dialect;
use std::fmt;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::Notify;

/// A simulated server. Make one, [`connect`](Self::connect) to it, and run it with [`poll`](Self::poll) and
/// [`advance`](Self::advance). Dropping it is a crash.
pub struct Simulated {
    shared_hub: Arc<SharedHub>,
    account: Arc<Account>,
    limit: Arc<ConnectionLimit>,
    workers: Vec<(Rc<Worker<PubSub>>, Rc<ByHand>)>,
    /// Whether there would be a state folder.
    keeps_state: bool,
    connections: u64,
    news: News,
}

impl Simulated {
    /// A server with as many workers as the configuration says, or one. If there is a saved `state`, the server
    /// continues from it. `seed` is the seed of the hub. With an even seed the server divides its work into the
    /// smallest parts.
    pub fn new(config: Config, seed: u64, state: Option<Snapshot>, now: Instant) -> Self {
        let wakes: Vec<Arc<Notify>> = (0..config.workers.unwrap_or(1)).map(|_| Arc::default()).collect();
        let account = Account::new(config.max_waiting, wakes.clone());
        let live_bytes: Arc<dyn LiveBytes> = Arc::<Account>::clone(&account);
        let settings = settings(&config, seed);
        let work_at_once = if seed.is_multiple_of(2) { 1 } else { settings.work_at_once };
        let mut hub = Hub::new(Settings { live_bytes: Some(live_bytes), work_at_once, ..settings });
        let keeps_state = state.is_some();
        if let Some(saved) = state {
            hub.await_return(now + RESUME_WINDOW);
            hub.restore(now, saved);
        }
        let metrics = Metrics::new(wakes.len(), 0);
        let counted = (Arc::clone(&account), Arc::clone(&metrics));
        let shared_hub = SharedHub::new(hub, wakes.clone(), config.outbox, counted);
        let (limit, config) = (ConnectionLimit::new(config.max_connections, None), Arc::new(config));
        let warnings = Arc::<Warnings>::default();
        let settings = LiveConfig::new(Arc::clone(&config));
        let workers = (0..).zip(wakes).map(|(number, wake)| {
            let tasks = Rc::new(ByHand::new((seed, number), now));
            let runtime = Runtime::ByHand(Rc::clone(&tasks));
            let (config, account) = (Arc::clone(&config), Arc::clone(&account));
            let counted = (Arc::clone(&warnings), Arc::clone(&metrics.workers[number as usize]));
            let beat = Beat::default();
            let connections = Connections::new(number as usize, runtime, config, account, counted, wake, beat);
            let worker =
                Worker::new(connections, PubSub::new(Arc::clone(&shared_hub), number as usize, Arc::clone(&settings)));
            tasks.spawn(Rc::clone(&worker).watch_deadlines());
            tasks.spawn(worker.admission().run());
            tasks.spawn(worker.catching_up().run());
            tasks.spawn(Rc::clone(&worker).turns());
            (worker, tasks)
        });
        let workers = workers.collect();
        Self { shared_hub, account, limit, workers, keeps_state, connections: 0, news: News::default() }
    }

    /// Opens a WebSocket on a worker, as if its handshake had just been answered.
    pub fn connect(&mut self, worker: usize, dialect: Dialect) -> ClientEnd {
        let (pipe, client) = pipe(ANSWER, self.connections, Rc::clone(&self.news));
        self.connections += 1;
        let permit = self.limit.try_admit().expect("a test opens fewer connections");
        let leftover = Leftover { answer: ANSWER.to_vec(), frames: &[] };
        let slot = self.workers[worker].0.open(pipe.into(), leftover, dialect, Arrival::default(), Rc::new(permit));
        client.in_slot(slot)
    }

    /// Polls the task of a worker that was woken first. Returns whether there was one.
    pub fn poll(&mut self, worker: usize) -> bool {
        self.workers[worker].1.poll_one()
    }

    /// The time of the next timer.
    pub fn next_timer(&self) -> Option<Instant> {
        self.workers.iter().filter_map(|(_, tasks)| tasks.next_timer()).min()
    }

    /// Sets the time to `now`.
    pub fn advance(&mut self, now: Instant) {
        self.workers.iter().for_each(|(_, tasks)| tasks.advance(now));
    }

    /// The numbers of the connections that the server wrote to or closed since the last call. A connection is not
    /// listed again before the client has taken its bytes.
    pub fn take_news(&self) -> Vec<u64> {
        self.news.take()
    }

    /// Begins to close all connections.
    pub fn drain(&mut self) {
        for (worker, tasks) in &self.workers {
            if self.keeps_state {
                self.shared_hub.await_return(tasks.now() + RESUME_WINDOW);
            }
            tasks.spawn(Rc::clone(worker).drain());
        }
    }

    /// Closes one connection.
    pub fn disconnect(&mut self, worker: usize, slot: u32, why: Disconnect) {
        self.workers[worker].0.disconnect_one(slot, why);
    }

    /// The state that the next server loads from the state folder.
    pub fn save(&self, now: Instant) -> Snapshot {
        self.shared_hub.save(now).expect("a test ends where the server panics")
    }

    /// What the hub did since the last call, in order. Recording begins with the first call.
    pub fn take_observed(&self) -> Vec<Observed> {
        self.shared_hub.take_observed()
    }

    /// Whether the hub has no session, no subscription and no request to answer.
    pub fn is_empty(&self) -> bool {
        self.shared_hub.is_empty()
    }

    /// Number of histories.
    pub fn histories(&self) -> usize {
        self.shared_hub.histories()
    }

    /// Number of turns that a worker has taken.
    pub fn turns(&self, worker: usize) -> u64 {
        self.workers[worker].0.turns_taken()
    }

    /// The work and the memory of a worker.
    pub fn load(&self, worker: usize) -> Load {
        let worker = &self.workers[worker].0;
        let (WorkerLoad { connections, reading_stopped, queued }, service) = (worker.load(), worker.service());
        let (unserved, holds_back, replay_cache) = (service.unserved(), service.holds_back(), service.replay_cache());
        Load { connections, reading_stopped, unserved, holds_back, queued, replay_cache }
    }

    /// The memory, in bytes, of all that waits to be written.
    pub fn waiting(&self) -> usize {
        self.account.bytes()
    }
}

/// The work that one worker has to do, and the memory it needs for it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Load {
    /// Connections, including closed ones for which work is left.
    pub connections: usize,
    /// The number of these whose reading is stopped until their requests are served or their answers are taken.
    pub reading_stopped: usize,
    /// The approximate bytes of requests that were read and are not served yet.
    pub unserved: usize,
    /// Whether requests wait until their connection has taken the answers to earlier ones.
    pub holds_back: bool,
    /// Bytes that wait to be written.
    pub queued: usize,
    /// Bytes of frames in the replay cache.
    pub replay_cache: usize,
}

/// The answer to a handshake, as short as the simulation allows.
const ANSWER: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\n\r\n";

impl Drop for Simulated {
    fn drop(&mut self) {
        self.workers.iter().for_each(|(_, tasks)| tasks.abort());
    }
}

impl fmt::Debug for Simulated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Simulated").field("shared_hub", &self.shared_hub).finish_non_exhaustive()
    }
}
