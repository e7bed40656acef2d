//! What sessions missed, as bytes.

use crate::encode::batch;
use bytes::Bytes;
use hubcast_hub::Publication;
use hubcast_protocol::{Dialect, Epoch};
use std::collections::HashMap;

/// Encodes replays. After a restart or a cut cable a crowd asks for the same past at once, each from a position of its
/// own: a publication is encoded for the first of them and copied for the others.
#[derive(Debug, Default)]
pub(crate) struct ReplayCache {
    /// Typed frames by their place in their history, and whether one was asked for since the last turn.
    encoded: HashMap<(Epoch, u64), Vec<u8>>,
    bytes: usize,
    used: bool,
}

impl ReplayCache {
    /// The first frames of what was missed, as one piece that is large enough for a write, and what is left: that is
    /// too much to be kept for others.
    pub(crate) fn begin<'a>(&mut self, missed: &'a [Publication], dialect: Dialect) -> (Bytes, &'a [Publication]) {
        self.used = true;
        let (mut piece, mut left) = (Vec::new(), missed);
        while piece.len() < REPLAY_CHUNK_BYTES
            && let Some((publication, behind)) = left.split_first()
        {
            left = behind;
            match (dialect, publication.position()) {
                (Dialect::Typed, Some(position)) => {
                    let place = (position.epoch, position.offset);
                    let frame = self.encoded.entry(place).or_insert_with(|| {
                        let mut frame = Vec::new();
                        batch::append(&mut frame, publication, dialect);
                        self.bytes += frame.len();
                        frame
                    });
                    piece.extend_from_slice(frame);
                }
                _ => batch::append(&mut piece, publication, dialect),
            }
        }
        if self.bytes > MAX_CACHE_BYTES {
            *self = Self { used: true, ..Self::default() };
        }
        (Bytes::from(piece), left)
    }

    /// Bytes of frames that are kept.
    #[cfg(feature = "simulation")]
    pub(crate) fn bytes(&self) -> usize {
        self.encoded.values().map(Vec::len).sum()
    }

    /// Forgets everything when nobody asked since the last time.
    pub(crate) fn end_turn(&mut self) {
        if !std::mem::take(&mut self.used) && self.bytes > 0 {
            *self = Self::default();
        }
    }
}

/// Bytes that are encoded before the rest waits.
const REPLAY_CHUNK_BYTES: usize = 64 * 1024;

/// Bytes of frames that are kept for the next who asks.
const MAX_CACHE_BYTES: usize = 1024 * 1024;
