//! The number of threads.

use super::options::Options;
use super::units::AutoCount;
use std::num::NonZero;
use std::thread;

/// The number of worker threads.
pub(crate) fn workers(options: &Options) -> usize {
    match options.workers {
        AutoCount::Auto => thread::available_parallelism().map_or(1, NonZero::get),
        AutoCount::Exactly(workers) => workers as usize,
    }
}
