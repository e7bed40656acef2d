//! Who brought how much of what is remembered: where there is too much, the one with the most loses its oldest.

use crate::engine::Publisher;
use crate::roster::index;
use crate::sparse::{release_map, release_slab};
use slab::Slab;
use std::cmp::Reverse;
use std::collections::{BTreeSet, HashMap};

/// Entries by the publisher that brought them, each with its bytes. Whatever happens costs the logarithm of their number.
///
/// So of `n` publishers each keeps what is within one `n`th of the bound: only a larger share is the largest of all.
#[derive(Debug, Default)]
pub(super) struct Shares {
    by_publisher: HashMap<Publisher, u32>,
    list: Slab<Share>,
    /// The largest last; of equal ones the one that began first.
    by_size: BTreeSet<(usize, Reverse<u64>, u32)>,
    bytes: usize,
    /// The last number given.
    last: u64,
}

/// What one publisher brought. It is gone with its last entry, however long ago its publisher left.
#[derive(Debug)]
struct Share {
    publisher: Publisher,
    began: u64,
    bytes: usize,
    /// By number, the oldest first.
    entries: BTreeSet<(u64, u32)>,
}

/// Where an entry stands.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    share: u32,
    /// Of all entries, in the order in which they were used.
    pub(super) number: u64,
}

impl Shares {
    /// Adds an entry as the newest.
    pub(super) fn add(&mut self, publisher: &Publisher, entry: u32, bytes: usize) -> Place {
        self.last += 1;
        let number = self.last;
        let share = match self.by_publisher.get(publisher) {
            Some(share) => *share,
            None => {
                let publisher = publisher.clone();
                let share = Share { publisher: publisher.clone(), began: number, bytes: 0, entries: BTreeSet::new() };
                let share = index(self.list.insert(share));
                self.by_publisher.insert(publisher, share);
                share
            }
        };
        self.list[share as usize].entries.insert((number, entry));
        self.resize(share, 0, bytes);
        Place { share, number }
    }

    /// An entry is used again: it is the newest now.
    pub(super) fn touch(&mut self, place: &mut Place, entry: u32) {
        self.last += 1;
        let entries = &mut self.list[place.share as usize].entries;
        entries.remove(&(place.number, entry));
        place.number = self.last;
        entries.insert((place.number, entry));
    }

    /// An entry takes other bytes than before.
    pub(super) fn change(&mut self, place: Place, before: usize, after: usize) {
        if before != after {
            self.resize(place.share, before, after);
        }
    }

    pub(super) fn remove(&mut self, place: Place, entry: u32, bytes: usize) {
        self.list[place.share as usize].entries.remove(&(place.number, entry));
        self.resize(place.share, bytes, 0);
    }

    /// The oldest entry of the publisher that brought the most.
    pub(super) fn oldest_of_largest(&self) -> Option<u32> {
        let (_, _, share) = self.by_size.last()?;
        self.list[*share as usize].entries.first().map(|(_, entry)| *entry)
    }

    /// Of all entries.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Who brought what stands there.
    pub(super) fn publisher(&self, place: Place) -> &Publisher {
        &self.list[place.share as usize].publisher
    }

    fn resize(&mut self, id: u32, less: usize, more: usize) {
        let share = &mut self.list[id as usize];
        self.by_size.remove(&(share.bytes, Reverse(share.began), id));
        share.bytes = share.bytes + more - less;
        self.bytes = self.bytes + more - less;
        if share.entries.is_empty() {
            let share = self.list.remove(id as usize);
            self.by_publisher.remove(&share.publisher);
            release_map(&mut self.by_publisher);
            release_slab(&mut self.list);
        } else {
            self.by_size.insert((share.bytes, Reverse(share.began), id));
        }
    }
}
