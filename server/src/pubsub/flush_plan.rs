//! The plan of a turn's writes: which output is the last one for each connection, and which answers may go first.

use super::address::{is_caller, slot_of, worker_of};
use super::mail::RemoteOutput;
use super::turn_output::{Output, TurnOutput};
use hubcast_hub::SessionId;

/// Made before anything is carried out, so that each connection gets everything of the turn in one write. If its last
/// output is an answer or a publication, it is written to when that output comes. After any other output it is marked
/// as dirty, and written to at the end of the turn.
#[derive(Debug, Default)]
pub(super) struct FlushPlan {
    /// By slot: the number of its last output. Numbers continue from turn to turn, so that a number of an earlier turn
    /// is less than all numbers of this one.
    by_slot: Vec<u32>,
    /// The number of this turn's first output, and of the next turn's first output.
    begin: u32,
    end: u32,
    /// The numbers of answers whose connections get nothing but answers before them in this turn, in order.
    answers: Vec<u32>,
}

impl FlushPlan {
    /// Reads the outputs of a turn for the connections of `worker`. First the mail is numbered, then what the turn's
    /// own inputs caused.
    pub(super) fn note(&mut self, worker: usize, turn_output: &TurnOutput) {
        self.begin_turn();
        for output in &turn_output.mail {
            match output {
                RemoteOutput::Deliver { slots, .. } | RemoteOutput::Notify { slots, .. } => {
                    slots.iter().for_each(|(slot, _)| self.set(*slot));
                }
                RemoteOutput::Send { slot, .. }
                | RemoteOutput::Close { slot, .. }
                | RemoteOutput::Replay { slot, .. }
                | RemoteOutput::History { slot, .. } => self.set(*slot),
                RemoteOutput::Operated { .. }
                | RemoteOutput::Describe(_)
                | RemoteOutput::Pause { .. }
                | RemoteOutput::Unblock(_) => {}
            }
            self.end += 1;
        }
        let here = |session: &SessionId| worker_of(*session) == worker;
        for output in turn_output.outputs() {
            match output {
                Output::Deliver { receivers, .. } | Output::Notify { receivers, .. } => {
                    let those_here = receivers.iter().map(|to| to.session).filter(here).map(slot_of);
                    those_here.for_each(|slot| self.set(slot));
                }
                Output::Pong { slot, .. } => self.set_answer(slot),
                Output::Ending { slot, .. } => self.set(slot),
                Output::Send { session, .. } if here(&session) => self.set_answer(slot_of(session)),
                Output::Close { session, .. } | Output::Replay { session, .. } | Output::History { session, .. }
                    if here(&session) =>
                {
                    self.set(slot_of(session));
                }
                Output::Send { .. }
                | Output::Close { .. }
                | Output::Replay { .. }
                | Output::History { .. }
                | Output::Operated { .. } => {}
            }
            self.end += 1;
        }
    }

    /// Whether an output of this turn is the last one for a connection.
    pub(super) fn is_last(&self, slot: u32, output: u32) -> bool {
        self.by_slot.get(slot as usize) == Some(&(self.begin + output))
    }

    /// Whether an output of this turn is an answer, and its connection gets nothing but answers before it.
    pub(super) fn is_answer(&self, output: u32) -> bool {
        self.answers.binary_search(&(self.begin + output)).is_ok()
    }

    /// Whether any output of this turn is such an answer.
    pub(super) fn has_answers(&self) -> bool {
        !self.answers.is_empty()
    }

    fn begin_turn(&mut self) {
        self.answers.clear();
        if self.end > LARGEST_BEGIN {
            *self = Self::default();
        }
        // Numbers begin at 1, because 0 in `by_slot` means that a connection had no output yet.
        self.end = self.end.max(1);
        self.begin = self.end;
    }

    fn set_answer(&mut self, slot: u32) {
        if is_caller(slot) {
            return;
        }
        let before = self.by_slot.get(slot as usize).copied().unwrap_or_default();
        if before < self.begin || self.answers.binary_search(&before).is_ok() {
            self.answers.push(self.end);
        }
        self.set(slot);
    }

    fn set(&mut self, slot: u32) {
        if is_caller(slot) {
            // It has no connection to be written to.
            return;
        }
        let slot = slot as usize;
        if self.by_slot.len() <= slot {
            self.by_slot.resize(slot + 1, 0);
        }
        self.by_slot[slot] = self.end;
    }
}

/// If a turn begins above this number, the numbers start again at 1. No turn has more outputs than are left above it.
const LARGEST_BEGIN: u32 = u32::MAX / 2;
