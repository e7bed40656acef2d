//! Tasks that are polled one by one, and timers in virtual time.

use slab::Slab;
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Instant;

/// The tasks of one worker. Woken tasks are polled in the order in which they were woken, as in the real runtime.
pub(crate) struct ByHand {
    now: Cell<Instant>,
    /// By number; a task is taken out while it is polled.
    tasks: RefCell<Slab<Option<Task>>>,
    ready: Arc<Ready>,
    timers: RefCell<BTreeMap<(Instant, u64), Waker>>,
    timers_made: Cell<u64>,
    /// The seed of the server and the number of the worker. `random_made` counts the random numbers given.
    seed: (u64, u32),
    random_made: Cell<u32>,
}

struct Task {
    future: Pin<Box<dyn Future<Output = ()>>>,
    woken: Arc<Woken>,
}

/// The numbers of tasks to be polled, in order.
type Ready = Mutex<VecDeque<usize>>;

/// The waker of one task. It puts the task among those to be polled, once.
struct Woken {
    task: usize,
    is_ready: AtomicBool,
    ready: Arc<Ready>,
}

impl ByHand {
    pub(crate) fn new(seed: (u64, u32), now: Instant) -> Self {
        Self {
            now: Cell::new(now),
            tasks: RefCell::default(),
            ready: Arc::default(),
            timers: RefCell::default(),
            timers_made: Cell::new(0),
            seed,
            random_made: Cell::new(0),
        }
    }

    pub(crate) fn now(&self) -> Instant {
        self.now.get()
    }

    /// A number that differs from every other one, of this worker and of all others. Each run from the same seed gives
    /// the same.
    pub(crate) fn random(&self) -> [u8; 16] {
        let ((seed, worker), made) = (self.seed, self.random_made.get());
        self.random_made.set(made + 1);
        (u128::from(seed) << 64 | u128::from(worker) << 32 | u128::from(made)).to_be_bytes()
    }

    pub(crate) fn spawn(&self, future: impl Future<Output = ()> + 'static) {
        let mut tasks = self.tasks.borrow_mut();
        let entry = tasks.vacant_entry();
        let (is_ready, ready) = (AtomicBool::new(false), Arc::clone(&self.ready));
        let woken = Arc::new(Woken { task: entry.key(), is_ready, ready });
        Arc::clone(&woken).wake();
        entry.insert(Some(Task { future: Box::pin(future), woken }));
    }

    pub(crate) fn sleep_until(&self, at: Instant) -> impl Future<Output = ()> {
        self.timers_made.set(self.timers_made.get() + 1);
        Sleep { tasks: self, timer: (at, self.timers_made.get()) }
    }

    /// Polls the task that was woken first; says whether there was one.
    pub(crate) fn poll_one(&self) -> bool {
        let Some(number) = self.ready.lock().unwrap_or_else(PoisonError::into_inner).pop_front() else { return false };
        let task = self.tasks.borrow_mut().get_mut(number).and_then(Option::take);
        // The wake was for a task that has ended.
        let Some(mut task) = task else { return true };
        task.woken.is_ready.store(false, Relaxed);
        let waker = Waker::from(Arc::clone(&task.woken));
        let poll = task.future.as_mut().poll(&mut Context::from_waker(&waker));
        let ended = poll.is_ready().then(|| self.tasks.borrow_mut().remove(number));
        if ended.is_none() {
            self.tasks.borrow_mut()[number] = Some(task);
        }
        true
    }

    /// When the next timer is due.
    pub(crate) fn next_timer(&self) -> Option<Instant> {
        self.timers.borrow().keys().next().map(|(at, _)| *at)
    }

    /// Sets the time to `now`, and wakes the timers that are due.
    pub(crate) fn advance(&self, now: Instant) {
        self.now.set(now);
        while let Some(timer) = self.timers.borrow_mut().first_entry().filter(|timer| timer.key().0 <= now) {
            timer.remove().wake();
        }
    }

    /// Drops all tasks, wherever they are.
    pub(crate) fn abort(&self) {
        let tasks = std::mem::take(&mut *self.tasks.borrow_mut());
        drop(tasks);
        self.tasks.borrow_mut().clear();
    }
}

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        if !self.is_ready.swap(true, Relaxed) {
            self.ready.lock().unwrap_or_else(PoisonError::into_inner).push_back(self.task);
        }
    }
}

struct Sleep<'a> {
    tasks: &'a ByHand,
    timer: (Instant, u64),
}

impl Future for Sleep<'_> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if self.timer.0 <= self.tasks.now() {
            return Poll::Ready(());
        }
        self.tasks.timers.borrow_mut().insert(self.timer, context.waker().clone());
        Poll::Pending
    }
}

impl Drop for Sleep<'_> {
    fn drop(&mut self) {
        self.tasks.timers.borrow_mut().remove(&self.timer);
    }
}

impl fmt::Debug for ByHand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ByHand").field("now", &self.now).finish_non_exhaustive()
    }
}
