//! Shares: the bytes that each publisher's entries take. When all take too many, the largest share loses its oldest
//! entry.

use crate::engine::Publisher;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

/// Entries by their publisher, each with its bytes. The cost of every operation grows with the logarithm of their
/// number.
///
/// With `n` publishers, a share that is at most the bound divided by `n` loses nothing. While all shares together are
/// above the bound, their average is more than that, and the largest share is never below the average.
#[derive(Debug, Default)]
pub(super) struct Shares {
    by_publisher: BTreeMap<Publisher, u64>,
    /// Shares by id. The id is the number that the first entry got when it was added.
    list: BTreeMap<u64, Share>,
    /// Shares by size. The last one is the largest; of several of the same size, the oldest.
    by_size: BTreeSet<(usize, Reverse<u64>)>,
    bytes: usize,
    /// The last number given to an entry.
    last: u64,
}

/// The entries of one publisher. A share is removed with its last entry, even if its publisher left long before.
#[derive(Debug)]
struct Share {
    publisher: Publisher,
    bytes: usize,
    /// Pairs of number and entry, in the order of their last use.
    entries: BTreeSet<(u64, u64)>,
}

/// The place of an entry: its share, and its number there.
#[derive(Clone, Copy, Debug)]
pub(super) struct ShareRef {
    share: u64,
    /// The number in the order of use, over all entries of all shares.
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

    /// Makes an entry the newest, because it is used again.
    pub(super) fn touch(&mut self, place: &mut ShareRef, entry: u64) {
        self.last += 1;
        if let Some(share) = self.list.get_mut(&place.share) {
            share.entries.remove(&(place.number, entry));
            place.number = self.last;
            share.entries.insert((place.number, entry));
        }
    }

    /// Changes the bytes of an entry.
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

    /// The oldest entry of the largest share.
    pub(super) fn oldest_of_largest(&self) -> Option<u64> {
        let (_, Reverse(share)) = self.by_size.last()?;
        self.list.get(share)?.entries.first().map(|(_, entry)| *entry)
    }

    /// Bytes of all entries.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// The publisher of an entry.
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
