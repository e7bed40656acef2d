//! The window: how many requests may be sent and not answered.

use super::calls::Calls;
use std::collections::BTreeSet;

/// The requests that were sent on one connection and are not answered.
///
/// Resumes, and calls from before this connection, are sent a few at a time. Otherwise a server that limits the rate of
/// requests would close the connection whenever the client sent all of them at once.
#[derive(Debug)]
pub(super) struct Outgoing {
    /// Requests that were sent on this connection and are not answered, also those whose caller stopped waiting.
    in_flight: BTreeSet<u64>,
    /// The last call that was made before this connection; it and all earlier ones are the backlog.
    backlog: u64,
    /// The last call that was sent on this connection.
    sent: u64,
    /// Calls up to `sent` that must be sent once more.
    again: BTreeSet<u64>,
    /// The most unanswered requests at which a resume or a call of the backlog may still be sent.
    window: usize,
    /// The most unanswered requests at which any call may still be sent.
    most: usize,
}

impl Outgoing {
    pub(super) fn new(most: usize) -> Self {
        let (in_flight, again) = Default::default();
        Self { in_flight, backlog: 0, sent: 0, again, window: WINDOW, most: most.max(WINDOW) }
    }

    /// A session begins; the calls up to `last_call` are its backlog.
    pub(super) fn welcomed(&mut self, last_call: u64) {
        self.backlog = last_call;
    }

    /// The connection is gone; `was_too_fast`: because the client sent requests too fast.
    pub(super) fn cut(&mut self, was_too_fast: bool) {
        *self = Self::new(self.most);
        if was_too_fast {
            self.slow_down();
        }
    }

    pub(super) fn send(&mut self, id: u64) {
        self.in_flight.insert(id);
    }

    /// The answer came, or its caller stopped waiting for it.
    pub(super) fn done(&mut self, id: u64) {
        self.in_flight.remove(&id);
    }

    /// The server has refused a call, and takes it later.
    pub(super) fn again(&mut self, id: u64) {
        self.again.insert(id);
    }

    /// The server refuses requests because they come too fast. From now on the backlog is sent one by one, so that at
    /// most one request is refused in a row.
    pub(super) fn slow_down(&mut self) {
        self.window = 1;
    }

    /// Whether a resume or a call of the backlog may be sent.
    pub(super) fn has_room(&self) -> bool {
        self.in_flight.len() < self.window
    }

    /// Whether fewer than `window` requests of another kind are unanswered.
    pub(super) fn is_within_window(&self, requests: usize) -> bool {
        requests < self.window
    }

    /// The next call to send, if it may be sent now. A call of the backlog waits for room in the window and for the end
    /// of a pause. A new call waits only for the calls before it and for the bound of all requests: if it comes too
    /// fast, the server refuses just this call. Those that must be sent once more come first.
    pub(super) fn next_call(&mut self, calls: &Calls, is_paused: bool) -> Option<u64> {
        while let Some(&first) = self.again.first() {
            let is_open = calls.get(first).is_some();
            if is_open && (is_paused || !self.has_room()) {
                return None;
            }
            self.again.pop_first();
            if is_open {
                return Some(first);
            }
        }
        let next = calls.first_after(self.sent).filter(|next| calls.may_be_sent(*next))?;
        let may_go =
            if next <= self.backlog { !is_paused && self.has_room() } else { self.in_flight.len() < self.most };
        may_go.then(|| {
            self.sent = next;
            next
        })
    }
}

/// Fewer requests than any sensible limit for a second, and enough that a usual program has resumed after a few round
/// trips.
const WINDOW: usize = 8;
