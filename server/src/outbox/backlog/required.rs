//! The entries of a backlog that are never left out. Replays and answers to `history` among them are encoded in parts,
//! when the socket is ready.

use crate::encode::batch::{self, frame_cost};
use crate::encode::history_reply::HistoryReply;
use bytes::Bytes;
use hubcast_hub::Publication;
use hubcast_protocol::Dialect;
use std::collections::VecDeque;
use std::vec;

/// Each with its place in the queue of the backlog.
#[derive(Debug, Default)]
pub(super) struct RequiredEntries {
    queue: VecDeque<(u64, Required)>,
    /// Bytes that do not count against the limit of the outbox.
    exempt: usize,
    /// The part of `exempt` that is not encoded yet, in bytes.
    to_encode: usize,
    /// Number of the publications in that part.
    missed: usize,
}

#[derive(Debug)]
enum Required {
    Charged(Bytes),
    Exempt(Bytes),
    /// The rest of a replay.
    Missed(vec::IntoIter<Publication>),
    /// The rest of the answer to a `history` request.
    History(HistoryReply),
}

/// The next bytes to write.
#[derive(Debug)]
pub(crate) struct NextBytes {
    pub(crate) bytes: Bytes,
    /// Whether they count against the limit of the outbox.
    pub(crate) charged: bool,
    /// Whether they end where a frame ends, so that another frame may follow.
    pub(crate) ends_frame: bool,
}

impl RequiredEntries {
    /// Adds a frame that counts. The backlog counts it.
    pub(super) fn push_charged(&mut self, place: u64, bytes: Bytes) {
        self.queue.push_back((place, Required::Charged(bytes)));
    }

    pub(super) fn push_exempt(&mut self, place: u64, bytes: Bytes) {
        self.exempt += frame_cost(&bytes);
        self.queue.push_back((place, Required::Exempt(bytes)));
    }

    pub(super) fn push_missed(&mut self, place: u64, missed: Vec<Publication>) {
        self.note_to_encode(missed.iter().map(batch::size).sum(), missed.len());
        self.queue.push_back((place, Required::Missed(missed.into_iter())));
    }

    pub(super) fn push_history(&mut self, place: u64, answer: HistoryReply) {
        self.note_to_encode(answer.left(), answer.publications());
        self.queue.push_back((place, Required::History(answer)));
    }

    /// The place of the first entry.
    pub(super) fn first(&self) -> Option<u64> {
        self.queue.front().map(|(place, _)| *place)
    }

    /// Bytes that do not count against the limit of the outbox.
    pub(super) fn exempt(&self) -> usize {
        self.exempt
    }

    /// Cost of each frame that counts, in bytes.
    #[cfg(test)]
    pub(super) fn charged(&self) -> impl Iterator<Item = usize> {
        self.queue.iter().map(|(_, entry)| if let Required::Charged(bytes) = entry { frame_cost(bytes) } else { 0 })
    }

    /// Bytes of memory that the entries use which do not count, without the publications themselves.
    pub(super) fn own_exempt_bytes(&self) -> usize {
        self.exempt - self.to_encode + self.missed * size_of::<Publication>()
    }

    /// Removes the first entry, or encodes and removes its next part.
    pub(super) fn pop(&mut self, dialect: Dialect) -> Option<NextBytes> {
        let (place, entry) = self.queue.pop_front()?;
        let whole = |bytes, charged| Some(NextBytes { bytes, charged, ends_frame: true });
        match entry {
            Required::Charged(bytes) => whole(bytes, true),
            Required::Exempt(bytes) => {
                self.exempt -= frame_cost(&bytes);
                whole(bytes, false)
            }
            Required::History(mut answer) => {
                let before = (answer.left(), answer.publications());
                let (bytes, ends_frame) = answer.next(REPLAY_CHUNK_BYTES);
                self.note_encoded(before.0 - answer.left(), before.1 - answer.publications());
                if !ends_frame {
                    self.queue.push_front((place, Required::History(answer)));
                }
                Some(NextBytes { bytes, charged: false, ends_frame })
            }
            Required::Missed(mut missed) => {
                let mut part = batch::room_for(missed.as_slice(), REPLAY_CHUNK_BYTES);
                while part.len() < REPLAY_CHUNK_BYTES
                    && let Some(publication) = missed.next()
                {
                    self.note_encoded(batch::size(&publication), 1);
                    batch::append(&mut part, &publication, dialect);
                }
                if !missed.as_slice().is_empty() {
                    self.queue.push_front((place, Required::Missed(missed)));
                }
                whole(part.into(), false)
            }
        }
    }

    fn note_to_encode(&mut self, bytes: usize, publications: usize) {
        (self.exempt, self.to_encode) = (self.exempt + bytes, self.to_encode + bytes);
        self.missed += publications;
    }

    fn note_encoded(&mut self, bytes: usize, publications: usize) {
        (self.exempt, self.to_encode) = (self.exempt - bytes, self.to_encode - bytes);
        self.missed -= publications;
    }
}

/// Bytes of a replay that are encoded at once.
const REPLAY_CHUNK_BYTES: usize = 32 * 1024;
