//! The hub, shared by all workers.
//!
//! One lock orders everything. A worker takes the lock once a turn; meanwhile it hands its inputs to the hub, puts the
//! effects for connections of other workers into their mail, and takes its own mail out. Then it carries out its mail
//! first, which is older, and after that what its own inputs caused. So each connection sees effects in the order of
//! the hub. Only an answer to a connection that gets nothing else before it goes first: see
//! [`flush_plan`](super::flush_plan).

mod describe;

pub(super) use describe::Facts;

use super::address::{NOBODY, session, slot_of, worker_of};
use super::alarm::{Alarm, Keeper};
use super::evictions::{self, Evictions};
use super::mail::RemoteOutput;
use super::mailbox::{Mailbox, post, take};
#[cfg(feature = "simulation")]
use super::observer::{Observed, Observer};
use super::turn_output::TurnOutput;
use crate::config::Config;
use crate::encode::account::Account;
use crate::hooks::Hook;
use crate::metrics::Metrics;
use crate::runtime::tasks::end_for_another;
use crate::schedule::{Cost, Item, Schedule};
use crate::wall_clock::unix_ms;
use hubcast_hub::{Hub, Input, SessionId, Snapshot};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, TryLockError};
use std::time::{Duration, Instant};
use tokio::sync::Notify;

/// The hub and the mail of each worker.
#[derive(Debug)]
pub(crate) struct SharedHub {
    shared: Mutex<Shared>,
    wakes: Vec<Arc<Notify>>,
    /// Bound of one connection's outbox, in bytes: a batch of joined publications has to fit into it.
    max_outbox: usize,
    account: Arc<Account>,
    metrics: Arc<Metrics>,
    /// How often what is granted has changed.
    grant_changes: AtomicU64,
    #[cfg(feature = "simulation")]
    observer: Observer,
}

#[derive(Debug)]
struct Shared {
    hub: Hub,
    mail: Vec<Mailbox>,
    /// Before this time the hub does nothing of its own, even if something is due.
    hub_rests_until: Option<Instant>,
    alarm: Alarm,
    evictions: Evictions,
}

impl SharedHub {
    /// Makes one worker's mailbox for each of `wakes`. `max_outbox` is the bound of each connection's outbox, in bytes.
    pub(crate) fn new(
        hub: Hub,
        wakes: Vec<Arc<Notify>>,
        max_outbox: usize,
        (account, metrics): (Arc<Account>, Arc<Metrics>),
    ) -> Arc<Self> {
        let mail = wakes.iter().map(|_| Mailbox::default()).collect();
        let (alarm, evictions) = (Alarm::new(wakes.len()), Evictions::default());
        let shared = Shared { hub, mail, hub_rests_until: None, alarm, evictions };
        Arc::new(Self {
            shared: Mutex::new(shared),
            wakes,
            max_outbox,
            account,
            metrics,
            grant_changes: AtomicU64::new(0),
            #[cfg(feature = "simulation")]
            observer: Observer::default(),
        })
    }

