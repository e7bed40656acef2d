//! Sends the events of hooks, on the first worker and beside its turns: one task takes what has happened, and one for
//! each hook sends. What is sent and when is decided in `hooks`.

mod send;

pub use send::{HookAnswer, HookSendError};

use crate::config::Config;
use crate::hooks::dispatch::{Dispatch, HookMessage, NextStep};
use crate::hooks::settling::Settling;
use crate::hooks::{EventKind, Hook, HookEvent, Hooks, SendOutcome};
use crate::log::warnings::Pace;
use crate::runtime::tasks::Tasks;
use crate::wall_clock::unix_ms;
use data_encoding::BASE32_NOPAD;
use send::HookSender;
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::Notify;
use tokio::task::AbortHandle;
use tokio::time::{sleep, sleep_until, timeout};
use uuid::Uuid;

/// The running delivery of all hooks of a server.
pub(crate) struct HookDelivery {
    hooks: Arc<Hooks>,
    settling: RefCell<Settling>,
    /// Each hook, with the task that sends to it.
    each: RefCell<Vec<(Rc<HookTask>, AbortHandle)>>,
    tasks: Tasks,
}

/// One hook.
struct HookTask {
    dispatch: RefCell<Dispatch>,
    public_only: Cell<bool>,
    /// Notified when there is something new to do.
    changed: Notify,
    /// Notified when nothing waits any more.
    idle: Notify,
}

/// Begins to deliver to the hooks of a configuration, and says that the server has started.
pub(crate) fn start(hooks: Arc<Hooks>, config: &Config, tasks: &Tasks) -> Rc<HookDelivery> {
    let (settling, each) = (RefCell::default(), RefCell::default());
    let delivery = Rc::new(HookDelivery { hooks, settling, each, tasks: tasks.clone() });
    delivery.reload(config);
    delivery.tell(&HookEvent::new(EventKind::ServerStarted, unix_ms()));
    tasks.spawn(Rc::clone(&delivery).collect());
    delivery
}

impl HookDelivery {
    /// Puts the hooks of another configuration in force. Those that have the name of one from before go on where it is; a
    /// new one begins with what happens from now on. What waits for one that is no longer there is dropped.
    pub(crate) fn reload(&self, config: &Config) {
        let mut before = self.each.take();
        let mut after = Vec::new();
        for hook in config.hooks.iter().cloned().map(Arc::new) {
            let same = before.iter().position(|(task, _)| task.dispatch.borrow().hook().name == hook.name);
            let (task, running) = match same {
                Some(place) => {
                    let (task, running) = before.swap_remove(place);
                    task.dispatch.borrow_mut().replace(hook, Instant::now());
                    task.changed.notify_one();
                    (task, running)
                }
                None => {
                    // A name of its own for each, because its numbers begin with 1.
                    let dispatch = RefCell::new(Dispatch::new(hook, run_name().into(), Arc::default()));
                    let (changed, idle) = (Notify::new(), Notify::new());
                    let task = Rc::new(HookTask { dispatch, public_only: Cell::default(), changed, idle });
                    let running = self.tasks.spawn(Rc::clone(&task).deliver());
                    (task, running)
                }
            };
            task.public_only.set(config.hooks_public_only);
            after.push((task, running));
        }
        for (task, running) in before {
            running.abort();
            let dispatch = task.dispatch.borrow();
            let (hook, events) = (&dispatch.hook().name, dispatch.counters().waiting());
            tracing::info!(hook, events, "a hook is no longer in the settings; the events that waited are dropped");
        }
        let counters = |(task, _): &(Rc<HookTask>, _)| {
            let dispatch = task.dispatch.borrow();
            (dispatch.hook().name.clone(), Arc::clone(dispatch.counters()))
        };
        self.hooks.set_counters(after.iter().map(counters).collect());
        self.each.replace(after);
    }

    /// Says that the server is stopping.
    pub(crate) fn note_draining(&self) {
        self.tell(&HookEvent::new(EventKind::ServerDraining, unix_ms()));
    }

    /// Sends all that waits, and returns when it is delivered or when the time for it is over.
    pub(crate) async fn flush(&self) {
        self.take_arrived(usize::MAX);
        self.settling.borrow_mut().tell_all(&mut |event| self.tell(&event));
        let each: Vec<_> = self.each.borrow().iter().map(|(receiver, _)| Rc::clone(receiver)).collect();
        for receiver in &each {
            receiver.dispatch.borrow_mut().hurry(Instant::now());
            receiver.changed.notify_one();
        }
        let all = async {
            for receiver in &each {
                while !receiver.dispatch.borrow().is_idle() {
                    receiver.idle.notified().await;
                }
            }
        };
        let _ = timeout(FLUSH_WITHIN, all).await;
        let counters = self.hooks.counters();
        for (hook, counters) in counters.iter().filter(|(_, counters)| counters.waiting() > 0) {
            let events = counters.waiting();
            tracing::warn!(hook, events, "some events of a hook could not be delivered before the end");
        }
    }

