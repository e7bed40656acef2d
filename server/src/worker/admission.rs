//! Admission: lets a few connections through in each round of the runtime. It serves new connections, and connections
//! that have much to read.
//!
//! After a restart or a cut cable a crowd of clients comes back at once. A handshake costs as much as twenty
//! deliveries, and so does what a new connection has missed. So the crowd is admitted a few at a time, and between
//! them everything else that is ready is served.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};
use tokio::sync::Notify;
use tokio::task::yield_now;

/// The admission of one worker. Shared rather than borrowed, because hyper demands sockets that may change threads.
#[derive(Clone, Debug)]
pub(crate) struct Admission(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// How many may pass in one round.
    a_round: usize,
    queue: Mutex<Queue>,
    /// Notified when the first connection of a round passes.
    used: Notify,
}

#[derive(Debug, Default)]
struct Queue {
    /// How many have passed in this round.
    passed: usize,
    waiting: VecDeque<Waker>,
}

impl Admission {
    /// Makes an admission that lets `a_round` connections pass in each round.
    pub(crate) fn new(a_round: usize) -> Self {
        Self(Arc::new(Inner { a_round, queue: Mutex::default(), used: Notify::new() }))
    }

    /// Lets a connection pass that needs to be served, or has it wait for the next round.
    pub(crate) fn poll_admit(&self, context: &mut Context<'_>) -> Poll<()> {
        let mut queue = self.0.queue.lock().unwrap_or_else(PoisonError::into_inner);
        if queue.passed == self.0.a_round {
            queue.waiting.push_back(context.waker().clone());
            return Poll::Pending;
        }
        if queue.passed == 0 {
            self.0.used.notify_one();
        }
        queue.passed += 1;
        Poll::Ready(())
    }

    /// Begins one round after another, each when everything that was ready in the round before has been served.
    pub(crate) async fn run(self) {
        loop {
            self.0.used.notified().await;
            while {
                // The runtime polls everything that is ready before it polls a task that has yielded.
                yield_now().await;
                self.begin_round()
            } {}
        }
    }

    /// Wakes those that may pass in this round; says whether others still wait.
    fn begin_round(&self) -> bool {
        let mut queue = self.0.queue.lock().unwrap_or_else(PoisonError::into_inner);
        queue.passed = 0;
        let few = queue.waiting.len().min(self.0.a_round);
        queue.waiting.drain(..few).for_each(Waker::wake);
        if queue.waiting.is_empty() {
            // Memory for a crowd is rarely needed.
            queue.waiting = VecDeque::new();
        }
        !queue.waiting.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;
    use std::future::poll_fn;
    use std::rc::Rc;
    use tokio::runtime::Builder;
    use tokio::task::{LocalSet, spawn_local};

    const PER_ROUND: usize = 8;

    #[test]
    fn a_crowd_passes_in_the_order_of_its_coming_with_others_in_between() {
        let runtime = Builder::new_current_thread().build().unwrap();
        let served = Rc::new(RefCell::new(Vec::new()));
        let tasks = LocalSet::new();
        let all = tasks.run_until({
            let served = Rc::clone(&served);
            async move {
                let admission = Admission::new(PER_ROUND);
                spawn_local(admission.clone().run());
                let mut crowd = Vec::new();
                for new_connection in 0..3 * PER_ROUND {
                    let (admission, served) = (admission.clone(), Rc::clone(&served));
                    crowd.push(spawn_local(async move {
                        poll_fn(|context| admission.poll_admit(context)).await;
                        served.borrow_mut().push(Some(new_connection));
                    }));
                }
                let resident = spawn_local(async move {
                    loop {
                        served.borrow_mut().push(None);
                        yield_now().await;
                    }
                });
                for new_connection in crowd {
                    new_connection.await.unwrap();
                }
                resident.abort();
            }
        });
        runtime.block_on(all);
        let served = served.borrow();
        let crowd: Vec<usize> = served.iter().flatten().copied().collect();
        assert_eq!(crowd, (0..3 * PER_ROUND).collect::<Vec<_>>());
        let at_once = served.split(Option::is_none).map(<[_]>::len).max();
        assert!(at_once <= Some(PER_ROUND), "{served:?}");
    }

    #[test]
    fn who_gives_up_while_waiting_keeps_nobody_waiting() {
        let runtime = Builder::new_current_thread().build().unwrap();
        let tasks = LocalSet::new();
        let all = tasks.run_until(async {
            let admission = Admission::new(PER_ROUND);
            let (enough, mut gone) = (3 * PER_ROUND, Vec::new());
            for _ in 0..enough {
                let admission = admission.clone();
                gone.push(spawn_local(async move { poll_fn(|context| admission.poll_admit(context)).await }));
            }
            yield_now().await;
            gone.iter().for_each(tokio::task::JoinHandle::abort);
            let last = spawn_local({
                let admission = admission.clone();
                async move { poll_fn(|context| admission.poll_admit(context)).await }
            });
            spawn_local(admission.run());
            last.await.unwrap();
        });
        runtime.block_on(all);
    }
}