    /// Takes one turn of `worker`: hands a slice of `schedule` to the hub, and collects in `turn_output` what follows
    /// for the worker's connections. A worker that `is_behind` has not yet written what it has; publishers that filled
    /// its mailbox then stay blocked.
    pub(crate) fn turn(
        &self,
        worker: usize,
        now: Instant,
        schedule: &mut Schedule,
        turn_output: &mut TurnOutput,
        is_behind: bool,
    ) {
        schedule.begin_slice(is_behind);
        turn_output.began = Some(now);
        let mut shared = self.lock_for_turn(worker);
        let Shared { hub, mail, hub_rests_until, alarm, evictions } = &mut *shared;
        if hub.needs_wall_clock() {
            hub.set_wall_clock(now, unix_ms());
        }
        let mut posted = take(worker, mail, &mut turn_output.mail, is_behind);
        while let Some((slot, item)) = schedule.next(turn_output.growing(self.max_outbox)) {
            let cost = match item {
                Item::Input(input) => {
                    let (cost, left) = self.hand_over(hub, now, worker, input, turn_output);
                    if let Some(left) = left {
                        schedule.put_back(slot, Item::Input(left));
                    }
                    cost
                }
                Item::Pong(pong) => turn_output.push_pong(session(worker, slot), slot, pong),
                Item::Ending(ending) => turn_output.push_ending(session(worker, slot), slot, ending),
            };
            schedule.charge(cost);
        }
        if next_timeout(hub, *hub_rests_until).is_some_and(|at| at <= now) {
            let before = turn_output.effects.len();
            hub.handle_timeout(now, &mut turn_output.effects);
            *hub_rests_until = Some(now + HUB_REST);
            turn_output.coalesce(before, NOBODY, self.max_outbox, &self.account);
            if hub.is_reporting() {
                turn_output.report(before, now);
            }
        }
        let keeper = alarm.note_turn(worker, now, next_timeout(hub, *hub_rests_until), is_behind);
        turn_output.next_timeout = if let Keeper::This(due) = keeper { Some(due) } else { None };
        self.account.note_kept(hub.engine().publication_bytes());
        let evicted = evictions.unreported(now, hub.engine().evicted());
        if mail.len() > 1 {
            posted |= post(worker, turn_output, mail);
        }
        drop(shared);
        if posted {
            self.wake_others(worker);
        } else if let Keeper::Woken(other) = keeper {
            self.wakes[other].notify_one();
        }
        if let Some(evicted) = evicted {
            evictions::warn(evicted);
        }
    }

    /// Hands one input to the hub. Returns the cost of this and of carrying out what follows, and the rest of the
    /// input, if there is one: it is to be handed over after inputs of other connections.
    fn hand_over(
        &self,
        hub: &mut Hub,
        now: Instant,
        worker: usize,
        input: Input,
        turn_output: &mut TurnOutput,
    ) -> (Cost, Option<Input>) {
        let (before, worked) = (turn_output.effects.len(), turn_output.effects.work());
        let session = author(&input);
        #[cfg(feature = "simulation")]
        self.observer.before(&input, hub);
        let left = hub.begin(now, input, &mut turn_output.effects).err();
        #[cfg(feature = "simulation")]
        self.observer.after(session, left.as_ref(), hub, &turn_output.effects, before);
        let author = left.as_ref().map_or(session, |left| left.worked_for);
        // This worker cannot stop the reading of a publisher that is connected to another worker.
        let author = if worker_of(author) == worker { author } else { NOBODY };
        let cost = turn_output.coalesce(before, author, self.max_outbox, &self.account);
        if hub.is_reporting() {
            turn_output.report(before, now);
        }
        (Cost { hub: turn_output.effects.work() - worked, ..cost }, left.map(|left| *left.next))
    }

    /// Notes that a worker takes no more turns. If it had to wake up for what is due, another worker does so from now
    /// on.
    pub(crate) fn note_end(&self, worker: usize) {
        let woken = self.shared.lock().ok().and_then(|mut shared| shared.alarm.note_end(worker));
        if let Some(woken) = woken {
            self.wakes[woken].notify_one();
        }
    }

    /// Tells the workers of these publishers that receivers here are far behind, with the bytes that each publisher
    /// sent to them.
    pub(crate) fn pause(&self, worker: usize, publishers: &mut BTreeMap<SessionId, usize>) {
        if publishers.is_empty() {
            return;
        }
        let mut shared = self.lock();
        for (publisher, bytes) in std::mem::take(publishers) {
            shared.mail[worker_of(publisher)].put(RemoteOutput::Pause { publisher: slot_of(publisher), bytes }, 0);
        }
        drop(shared);
        self.wake_others(worker);
    }

    /// What wakes a worker.
    pub(super) fn wake(&self, worker: usize) -> Arc<Notify> {
        Arc::clone(&self.wakes[worker])
    }

    /// Reads or changes the hub by what is no input of a session.
    pub(super) fn with_hub<T>(&self, act: impl FnOnce(&mut Hub) -> T) -> T {
        act(&mut self.lock().hub)
    }

    /// Puts other rules, limits and grants in force. All workers then review the subscriptions of their connections.
    pub(crate) fn reload(&self, config: &Config) {
        let (rules, limits, admission) = (config.rules.clone(), config.limits.clone(), config.admission.clone());
        let reporting = Hook::reporting(&config.hooks);
        if self.lock().hub.reload(rules, limits, admission, reporting) {
            self.grant_changes.fetch_add(1, Ordering::Release);
            self.wakes.iter().for_each(|wake| wake.notify_one());
        }
    }