    /// Takes what happens, whenever something did, and tells it in time.
    async fn collect(self: Rc<Self>) {
        loop {
            let due = self.settling.borrow().due();
            let next = async { sleep_until(due.unwrap_or_else(Instant::now).into()).await };
            tokio::select! {
                biased;
                () = self.hooks.inbox.not_empty() => {}
                () = next, if due.is_some() => {}
            }
            self.take_arrived(AT_ONCE);
            // What happens meanwhile is taken together, so that a busy server is not woken for each.
            sleep(TAKE_EVERY).await;
        }
    }

    /// Takes some of what happened, and tells some of what has waited long enough.
    fn take_arrived(&self, most: usize) {
        let now = Instant::now();
        let (reports, lost) = self.hooks.inbox.take(most, now, unix_ms());
        let mut settling = self.settling.borrow_mut();
        for report in reports {
            settling.take(report, &mut |event| self.tell(&event));
        }
        settling.tell_due(most, now, &mut |event| self.tell(&event));
        if lost > 0 {
            self.each.borrow().iter().for_each(|(receiver, _)| receiver.dispatch.borrow_mut().skip(lost));
        }
    }

    /// Gives an event to all hooks that ask for it.
    fn tell(&self, event: &HookEvent) {
        let mut body = None;
        for (receiver, _) in &*self.each.borrow() {
            let mut dispatch = receiver.dispatch.borrow_mut();
            if dispatch.wants(event) && dispatch.push(Instant::now(), body.get_or_insert_with(|| event.encode())) {
                receiver.changed.notify_one();
            }
        }
    }
}

impl HookTask {
    /// Sends to one hook, one request after another.
    async fn deliver(self: Rc<Self>) {
        let mut sender = self.sender();
        let mut failures = Failures::default();
        loop {
            let next = self.dispatch.borrow_mut().next(Instant::now(), unix_ms());
            match next {
                NextStep::Wait => {
                    if self.dispatch.borrow().is_idle() {
                        self.idle.notify_one();
                    }
                    self.changed.notified().await;
                }
                NextStep::WaitUntil(until) => {
                    let _ = timeout(until.saturating_duration_since(Instant::now()), self.changed.notified()).await;
                }
                NextStep::Send(message) => {
                    if !Arc::ptr_eq(&sender.hook, self.dispatch.borrow().hook()) {
                        sender = self.sender();
                    }
                    let begun = Instant::now();
                    let answer = sender.send(message).await;
                    let outcome = answer.as_ref().map_or(SendOutcome::Failed { retry_after: None }, |it| it.outcome());
                    let took = begun.elapsed();
                    let chance = Uuid::new_v4().as_u64_pair().0;
                    let is_gone = self.dispatch.borrow_mut().finished(Instant::now(), outcome, took, chance);
                    failures.note(&sender.hook.name, &answer, is_gone);
                }
            }
        }
    }

    /// What sends to the hook as it is now.
    fn sender(&self) -> HookSender {
        HookSender::new(Arc::clone(self.dispatch.borrow().hook()), self.public_only.get())
    }
}

/// The failures of one hook since the last success, for the log.
#[derive(Default)]
struct Failures {
    times: u32,
    pace: Pace,
}

impl Failures {
    fn note(&mut self, hook: &str, answer: &Result<HookAnswer, HookSendError>, is_gone: bool) {
        if is_gone {
            tracing::warn!(
                hook,
                "the receiver of a hook has answered 410: it gets nothing more until the settings are read again"
            );
            return;
        }
        match answer {
            Ok(answer) if answer.status.is_success() => {
                if self.times > 0 {
                    tracing::info!(hook, failures = self.times, "events of a hook are delivered again");
                }
                self.times = 0;
            }
            failed => {
                self.times += 1;
                if self.pace.is_due(Instant::now()) {
                    let times = self.times;
                    match failed {
                        Ok(HookAnswer { status, .. }) => {
                            let status = status.as_u16();
                            tracing::warn!(hook, status, times, "cannot deliver events of a hook; they are sent again");
                        }
                        Err(fault) => {
                            tracing::warn!(hook, %fault, times, "cannot deliver events of a hook; they are sent again");
                        }
                    }
                }
            }
        }
    }
}

/// Sends an event that means nothing to a hook.
///
/// # Errors
/// When there is no answer.
pub async fn send_test(hook: &Hook, public_only: bool) -> Result<HookAnswer, HookSendError> {
    let message = HookMessage::test(hook, &run_name(), Instant::now(), unix_ms());
    HookSender::new(Arc::new(hook.clone()), public_only).send(message).await
}

/// A name that no other run of a server has: letters and digits.
fn run_name() -> String {
    let mut name = BASE32_NOPAD.encode(&Uuid::new_v4().as_bytes()[..5]);
    name.make_ascii_lowercase();
    name
}

/// The pause after some of what happened was taken.
const TAKE_EVERY: Duration = Duration::from_millis(10);

/// Things that are taken, and events that are told, between two pauses: about a millisecond of work. So at most 100,000
/// things a second are told; more than that are dropped, as for a receiver that is too slow.
const AT_ONCE: usize = 1_000;

/// The time to deliver what waits when the server stops.
const FLUSH_WITHIN: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests;
