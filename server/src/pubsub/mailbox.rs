//! What workers cause for each other's connections.
//!
//! A worker that is short of time takes its mail late, and until then its connections' outboxes do not fill: nothing
//! there would slow down who publishes. So a mailbox is bounded by itself: over the bound, who causes more for it is
//! not read until it has been taken.

use super::address::{NOBODY, slot_of, worker_of};
use super::mail::{Parcel, Slots, Wait};
use super::turn_output::{Delivery, Haul, Piece};
use hubcast_hub::{Receiver, SessionId};
use std::collections::BTreeSet;
use std::sync::Arc;

/// What waits for one worker.
#[derive(Debug, Default)]
pub(super) struct Mailbox {
    parcels: Vec<Parcel>,
    /// Bytes that there will be to write, about, which is never less than what they take here.
    weight: usize,
    /// Who is not read until this is taken.
    waiting: BTreeSet<SessionId>,
}

impl Mailbox {
    pub(super) fn put(&mut self, parcel: Parcel, weight: usize) {
        self.weight += weight;
        self.parcels.push(parcel);
    }

    /// Has the authors wait of what was put in last, if it was too much.
    fn hold(&mut self, mailbox: usize, authors: &[SessionId], waits: &mut Vec<Wait>) {
        if self.weight <= MOST {
            return;
        }
        for &author in authors.iter().filter(|author| **author != NOBODY) {
            self.waiting.insert(author);
            let wait = Wait { slot: slot_of(author), mailbox };
            if waits.last() != Some(&wait) {
                waits.push(wait);
            }
        }
    }
}

/// Takes a worker's mail, and lets those go on who wait for that, unless the worker `is_behind` with writing what it took
/// before; says whether there is anybody.
pub(super) fn take(worker: usize, mail: &mut [Mailbox], taken: &mut Vec<Parcel>, is_behind: bool) -> bool {
    let mailbox = &mut mail[worker];
    std::mem::swap(&mut mailbox.parcels, taken);
    if is_behind {
        return false;
    }
    mailbox.weight = 0;
    if mailbox.waiting.is_empty() {
        return false;
    }
    for session in std::mem::take(&mut mailbox.waiting) {
        mail[worker_of(session)].put(Parcel::GoOn(Wait { slot: slot_of(session), mailbox: worker }), 0);
    }
    true
}

/// Puts what concerns other workers into their mail; says whether there was anything.
pub(super) fn post(worker: usize, haul: &mut Haul, mail: &mut [Mailbox]) -> bool {
    let (mut posted, mut waits) = (false, std::mem::take(&mut haul.waits));
    for piece in haul.pieces() {
        match piece {
            Piece::Send { session, event } if worker_of(session) != worker => {
                let parcel = Parcel::Send { slot: slot_of(session), event: Box::new(event.clone()) };
                mail[worker_of(session)].put(parcel, EVENT);
                posted = true;
            }
            Piece::Close { session, code, reason } if worker_of(session) != worker => {
                let parcel = Parcel::Close { slot: slot_of(session), code, reason: reason.clone() };
                mail[worker_of(session)].put(parcel, EVENT);
                posted = true;
            }
            Piece::Replay { session, missed } if worker_of(session) != worker => {
                let parcel = Parcel::Replay { slot: slot_of(session), missed: Arc::clone(missed) };
                mail[worker_of(session)].put(parcel, EVENT * missed.len());
                posted = true;
            }
            Piece::History { session, answer } if worker_of(session) != worker => {
                let parcel = Parcel::History { slot: slot_of(session), answer: Box::new(answer.clone()) };
                mail[worker_of(session)].put(parcel, EVENT * answer.publications.len());
                posted = true;
            }
            Piece::Deliver { delivery: Delivery { frames, publishers, .. }, receivers } => {
                for (to, slots) in elsewhere(worker, mail.len(), receivers) {
                    let weight = (frames.len() + VISIT) * slots.len();
                    let (frames, copy) = (Arc::clone(frames), publishers.clone());
                    mail[to].put(Parcel::Deliver { frames, slots, publishers: copy }, weight);
                    mail[to].hold(to, publishers, &mut waits);
                    posted = true;
                }
            }
            Piece::Tell { told, receivers } => {
                for (to, slots) in elsewhere(worker, mail.len(), receivers) {
                    let weight = (EVENT + VISIT) * slots.len();
                    mail[to].put(Parcel::Tell { event: Arc::clone(&told.event), slots }, weight);
                    mail[to].hold(to, &[told.author], &mut waits);
                    posted = true;
                }
            }
            // Of this worker's own connections.
            Piece::Send { .. }
            | Piece::Close { .. }
            | Piece::Replay { .. }
            | Piece::History { .. }
            | Piece::Pong { .. }
            | Piece::Ending { .. } => {}
        }
    }
    haul.waits = waits;
    posted
}

/// The receivers on every worker but one, by worker, of those who have any.
fn elsewhere(worker: usize, workers: usize, receivers: &[Receiver]) -> impl Iterator<Item = (usize, Slots)> + use<> {
    let mut slots = vec![Vec::new(); workers];
    for receiver in receivers {
        if worker_of(receiver.session) != worker {
            slots[worker_of(receiver.session)].push((slot_of(receiver.session), receiver.slow));
        }
    }
    slots.into_iter().enumerate().filter(|(_, slots)| !slots.is_empty())
}

/// Bytes that may wait for a worker to be written before those who cause more have to wait: some ten milliseconds of work.
const MOST: usize = 16 * 1024 * 1024;

/// What an event counts for each who is told.
const EVENT: usize = 256;

/// What it counts to visit a receiver: two thousand of them fill a mailbox, however little each gets.
const VISIT: usize = 8192;
