//! A whole server without threads, sockets and clock, for tests that decide what happens next.
//!
//! Everything else is what is shipped: the tasks that read, take turns, look at deadlines and write when there is room,
//! the hub behind its lock, and the mail between workers. A test polls these tasks one by one, of whichever worker it
//! likes, and says what time it is.

pub use crate::connection::ClientEnd;
pub use crate::pubsub::observer::Observed;

use super::{RETURN, settings};
use crate::config::Config;
use crate::connection::peer::Farewell;
use crate::connection::{News, Socket, pipe};
use crate::encode::account::Account;
use crate::listener::limit::ConnectionLimit;
use crate::log::warnings::Warnings;
use crate::pubsub::PubSub;
use crate::pubsub::shared_hub::Exchange;
use crate::runtime::{ByHand, Runtime};
use crate::worker::Worker;
use crate::worker::connections::Core;
use crate::worker::inspect::WorkerLoad;
use crate::worker::reader::Early;
use hubcast_hub::{Hub, LiveBytes, Saved, Settings};
use hubcast_protocol::Dialect;
use std::fmt;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::Notify;

/// The server. Make one, [`connect`](Self::connect) to it, and have it do something with [`poll`](Self::poll) and
/// [`advance`](Self::advance). One that is dropped has crashed.
pub struct Simulated {
    exchange: Arc<Exchange>,
    account: Arc<Account>,
    limit: Arc<ConnectionLimit>,
    workers: Vec<(Rc<Worker<PubSub>>, Rc<ByHand>)>,
    /// Whether there is a state folder.
    keeps_state: bool,
    connections: u64,
    news: News,
}

impl Simulated {
    /// A server with as many workers as the configuration says, or one. It goes on with what its state folder holds, if
    /// it has one. Its hub is made from `seed`; every other one does in many pieces what may be done in pieces.
    pub fn new(config: Config, seed: u64, state: Option<Saved>, now: Instant) -> Self {
        let wakes: Vec<Arc<Notify>> = (0..config.workers.unwrap_or(1)).map(|_| Arc::default()).collect();
        let account = Account::new(config.max_waiting, wakes.clone());
        let live_bytes: Arc<dyn LiveBytes> = Arc::<Account>::clone(&account);
        let settings = settings(&config, seed);
        let work_at_once = if seed.is_multiple_of(2) { 1 } else { settings.work_at_once };
        let mut hub = Hub::new(Settings { live_bytes: Some(live_bytes), work_at_once, ..settings });
        let keeps_state = state.is_some();
        if let Some(saved) = state {
            hub.await_return(now + RETURN);
            hub.restore(now, saved);
        }
        let exchange = Exchange::new(hub, wakes.clone(), config.outbox, Arc::clone(&account));
        let (limit, config) = (ConnectionLimit::new(config.max_connections), Arc::new(config));
        let warnings = Arc::<Warnings>::default();
        let workers = (0..).zip(wakes).map(|(number, wake)| {
            let tasks = Rc::new(ByHand::new((seed, number), now));
            let runtime = Runtime::ByHand(Rc::clone(&tasks));
            let (config, account) = (Arc::clone(&config), Arc::clone(&account));
            let core = Core::new(number as usize, runtime, config, account, Arc::clone(&warnings), wake);
            let worker = Worker::new(core, PubSub::new(Arc::clone(&exchange), number as usize));
            tasks.spawn(Rc::clone(&worker).watch_deadlines());
            tasks.spawn(worker.turnstile().go_round());
            tasks.spawn(worker.catching_up().go_round());
            tasks.spawn(Rc::clone(&worker).turns());
            (worker, tasks)
        });
        let workers = workers.collect();
        Self { exchange, account, limit, workers, keeps_state, connections: 0, news: News::default() }
    }

