//! Mailboxes: what workers cause for each other's connections.
//!
//! A worker that is short of time takes its mail late. Until then the outboxes of its connections do not fill, so
//! nothing there would slow publishers down. For this reason each mailbox has its own bound. A publisher that puts
//! more into a mailbox above the bound is not read until the mailbox has been taken.

use super::address::{NOBODY, slot_of, worker_of};
use super::mail::{MailboxWait, RemoteOutput, Slots};
use super::turn_output::{Broadcast, Output, TurnOutput};
use hubcast_hub::{Receiver, SessionId};
use std::collections::BTreeSet;
use std::sync::Arc;

/// Outputs that wait for one worker.
#[derive(Debug, Default)]
pub(super) struct Mailbox {
    outputs: Vec<RemoteOutput>,
    /// Bytes that will have to be written for these outputs, about; never less than the memory that they take here.
    weight: usize,
    /// Publishers that are not read until this mailbox is taken.
    waiting: BTreeSet<SessionId>,
}

impl Mailbox {
    /// Bytes that will have to be written for what is in it, about.
    pub(super) fn weight(&self) -> usize {
        self.weight
    }

    pub(super) fn put(&mut self, output: RemoteOutput, weight: usize) {
        self.weight += weight;
        self.outputs.push(output);
    }

    /// Blocks the authors of the output that was put in last, if the mailbox is over its bound.
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

/// Takes a worker's mail. Then it sends [`RemoteOutput::Unblock`] to the publishers that this mailbox blocked, unless
/// the worker `is_behind` with writing what it took before. Says whether it sent any.
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
        mail[worker_of(session)].put(RemoteOutput::Unblock(MailboxWait { slot: slot_of(session), mailbox: worker }), 0);
    }
    true
}

/// Puts effects for connections of other workers into their mail; says whether there were any.
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
            Output::Operated { session, id, sessions } if worker_of(session) != worker => {
                let output = RemoteOutput::Operated { slot: slot_of(session), id: id.clone(), sessions };
                mail[worker_of(session)].put(output, EVENT_BYTES);
                posted = true;
            }
            Output::Deliver { broadcast: Broadcast { frames, publishers, .. }, receivers } => {
                for (to, slots) in group_by_worker(worker, mail.len(), receivers) {
                    let weight = (frames.bytes() + VISIT_BYTES) * slots.len();
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
            // For this worker's own connections.
            Output::Send { .. }
            | Output::Close { .. }
            | Output::Replay { .. }
            | Output::History { .. }
            | Output::Operated { .. }
            | Output::Pong { .. }
            | Output::Ending { .. } => {}
        }
    }
    turn_output.blocked = blocked;
    posted
}

/// The receivers on every other worker that has any, grouped by worker.
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

/// Bytes that may wait in one mailbox before publishers that cause more are blocked: some ten milliseconds of work.
const MAX_MAILBOX_BYTES: usize = 16 * 1024 * 1024;

/// Bytes that an event counts for each receiver.
const EVENT_BYTES: usize = 256;

/// Bytes that a visit to a receiver counts: two thousand visits fill a mailbox, however little each receiver gets.
const VISIT_BYTES: usize = 8192;
