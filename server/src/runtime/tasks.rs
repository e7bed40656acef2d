//! The tasks of one worker's thread. When one of them panics, none of them goes on: the work of the task that panicked
//! is half done, for its own connection and for others.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use tokio::sync::Notify;
use tokio::task::AbortHandle;

/// Starts tasks on the thread that made it, and reports when one has panicked.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tasks(Rc<TaskState>);

#[derive(Debug, Default)]
struct TaskState {
    has_panicked: Cell<bool>,
    message: RefCell<Option<String>>,
    changed: Notify,
}

/// The payload of a panic in a task that needs what another worker's panic has left half done. That other worker
/// reports the fault.
struct AnotherPanicked;

impl Tasks {
    /// Starts a task; returns a handle that stops it.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + 'static) -> AbortHandle {
        // In a box, because a future that contains another one takes its size twice.
        let (tasks, mut task) = (self.clone(), Box::pin(task));
        tokio::task::spawn_local(poll_fn(move |context| tasks.poll(task.as_mut(), context))).abort_handle()
    }

    /// Waits for the first panic in a task, and returns its message.
    pub(crate) async fn panicked(&self) -> String {
        loop {
            if let Some(message) = self.0.message.take() {
                return message;
            }
            self.0.changed.notified().await;
        }
    }

    /// Polls a task, unless one has panicked.
    fn poll(&self, task: Pin<&mut impl Future<Output = ()>>, context: &mut Context<'_>) -> Poll<()> {
        if self.0.has_panicked.get() {
            return Poll::Pending;
        }
        catch_unwind(AssertUnwindSafe(|| task.poll(context))).unwrap_or_else(|panic| {
            self.note(&*panic);
            Poll::Pending
        })
    }

    fn note(&self, panic: &(dyn Any + Send)) {
        self.0.has_panicked.set(true);
        if let Some(message) = message(panic) {
            self.0.message.replace(Some(message));
            self.0.changed.notify_one();
        }
    }
}

/// Ends the calling task, and all others of its thread, because another worker has panicked.
pub(crate) fn end_for_another() -> ! {
    resume_unwind(Box::new(AnotherPanicked))
}

/// The message of a panic; none if it follows from another worker's panic.
pub(crate) fn message(panic: &(dyn Any + Send)) -> Option<String> {
    if panic.is::<AnotherPanicked>() {
        return None;
    }
    let literal = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let message = literal.or_else(|| panic.downcast_ref::<String>().cloned());
    Some(message.unwrap_or_else(|| "a panic without a message".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::pending;
    use tokio::runtime::{Builder, LocalOptions};
    use tokio::task::yield_now;

    #[test]
    fn no_task_goes_on_after_one_has_panicked() {
        let runtime = Builder::new_current_thread().build_local(LocalOptions::default()).unwrap();
        runtime.block_on(async {
            let (tasks, goes_on) = (Tasks::default(), Rc::<Cell<bool>>::default());
            tasks.spawn(pending());
            tasks.spawn(async { panic!("the first") });
            tasks.spawn({
                let goes_on = Rc::clone(&goes_on);
                async move { goes_on.set(true) }
            });
            tasks.spawn(async { panic!("the second") });
            assert_eq!(tasks.panicked().await, "the first");
            for _ in 0..10 {
                yield_now().await;
            }
            assert!(!goes_on.get());
        });
    }

    #[test]
    fn the_panic_of_another_worker_is_not_reported_twice() {
        let panic = catch_unwind(|| end_for_another()).unwrap_err();
        assert_eq!(message(&*panic), None);
        assert_eq!(message(&"literal").as_deref(), Some("literal"));
        assert_eq!(message(&"built".to_owned()).as_deref(), Some("built"));
        assert_eq!(message(&1).as_deref(), Some("a panic without a message"));
    }
}
