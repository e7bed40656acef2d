//! Who brought how much of what is remembered: where there is too much, the one with the most loses its oldest.

use crate::engine::Publisher;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

/// Entries by the publisher that brought them, each with its bytes. Whatever happens costs the logarithm of their number.
///
/// So of `n` publishers each keeps what is within one `n`th of the bound: only a larger share is the largest of all.
#[derive(Debug, Default)]
pub(super) struct Shares {
    by_publisher: BTreeMap<Publisher, u64>,
    /// By the number of the first entry.
    list: BTreeMap<u64, Share>,
    /// The largest last; of equal ones the one that began first.
    by_size: BTreeSet<(usize, Reverse<u64>)>,
    bytes: usize,
    /// The last number given.
    last: u64,
}

/// What one publisher brought. It is gone with its last entry, however long ago its publisher left.
#[derive(Debug)]
struct Share {
    publisher: Publisher,
    bytes: usize,
    /// By number, the oldest first.
    entries: BTreeSet<(u64, u64)>,
}

/// Where an entry stands.
#[derive(Clone, Copy, Debug)]
pub(super) struct ShareRef {
    share: u64,
    /// Of all entries, in the order in which they were used.
    pub(super) number: u64,
}

impl Shares {
    /// Adds an entry as the newest.
    pub(super) fn add(&mut self, publisher: &Publisher, entry: u64, bytes: usize) -> ShareRef {
        self.last += 1;
        let number = self.last;
        let share = *self.by_publisher.entry(publisher.clone()).or_insert(number);
        let new = || Share { publisher: publisher.clone(), bytes: 0, entries: BTreeSet::new() };
        self.list.entry(share).or_insert_with(new).entries.insert((number, entry));
        self.resize(share, 0, bytes);
        ShareRef { share, number }
    }

    /// An entry is used again: it is the newest now.
    pub(super) fn touch(&mut self, place: &mut ShareRef, entry: u64) {
        self.last += 1;
        if let Some(share) = self.list.get_mut(&place.share) {
            share.entries.remove(&(place.number, entry));
            place.number = self.last;
            share.entries.insert((place.number, entry));
        }
    }

    /// An entry takes other bytes than before.
    pub(super) fn change(&mut self, place: ShareRef, before: usize, after: usize) {
        if before != after {
            self.resize(place.share, before, after);
        }
    }

    pub(super) fn remove(&mut self, place: ShareRef, entry: u64, bytes: usize) {
        if let Some(share) = self.list.get_mut(&place.share) {
            share.entries.remove(&(place.number, entry));
            self.resize(place.share, bytes, 0);
        }
    }

    /// The oldest entry of the publisher that brought the most.
    pub(super) fn oldest_of_largest(&self) -> Option<u64> {
        let (_, Reverse(share)) = self.by_size.last()?;
        self.list.get(share)?.entries.first().map(|(_, entry)| *entry)
    }

    /// Of all entries.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Who brought what stands there.
    pub(super) fn publisher(&self, place: ShareRef) -> &Publisher {
        &self.list[&place.share].publisher
    }

    fn resize(&mut self, id: u64, less: usize, more: usize) {
        let Some(share) = self.list.get_mut(&id) else { return };
        self.by_size.remove(&(share.bytes, Reverse(id)));
        share.bytes = share.bytes + more - less;
        self.bytes = self.bytes + more - less;
        if share.entries.is_empty() {
            self.by_publisher.remove(&share.publisher);
            self.list.remove(&id);
        } else {
            self.by_size.insert((share.bytes, Reverse(id)));
        }
    }
}
