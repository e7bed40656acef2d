//! Why a connection is not read, and since when: what its peer owes us meanwhile is not late.

use super::{Connection, Phase, State};
use std::time::Instant;

impl Connection {
    /// Has the next read wait a little.
    pub(crate) fn pause(&self) {
        self.state.borrow_mut().is_paused = true;
    }

    /// Says whether reading has to wait a little now.
    pub(crate) fn take_pause(&self) -> bool {
        std::mem::take(&mut self.state.borrow_mut().is_paused)
    }

    /// Whether reading has to wait until somebody says that it may go on.
    pub(crate) fn is_reading_stopped(&self) -> bool {
        let state = self.state.borrow();
        state.is_reading_stopped && state.phase == Phase::Open
    }

    /// Stops reading, or goes on with it.
    pub(crate) fn set_reading_stopped(&self, is_reading_stopped: bool, now: Instant) {
        let mut state = self.state.borrow_mut();
        state.is_reading_stopped = is_reading_stopped;
        state.note_whether_read(now);
    }

    /// Notes that the pause before the next read begins, or that it is over.
    pub(crate) fn note_pausing(&self, is_pausing: bool, now: Instant) {
        let mut state = self.state.borrow_mut();
        state.is_pausing = is_pausing;
        state.note_whether_read(now);
    }
}

impl State {
    /// To be called when what keeps a peer from being read has changed. Moves what it owes by the time in which it was not.
    pub(super) fn note_whether_read(&mut self, now: Instant) {
        let is_read = !self.is_reading_stopped && !self.is_pausing;
        match self.unread_since {
            Some(unread_since) if is_read => {
                self.unread_since = None;
                for since in [&mut self.ping_sent_at, &mut self.unfinished_since].into_iter().flatten() {
                    *since = later_by_overlap(*since, unread_since, now);
                }
            }
            None if !is_read => self.unread_since = Some(now),
            _ => {}
        }
    }
}

/// `since`, later by the part of the time from then to `now` that is after `unread_since`.
pub(super) fn later_by_overlap(since: Instant, unread_since: Instant, now: Instant) -> Instant {
    since + now.saturating_duration_since(since.max(unread_since))
}
