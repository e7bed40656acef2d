//! Why a connection is not read, and since when.
//!
//! While a connection is not read, the timeouts for its next message and for its answer to a ping stand still: nothing
//! that its client sends could be seen.
//!
//! | why | what it waits for | who ends it |
//! |---|---|---|
//! | `is_paused`, `is_pausing` | a publisher of receivers that are far behind waits for a while | the reading task |
//! | deferred requests | the client has to take the answers to its earlier requests | `pubsub/deferred.rs` |
//! | lane | its earlier requests have to be served | `schedule.rs` |
//! | blocked publisher | the mailbox of another worker is full of what this client caused | `pubsub/blocked_publishers.rs` |
//!
//! The last three stop reading by `is_reading_stopped`.

use super::{Connection, ConnectionState, Phase};
use std::time::Instant;

impl Connection {
    /// Lets the reading task wait a little before the next read.
    pub(crate) fn pause(&self) {
        self.state.borrow_mut().is_paused = true;
    }

    /// Returns whether the reading task has to wait a little now, and resets it.
    pub(crate) fn take_pause(&self) -> bool {
        std::mem::take(&mut self.state.borrow_mut().is_paused)
    }

    /// Whether reading is stopped until the worker starts it again.
    pub(crate) fn is_reading_stopped(&self) -> bool {
        let state = self.state.borrow();
        state.is_reading_stopped && state.phase == Phase::Open
    }

    /// Stops reading, or starts it again.
    pub(crate) fn set_reading_stopped(&self, is_reading_stopped: bool, now: Instant) {
        let mut state = self.state.borrow_mut();
        state.is_reading_stopped = is_reading_stopped;
        state.note_whether_read(now);
    }

    /// Notes that the pause before the next read begins or ends.
    pub(crate) fn note_pausing(&self, is_pausing: bool, now: Instant) {
        let mut state = self.state.borrow_mut();
        state.is_pausing = is_pausing;
        state.note_whether_read(now);
    }
}

impl ConnectionState {
    /// Called when a reason not to read begins or ends. When reading starts again, moves the client's deadlines by the
    /// time in which the connection was not read.
    pub(super) fn note_whether_read(&mut self, now: Instant) {
        let is_read = !self.is_reading_stopped && !self.is_pausing;
        match self.unread_since {
            Some(unread_since) if is_read => {
                self.unread_since = None;
                for since in [&mut self.ping_sent_at, &mut self.unfinished_since].into_iter().flatten() {
                    *since = later_by_overlap(since.instant(), unread_since.instant(), now).into();
                }
            }
            None if !is_read => self.unread_since = Some(now.into()),
            _ => {}
        }
    }
}

/// `since`, moved later by the time between `since` and `now` that is after `unread_since`.
pub(super) fn later_by_overlap(since: Instant, unread_since: Instant, now: Instant) -> Instant {
    since + now.saturating_duration_since(since.max(unread_since))
}
