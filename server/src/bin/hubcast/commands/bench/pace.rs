//! The pace of publishing.

use std::time::Duration;

/// The rule for when a publisher sends its next publication.
#[derive(Clone, Copy, Debug)]
pub(super) enum Pace {
    /// As soon as fewer than this many publications of the publisher are outstanding, that is, not received by all
    /// subscribers.
    Outstanding(u32),
    /// One in each such interval, over all publishers, whatever has been received.
    Every(Duration),
}
