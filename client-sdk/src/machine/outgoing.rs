//! How much of what waits may be sent now.

use super::calls::Calls;
use std::collections::BTreeSet;

/// The requests of one connection, from sending to answer.
///
/// What an earlier connection left to be done goes out a few requests at a time: a server that limits how often it is
/// asked would send away whoever asks for everything at once, again and again.
#[derive(Debug)]
pub(super) struct Outgoing {
    /// Sent on this connection and not answered, whether or not somebody still waits for it.
    in_flight: BTreeSet<u64>,
    /// Calls up to this one were made before this connection.
    backlog: u64,
    /// The last call that was sent on this connection.
    sent: u64,
    /// So many may be under way of what an earlier connection left.
    window: usize,
    /// So many may be under way at all.
    most: usize,
}

impl Outgoing {
    pub(super) fn new(most: usize) -> Self {
        Self { in_flight: BTreeSet::new(), backlog: 0, sent: 0, window: WINDOW, most: most.max(WINDOW) }
    }

    /// A session begins; calls up to this one wait for it already.
    pub(super) fn welcomed(&mut self, last_call: u64) {
        self.backlog = last_call;
    }

    /// The connection is gone, perhaps because the server was asked too often.
    pub(super) fn cut(&mut self, was_too_fast: bool) {
        *self = Self::new(self.most);
        if was_too_fast {
            self.slow_down();
        }
    }

    pub(super) fn send(&mut self, id: u64) {
        self.in_flight.insert(id);
    }

    /// The answer came, or nobody waits for it any longer.
    pub(super) fn done(&mut self, id: u64) {
        self.in_flight.remove(&id);
    }

    /// The server is asked too often: one by one from here on, so that no more than one request is refused in a row.
    pub(super) fn slow_down(&mut self) {
        self.window = 1;
    }

    /// Whether something may be sent that an earlier connection left.
    pub(super) fn has_room(&self) -> bool {
        self.in_flight.len() < self.window
    }

    /// Whether so many requests may be under way apart from the others.
    pub(super) fn is_within_window(&self, requests: usize) -> bool {
        requests < self.window
    }

    /// The next call to send, if it may be sent now. A new one waits for those before it and then for nothing else:
    /// the server refuses it by itself.
    pub(super) fn next_call(&mut self, calls: &Calls, is_paused: bool) -> Option<u64> {
        let next = calls.first_after(self.sent).filter(|next| calls.may_be_sent(*next))?;
        let may_go =
            if next <= self.backlog { !is_paused && self.has_room() } else { self.in_flight.len() < self.most };
        may_go.then(|| {
            self.sent = next;
            next
        })
    }
}

/// Fewer than any sensible limit for a second, and enough that a usual program is back within a few round trips.
const WINDOW: usize = 8;
