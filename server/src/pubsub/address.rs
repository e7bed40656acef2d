//! The address of a session's connection: its worker and its slot there, both in the number of the session.

use hubcast_hub::SessionId;

/// The session number of a connection: its worker in the upper 8 bits, its slot in the lower 24.
pub(crate) fn session(worker: usize, slot: u32) -> SessionId {
    let worker = u32::try_from(worker).unwrap_or(u32::MAX);
    SessionId(worker << SLOT_BITS | slot)
}

pub(crate) fn worker_of(session: SessionId) -> usize {
    (session.0 >> SLOT_BITS) as usize
}

pub(crate) fn slot_of(session: SessionId) -> u32 {
    session.0 & SLOTS
}

/// The slot of a caller, which has no connection: the upper half of the numbers.
pub(super) fn caller_slot(place: usize) -> u32 {
    FIRST_CALLER | u32::try_from(place).unwrap_or(u32::MAX) & !FIRST_CALLER & SLOTS
}

/// Whether a slot is that of a caller.
pub(super) fn is_caller(slot: u32) -> bool {
    slot >= FIRST_CALLER
}

/// The place of a caller in the list of callers.
pub(super) fn place_of(slot: u32) -> usize {
    (slot & !FIRST_CALLER) as usize
}

const FIRST_CALLER: u32 = 1 << (SLOT_BITS - 1);
const SLOT_BITS: u32 = 24;
const SLOTS: u32 = (1 << SLOT_BITS) - 1;

/// The author of effects that no connection here caused, so none has to wait: the last slot of the first worker.
pub(super) const NOBODY: SessionId = SessionId(SLOTS);
