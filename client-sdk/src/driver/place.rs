//! The address of an open connection.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The index of the address of an open connection, and where the index for the next attempt is kept.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) index: usize,
    pub(super) next: Arc<AtomicUsize>,
}

impl Place {
    /// Notes that the server there has sent its first message: the next attempt begins there. A server that only accepts
    /// connections is passed over like one that is down.
    pub(super) fn works(&self) {
        self.next.store(self.index, Ordering::Relaxed);
    }
}