    /// How often what is granted has changed.
    pub(crate) fn grant_changes(&self) -> u64 {
        self.grant_changes.load(Ordering::Acquire)
    }

    /// What was counted so far.
    pub(crate) fn metrics(&self) -> &Arc<Metrics> {
        &self.metrics
    }

    /// Bytes of the mail that waits for workers, about.
    pub(super) fn mailbox_bytes(&self) -> usize {
        self.lock().mail.iter().map(Mailbox::weight).sum()
    }

    /// Bytes of memory for what waits to be written to all connections.
    pub(super) fn waiting_bytes(&self) -> usize {
        self.account.bytes()
    }

    /// Number of workers.
    pub(super) fn workers(&self) -> usize {
        self.wakes.len()
    }

    /// Whether a session has subscriptions and all of them allow to leave publications out.
    pub(crate) fn may_skip(&self, session: SessionId) -> bool {
        self.lock().hub.may_skip(session)
    }

    /// Has the hub keep, until this time, the publications that disconnected clients miss while the server restarts.
    pub(crate) fn await_return(&self, until: Instant) {
        // After a panic there is no state to which a client could return.
        if let Ok(mut shared) = self.shared.lock() {
            shared.hub.await_return(until);
        }
    }

    /// The state for the next run; none if a panic has left it half changed.
    pub(crate) fn save(&self, now: Instant) -> Option<Snapshot> {
        self.shared.lock().ok().map(|shared| shared.hub.save(now))
    }

    /// Locks what all workers share. If a worker panicked while it had the lock, the state may be half changed and
    /// must not be used: the calling task ends too.
    fn lock(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(|_| end_for_another())
    }

    /// Locks for a turn, and counts how long that took.
    fn lock_for_turn(&self, worker: usize) -> MutexGuard<'_, Shared> {
        let wait = &self.metrics.workers[worker].lock_wait;
        match self.shared.try_lock() {
            Ok(shared) => {
                wait.note_nothing();
                shared
            }
            Err(TryLockError::WouldBlock) => {
                let began = Instant::now();
                let shared = self.lock();
                wait.note(began.elapsed());
                shared
            }
            Err(TryLockError::Poisoned(_)) => end_for_another(),
        }
    }

    fn wake_others(&self, worker: usize) {
        // A wake without mail costs an empty turn; finding out which workers have mail would cost more time in the
        // lock.
        for (other, wake) in self.wakes.iter().enumerate() {
            if other != worker {
                wake.notify_one();
            }
        }
    }
}

#[cfg(feature = "simulation")]
impl SharedHub {
    /// What the hub did since the last call. The first call starts the recording.
    pub(crate) fn take_observed(&self) -> Vec<Observed> {
        self.observer.take()
    }

    /// Whether the hub has no session, no subscription and no unanswered request.
    pub(crate) fn is_empty(&self) -> bool {
        self.lock().hub.is_empty()
    }

    /// Number of histories.
    pub(crate) fn histories(&self) -> usize {
        self.lock().hub.engine().histories()
    }
}

/// When the hub next has to do something by itself.
fn next_timeout(hub: &Hub, hub_rests_until: Option<Instant>) -> Option<Instant> {
    hub.poll_timeout().map(|at| hub_rests_until.map_or(at, |hub_rests_until| at.max(hub_rests_until)))
}

/// Time for which the hub does nothing of its own after it did so. That work takes half a millisecond at most, and the
/// rest stays due. In between, workers read, write and take their turns.
const HUB_REST: Duration = Duration::from_millis(1);

/// The session that an input belongs to; `NOBODY` for an input that belongs to none.
fn author(input: &Input) -> SessionId {
    match input {
        Input::Request { session, .. }
        | Input::Connect { session, .. }
        | Input::Disconnect { session, .. }
        | Input::Closed { session, .. }
        | Input::Authenticate { session, .. }
        | Input::Operate { session, .. }
        | Input::Review { session }
        | Input::Continue { session } => *session,
        Input::Reply(_) => NOBODY,
    }
}

#[cfg(test)]
mod tests;
