//! A cache of encoded replays: the publications that sessions missed.

use crate::encode::batch;
use bytes::Bytes;
use hubcast_hub::Publication;
use hubcast_protocol::{Dialect, Epoch};
use std::collections::HashMap;

/// Encodes replays. After a restart or a broken network many clients ask for the same publications at once, each from a
/// position of its own. So a publication is encoded for the first client, and copied for the others.
#[derive(Debug, Default)]
pub(crate) struct ReplayCache {
    /// Typed frames by epoch and offset.
    encoded: HashMap<(Epoch, u64), Vec<u8>>,
    bytes: usize,
    used: bool,
}

impl ReplayCache {
    /// Encodes the first [`FIRST_CHUNK_BYTES`] of a replay, enough for one write, and returns them with the
    /// publications that are left. Only the first part is kept in the cache: the rest can be of any size.
    pub(crate) fn begin<'a>(&mut self, missed: &'a [Publication], dialect: Dialect) -> (Bytes, &'a [Publication]) {
        self.used = true;
        let (mut part, mut left) = (Vec::new(), missed);
        while part.len() < FIRST_CHUNK_BYTES
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
                    part.extend_from_slice(frame);
                }
                _ => batch::append(&mut part, publication, dialect),
            }
        }
        if self.bytes > MAX_CACHE_BYTES {
            *self = Self { used: true, ..Self::default() };
        }
        (Bytes::from(part), left)
    }

    /// Bytes of the frames in the cache.
    #[cfg(feature = "simulation")]
    pub(crate) fn bytes(&self) -> usize {
        self.encoded.values().map(Vec::len).sum()
    }

    /// Empties the cache if no replay was encoded since the previous call. Called once a turn.
    pub(crate) fn end_turn(&mut self) {
        if !std::mem::take(&mut self.used) && self.bytes > 0 {
            *self = Self::default();
        }
    }
}

/// Bytes that are encoded at once; the rest waits as publications.
const FIRST_CHUNK_BYTES: usize = 64 * 1024;

/// Largest size of the cache, in bytes; above it the cache is emptied.
const MAX_CACHE_BYTES: usize = 1024 * 1024;
