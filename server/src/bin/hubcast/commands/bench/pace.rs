//! When publications go out.

use std::time::Duration;

/// When publications go out.
#[derive(Clone, Copy, Debug)]
pub(super) enum Pace {
    /// As soon as fewer than this many of a publisher's have not arrived everywhere.
    Outstanding(u32),
    /// One by one on a schedule, whatever has arrived.
    Every(Duration),
}
