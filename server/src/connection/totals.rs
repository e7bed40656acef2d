//! What a worker counts over all its connections.

use crate::metrics::WorkerMetrics;
use std::cell::Cell;
use std::sync::Arc;

/// The sums of one worker. All its connections share them.
#[derive(Debug)]
pub(crate) struct Totals {
    /// Bytes that wait for one connection each and are not shared.
    pub(crate) queued: Cell<usize>,
    pub(crate) metrics: Arc<WorkerMetrics>,
}
