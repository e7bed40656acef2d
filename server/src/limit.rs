//! How many connections there may be.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Counts the connections of all workers.
#[derive(Debug)]
pub(crate) struct ConnectionLimit {
    open: AtomicUsize,
    most: usize,
}

/// One connection that counts for as long as this lives.
#[derive(Debug)]
pub(crate) struct Permit {
    limit: Arc<ConnectionLimit>,
    /// Whether it is one too many, which is to be told so and nothing else.
    pub(crate) is_over: bool,
}

impl ConnectionLimit {
    pub(crate) fn new(most: usize) -> Arc<Self> {
        Arc::new(Self { open: AtomicUsize::new(0), most })
    }

    /// Counts one more; `None` when even those that are only told to come back are too many.
    pub(crate) fn admit(self: &Arc<Self>) -> Option<Permit> {
        let before = self.open.fetch_add(1, Ordering::Relaxed);
        let permit = Permit { limit: Arc::clone(self), is_over: before >= self.most };
        (before < self.most + REFUSED_AT_ONCE).then_some(permit)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.limit.open.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Connections over the limit that are answered at the same time.
const REFUSED_AT_ONCE: usize = 32;
