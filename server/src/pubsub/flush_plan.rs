//! Which piece of a turn is the last one for each connection, and which answers may go before everything else.

use super::address::{slot_of, worker_of};
use super::mail::Parcel;
use super::turn_output::{Haul, Piece};
use hubcast_hub::SessionId;

/// Looked up before anything is carried out, so that a connection is written to when its last piece comes: it is
/// visited once, and still gets all of a turn in one write.
#[derive(Debug, Default)]
pub(super) struct LastPieces {
    /// By slot: the number of its last piece. Numbers go on from turn to turn, so that an old one is told from one of this turn.
    by_slot: Vec<u32>,
    /// The number of this turn's first piece, and of the next turn's.
    begin: u32,
    end: u32,
    /// Answers to connections that have nothing else in this turn before them, in order.
    answers: Vec<u32>,
}

impl LastPieces {
    /// Looks through what a turn brought home for the connections of `worker`. Pieces are counted through the mail and then
    /// what the turn's own inputs caused.
    pub(super) fn note(&mut self, worker: usize, haul: &Haul) {
        self.begin_turn();
        for parcel in &haul.mail {
            match parcel {
                Parcel::Deliver { slots, .. } | Parcel::Tell { slots, .. } => {
                    slots.iter().for_each(|(slot, _)| self.set(*slot));
                }
                Parcel::Send { slot, .. }
                | Parcel::Close { slot, .. }
                | Parcel::Replay { slot, .. }
                | Parcel::History { slot, .. } => self.set(*slot),
                Parcel::Pause { .. } | Parcel::GoOn(_) => {}
            }
            self.end += 1;
        }
        let here = |session: &SessionId| worker_of(*session) == worker;
        for piece in haul.pieces() {
            match piece {
                Piece::Deliver { receivers, .. } | Piece::Tell { receivers, .. } => {
                    let those_here = receivers.iter().map(|to| to.session).filter(here).map(slot_of);
                    those_here.for_each(|slot| self.set(slot));
                }
                Piece::Pong { slot, .. } => self.set_answer(slot),
                Piece::Ending { slot, .. } => self.set(slot),
                Piece::Send { session, .. } if here(&session) => self.set_answer(slot_of(session)),
                Piece::Close { session, .. } | Piece::Replay { session, .. } | Piece::History { session, .. }
                    if here(&session) =>
                {
                    self.set(slot_of(session));
                }
                Piece::Send { .. } | Piece::Close { .. } | Piece::Replay { .. } | Piece::History { .. } => {}
            }
            self.end += 1;
        }
    }

    /// Whether a piece of this turn is the last one for a connection.
    pub(super) fn is_last(&self, slot: u32, piece: u32) -> bool {
        self.by_slot.get(slot as usize) == Some(&(self.begin + piece))
    }

    /// Whether a piece of this turn is an answer that its connection has nothing else to wait for.
    pub(super) fn is_answer(&self, piece: u32) -> bool {
        self.answers.binary_search(&(self.begin + piece)).is_ok()
    }

    fn begin_turn(&mut self) {
        self.answers.clear();
        if self.end > LARGEST_BEGIN {
            *self = Self::default();
        }
        // 0 is the number of no piece.
        self.end = self.end.max(1);
        self.begin = self.end;
    }

    fn set_answer(&mut self, slot: u32) {
        let before = self.by_slot.get(slot as usize).copied().unwrap_or_default();
        if before < self.begin || self.answers.binary_search(&before).is_ok() {
            self.answers.push(self.end);
        }
        self.set(slot);
    }

    fn set(&mut self, slot: u32) {
        let slot = slot as usize;
        if self.by_slot.len() <= slot {
            self.by_slot.resize(slot + 1, 0);
        }
        self.by_slot[slot] = self.end;
    }
}

/// A turn that begins later begins at 1 again: no turn has so many pieces that their numbers would not fit.
const LARGEST_BEGIN: u32 = u32::MAX / 2;
