//! What workers cause for each other's connections.
//!
//! A worker that is short of time takes its mail late, and until then its connections' outboxes do not fill: nothing
//! there would slow down who publishes. So a mailbox is bounded by itself: over the bound, who causes more for it is
//! not read until it has been taken.

use super::address::{NOBODY, slot_of, worker_of};
use super::mail::{MailboxWait, RemoteOutput, Slots};
use super::turn_output::{Broadcast, Output, TurnOutput};
use hubcast_hub::{Receiver, SessionId};
use std::collections::BTreeSet;
use std::sync::Arc;

/// What waits for one worker.
#[derive(Debug, Default)]
pub(super) struct Mailbox {
    outputs: Vec<RemoteOutput>,
    /// Bytes that there will be to write, about, which is never less than what they take here.
    weight: usize,
    /// Who is not read until this is taken.
    waiting: BTreeSet<SessionId>,
}

impl Mailbox {
    pub(super) fn put(&mut self, output: RemoteOutput, weight: usize) {
        self.weight += weight;
        self.outputs.push(output);
    }

    /// Has the authors wait of what was put in last, if it was too much.
    fn block(&mut self, mailbox: usize, authors: &[SessionId], blocked: &mut Vec<MailboxWait>) {
        if self.weight <= MAX_MAILBOX_BYTES {
            return;
        }
        for &author in authors.iter().filter(|author| **author != NOBODY) {
            self.waiting.insert(author);
            let wait = MailboxWait { slot: slot_of(author), mailbox };
            if blocked.last() != Some(&wait) {
                blocked.push(wait);
            }
        }
    }
}

/// Takes a worker's mail, and lets those go on who wait for that, unless the worker `is_behind` with writing what it took
/// before; says whether there is anybody.
pub(super) fn take(worker: usize, mail: &mut [Mailbox], taken: &mut Vec<RemoteOutput>, is_behind: bool) -> bool {
    let mailbox = &mut mail[worker];
    std::mem::swap(&mut mailbox.outputs, taken);
    if is_behind {
        return false;
    }
    mailbox.weight = 0;
    if mailbox.waiting.is_empty() {
        return false;
    }
    for session in std::mem::take(&mut mailbox.waiting) {
        mail[worker_of(session)].put(RemoteOutput::Resume(MailboxWait { slot: slot_of(session), mailbox: worker }), 0);
    }
    true
}

/// Puts what concerns other workers into their mail; says whether there was anything.
pub(super) fn post(worker: usize, turn_output: &mut TurnOutput, mail: &mut [Mailbox]) -> bool {
    let (mut posted, mut blocked) = (false, std::mem::take(&mut turn_output.blocked));
    for output in turn_output.outputs() {
        match output {
            Output::Send { session, event } if worker_of(session) != worker => {
                let output = RemoteOutput::Send { slot: slot_of(session), event: Box::new(event.clone()) };
                mail[worker_of(session)].put(output, EVENT_BYTES);
                posted = true;
            }
            Output::Close { session, code, reason } if worker_of(session) != worker => {
                let output = RemoteOutput::Close { slot: slot_of(session), code, reason: reason.clone() };
                mail[worker_of(session)].put(output, EVENT_BYTES);
                posted = true;
            }
            Output::Replay { session, missed } if worker_of(session) != worker => {
                let output = RemoteOutput::Replay { slot: slot_of(session), missed: Arc::clone(missed) };
                mail[worker_of(session)].put(output, EVENT_BYTES * missed.len());
                posted = true;
            }
            Output::History { session, answer } if worker_of(session) != worker => {
                let output = RemoteOutput::History { slot: slot_of(session), answer: Box::new(answer.clone()) };
                mail[worker_of(session)].put(output, EVENT_BYTES * answer.publications.len());
                posted = true;
            }
            Output::Deliver { broadcast: Broadcast { frames, publishers, .. }, receivers } => {
                for (to, slots) in group_by_worker(worker, mail.len(), receivers) {
                    let weight = (frames.len() + VISIT_BYTES) * slots.len();
                    let (frames, copy) = (Arc::clone(frames), publishers.clone());
                    mail[to].put(RemoteOutput::Deliver { frames, slots, publishers: copy }, weight);
                    mail[to].block(to, publishers, &mut blocked);
                    posted = true;
                }
            }
            Output::Notify { notification, receivers } => {
                for (to, slots) in group_by_worker(worker, mail.len(), receivers) {
                    let weight = (EVENT_BYTES + VISIT_BYTES) * slots.len();
                    mail[to].put(RemoteOutput::Notify { event: Arc::clone(&notification.event), slots }, weight);
                    mail[to].block(to, &[notification.author], &mut blocked);
                    posted = true;
                }
            }
            // Of this worker's own connections.
            Output::Send { .. }
            | Output::Close { .. }
            | Output::Replay { .. }
            | Output::History { .. }
            | Output::Pong { .. }
            | Output::Ending { .. } => {}
        }
    }
    turn_output.blocked = blocked;
    posted
}

/// The receivers on every worker but one, by worker, of those who have any.
fn group_by_worker(
    worker: usize,
    workers: usize,
    receivers: &[Receiver],
) -> impl Iterator<Item = (usize, Slots)> + use<> {
    let mut slots = vec![Vec::new(); workers];
    for receiver in receivers {
        if worker_of(receiver.session) != worker {
            slots[worker_of(receiver.session)].push((slot_of(receiver.session), receiver.slow));
        }
    }
    slots.into_iter().enumerate().filter(|(_, slots)| !slots.is_empty())
}

/// Bytes that may wait for a worker to be written before those who cause more have to wait: some ten milliseconds of work.
const MAX_MAILBOX_BYTES: usize = 16 * 1024 * 1024;

/// What an event counts for each who is told.
const EVENT_BYTES: usize = 256;

/// What it counts to visit a receiver: two thousand of them fill a mailbox, however little each gets.
const VISIT_BYTES: usize = 8192;