    /// Opens a WebSocket on a worker, as if its handshake had just been answered.
    pub fn connect(&mut self, worker: usize, dialect: Dialect) -> ClientEnd {
        let (pipe, client) = pipe(ANSWER, self.connections, Rc::clone(&self.news));
        self.connections += 1;
        let permit = self.limit.try_admit().expect("a test opens fewer connections");
        let early = Early { answer: ANSWER.to_vec(), frames: &[] };
        let slot = self.workers[worker].0.open(Socket::Pipe(pipe), early, dialect, Rc::new(permit));
        client.in_slot(slot)
    }

    /// Polls the task of a worker that was woken first; says whether there was one.
    pub fn poll(&mut self, worker: usize) -> bool {
        self.workers[worker].1.poll_one()
    }

    /// When something happens by itself.
    pub fn next_timer(&self) -> Option<Instant> {
        self.workers.iter().filter_map(|(_, tasks)| tasks.next_timer()).min()
    }

    /// Lets it be `now`.
    pub fn advance(&mut self, now: Instant) {
        self.workers.iter().for_each(|(_, tasks)| tasks.advance(now));
    }

    /// The numbers of connections to which something was written, or which were shut, since the last call. One of which
    /// nothing was taken since is not named again.
    pub fn take_news(&self) -> Vec<u64> {
        self.news.take()
    }

    /// Begins to send everybody away.
    pub fn drain(&mut self) {
        for (worker, tasks) in &self.workers {
            if self.keeps_state {
                self.exchange.await_return(tasks.now() + RETURN);
            }
            tasks.spawn(Rc::clone(worker).drain());
        }
    }

    /// Sends one connection away.
    pub fn send_away(&mut self, worker: usize, slot: u32, why: Farewell) {
        self.workers[worker].0.send_away_from(slot, why);
    }

    /// What is left in the state folder for the next server.
    pub fn save(&self, now: Instant) -> Saved {
        self.exchange.save(now).expect("a test ends where the server panics")
    }

    /// What the hub did since the last call, in its order; before the first one nothing is written down.
    pub fn take_observed(&self) -> Vec<Observed> {
        self.exchange.take_observed()
    }

    /// Whether the hub has no session, no subscription and nothing to be answered.
    pub fn is_empty(&self) -> bool {
        self.exchange.is_empty()
    }

    /// How many histories there are.
    pub fn histories(&self) -> usize {
        self.exchange.histories()
    }

    /// How many turns a worker has taken.
    pub fn turns(&self, worker: usize) -> u64 {
        self.workers[worker].0.turns_taken()
    }

    /// What a worker has to do.
    pub fn load(&self, worker: usize) -> Load {
        let worker = &self.workers[worker].0;
        let (WorkerLoad { connections, held, queued }, service) = (worker.load(), worker.service());
        let (unserved, holds_back, replays) = (service.unserved(), service.holds_back(), service.replays());
        Load { connections, held, unserved, holds_back, queued, replays }
    }

    /// Bytes of memory for all that waits to be written.
    pub fn waiting(&self) -> usize {
        self.account.bytes()
    }
}

/// What one worker has to do, and what it keeps for that.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Load {
    /// Connections, those included of which something is left to be done.
    pub connections: usize,
    /// Of these, those that are not read until what they asked for is done or taken.
    pub held: usize,
    /// Bytes of requests that were read and not served, about.
    pub unserved: usize,
    /// Whether requests wait until their connection has taken what it asked for before.
    pub holds_back: bool,
    /// Bytes that wait to be written.
    pub queued: usize,
    /// Bytes of frames that are kept for the next who missed the same.
    pub replays: usize,
}

/// The answer to a handshake, as far as anybody has to know it.
const ANSWER: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\n\r\n";

impl Drop for Simulated {
    fn drop(&mut self) {
        self.workers.iter().for_each(|(_, tasks)| tasks.abort());
    }
}

impl fmt::Debug for Simulated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Simulated").field("exchange", &self.exchange).finish_non_exhaustive()
    }
}
