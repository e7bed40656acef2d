//! The table of the callers of one worker.

use super::{Closed, Reply};
use crate::schedule::Item;
use hubcast_protocol::CloseCode;
use slab::Slab;
use std::collections::{HashMap, VecDeque};
use tokio::sync::oneshot;

/// All callers of a worker.
#[derive(Debug, Default)]
pub(super) struct Table {
    pub(super) sessions: Slab<CallerState>,
    /// The places of callers that have something queued.
    pub(super) ready: Vec<usize>,
    /// The places of callers that are gone and may still have something to be served.
    pub(super) leaving: Vec<usize>,
    /// The number of the last request. No two requests of a worker's callers have the same one.
    pub(super) last_request: u64,
}

/// One caller: what it asks for, and who waits for the answers.
#[derive(Debug, Default)]
pub(super) struct CallerState {
    /// What waits to be scheduled, in order.
    pub(super) queue: VecDeque<Item>,
    /// By the number of its request: where the answer goes.
    pub(super) waiting: HashMap<u64, oneshot::Sender<Reply>>,
    /// Requests whose answers come together.
    pub(super) batches: Vec<BatchState>,
    /// Why the hub has closed the session, if it has.
    pub(super) closed: Option<Closed>,
    /// Whether its next request should wait a little, because receivers of its publications are far behind.
    pub(super) is_paused: bool,
    /// Whether the caller is gone.
    pub(super) is_leaving: bool,
}

/// Requests with numbers that follow each other.
#[derive(Debug)]
pub(super) struct BatchState {
    pub(super) first: u64,
    pub(super) replies: Vec<Option<Reply>>,
    /// How many are not answered yet.
    pub(super) left: usize,
    pub(super) done: Option<oneshot::Sender<Vec<Option<Reply>>>>,
}

impl Table {
    /// Queues what a caller asks for.
    pub(super) fn queue(&mut self, place: usize, items: impl IntoIterator<Item = Item>) {
        let Some(state) = self.sessions.get_mut(place) else { return };
        if state.queue.is_empty() {
            self.ready.push(place);
        }
        state.queue.extend(items);
    }

    /// Hands the answer to a request to whoever waits for it.
    pub(super) fn answer(&mut self, place: usize, number: Option<u64>, reply: impl FnOnce() -> Reply) {
        let (Some(number), Some(state)) = (number, self.sessions.get_mut(place)) else { return };
        if let Some(at) = state.batches.iter().position(|batch| batch.has(number)) {
            if state.batches[at].answer(number, reply()) {
                state.batches.swap_remove(at).finish();
            }
        } else if let Some(waiting) = state.waiting.remove(&number) {
            // Nobody hears it if the caller no longer waits.
            let _ = waiting.send(reply());
        }
    }

    /// Notes that the hub has closed a session: no more answers come.
    pub(super) fn close(&mut self, place: usize, code: CloseCode) {
        if let Some(state) = self.sessions.get_mut(place) {
            state.closed = Some(Closed { code });
            state.waiting.clear();
            // What was answered before still counts.
            state.batches.drain(..).for_each(BatchState::finish);
        }
    }
}

impl BatchState {
    /// Whether a request of this number belongs to it.
    pub(super) fn has(&self, number: u64) -> bool {
        number.checked_sub(self.first).is_some_and(|index| index < self.replies.len() as u64)
    }

    /// Takes an answer. Returns whether it was the last one.
    pub(super) fn answer(&mut self, number: u64, reply: Reply) -> bool {
        let index = usize::try_from(number - self.first).ok();
        if let Some(empty @ None) = index.and_then(|index| self.replies.get_mut(index)) {
            *empty = Some(reply);
            self.left -= 1;
        }
        self.left == 0
    }

    /// Hands over what was answered.
    pub(super) fn finish(mut self) {
        if let Some(done) = self.done.take() {
            // Nobody hears it if the caller no longer waits.
            let _ = done.send(self.replies);
        }
    }
}
