//! Which piece of a turn is the last one for each connection.

use crate::exchange::{Haul, Parcel, Piece, slot_of, worker_of};
use hubcast_hub::SessionId;

/// Looked up before anything is carried out, so that a connection is written to when its last piece comes: it is
/// visited once, and still gets all of a turn in one write.
#[derive(Debug, Default)]
pub(super) struct LastPieces {
    /// By slot: the number of the piece, counted through the mail and then what the turn's own inputs caused. Only slots that this turn
    /// names are up to date, and only these are asked for.
    by_slot: Vec<u32>,
}

impl LastPieces {
    /// Looks through what a turn brought home for the connections of `worker`.
    pub(super) fn note(&mut self, worker: usize, haul: &Haul) {
        let mut piece = 0;
        for parcel in &haul.mail {
            match parcel {
                Parcel::Deliver { slots, .. } | Parcel::Tell { slots, .. } => {
                    slots.iter().for_each(|(slot, _)| self.set(*slot, piece));
                }
                Parcel::Send { slot, .. }
                | Parcel::Close { slot, .. }
                | Parcel::Replay { slot, .. }
                | Parcel::History { slot, .. } => {
                    self.set(*slot, piece);
                }
                Parcel::Pause { .. } | Parcel::GoOn(_) => {}
            }
            piece += 1;
        }
        let here = |session: &SessionId| worker_of(*session) == worker;
        for (piece, kind) in (piece..).zip(haul.pieces()) {
            match kind {
                Piece::Deliver { receivers, .. } | Piece::Tell { receivers, .. } => {
                    let those_here = receivers.iter().map(|to| to.session).filter(here).map(slot_of);
                    those_here.for_each(|slot| self.set(slot, piece));
                }
                Piece::Pong { slot, .. } | Piece::Ending { slot, .. } => self.set(slot, piece),
                Piece::Send { session, .. }
                | Piece::Close { session, .. }
                | Piece::Replay { session, .. }
                | Piece::History { session, .. } => {
                    if here(&session) {
                        self.set(slot_of(session), piece);
                    }
                }
            }
        }
    }

    /// Whether a piece is the last one for a connection.
    pub(super) fn is_last(&self, slot: u32, piece: u32) -> bool {
        self.by_slot.get(slot as usize) == Some(&piece)
    }

    fn set(&mut self, slot: u32, piece: u32) {
        let slot = slot as usize;
        if self.by_slot.len() <= slot {
            self.by_slot.resize(slot + 1, 0);
        }
        self.by_slot[slot] = piece;
    }
}
