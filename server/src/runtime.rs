//! The clock, the timers, the tasks and the random numbers of a worker.

#[cfg(feature = "simulation")]
mod by_hand;
pub(crate) mod patience;
pub(crate) mod pulse;
pub(crate) mod readiness;
pub(crate) mod system;
pub(crate) mod tasks;

#[cfg(feature = "simulation")]
pub(crate) use by_hand::ByHand;

#[cfg(feature = "simulation")]
use std::rc::Rc;
use std::time::Instant;
use tasks::Tasks;
use uuid::Uuid;

/// The source of a worker's time and random numbers, and the place where its tasks run. Without the feature
/// `simulation` there is only one kind, and asking for it costs nothing.
#[derive(Clone, Debug)]
pub(crate) enum Runtime {
    /// The runtime of the worker's thread.
    Tokio(Tasks),
    /// Tasks that a test polls one by one, in virtual time.
    #[cfg(feature = "simulation")]
    ByHand(Rc<ByHand>),
}

impl Runtime {
    /// The current time.
    pub(crate) fn now(&self) -> Instant {
        match self {
            Self::Tokio(_) => Instant::now(),
            #[cfg(feature = "simulation")]
            Self::ByHand(tasks) => tasks.now(),
        }
    }

    /// A random number that cannot be guessed.
    pub(crate) fn random(&self) -> [u8; 16] {
        match self {
            Self::Tokio(_) => Uuid::new_v4().into_bytes(),
            #[cfg(feature = "simulation")]
            Self::ByHand(tasks) => tasks.random(),
        }
    }

    /// Begins a task on the worker's own thread.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + 'static) {
        match self {
            Self::Tokio(tasks) => _ = tasks.spawn(task),
            #[cfg(feature = "simulation")]
            Self::ByHand(tasks) => tasks.spawn(task),
        }
    }

    /// Waits until this time.
    pub(crate) async fn sleep_until(&self, at: Instant) {
        match self {
            Self::Tokio(_) => tokio::time::sleep_until(at.into()).await,
            #[cfg(feature = "simulation")]
            Self::ByHand(tasks) => tasks.sleep_until(at).await,
        }
    }
}
