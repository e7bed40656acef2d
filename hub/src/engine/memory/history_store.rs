//! The store of all histories, ordered by their last use, and the large ones also by their size.

use super::history::History;
use crate::sparse::release_slab;
use crate::subscriptions::index;
use slab::Slab;
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::iter::successors;

/// All histories by id, with the sum of their bytes, the largest one, and the one that was unused longest.
///
/// The order of use is a linked list through the slots, so that a use has the same cost however many histories there
/// are. A history that is in use and empty is not in the list, because dropping it would free nothing.
#[derive(Debug, Default)]
pub(super) struct HistoryStore {
    /// Boxed, because a slab shrinks only when it is empty: its unused entries should be small.
    slots: Slab<Box<Slot>>,
    newest: Option<u32>,
    oldest: Option<u32>,
    bytes: usize,
    /// Bytes of all publications, including those that do not count in `bytes`.
    publication_bytes: usize,
    /// The histories above [`MIN_SHARE_BYTES`], by their bytes and then by when they got this size.
    large: BTreeMap<(usize, Reverse<u64>), u32>,
    /// A counter of the changes of size of large histories. It orders those of the same size.
    sizings: u64,
}

#[derive(Debug)]
struct Slot {
    history: History,
    /// Its bytes, as the sum `bytes` counts them.
    counted: usize,
    publications_counted: usize,
    /// The value of `sizings` when it got its size, if it is large.
    sized: u64,
    listed: bool,
    newer: Option<u32>,
    older: Option<u32>,
}

impl HistoryStore {
    pub(super) fn insert(&mut self, history: History) -> u32 {
        let slot =
            Slot { history, counted: 0, publications_counted: 0, sized: 0, listed: false, newer: None, older: None };
        let id = index(self.slots.insert(Box::new(slot)));
        self.update_sums(id);
        id
    }

    pub(super) fn remove(&mut self, id: u32) -> History {
        self.unlink(id);
        let slot = self.slots.remove(id as usize);
        release_slab(&mut self.slots);
        self.bytes -= slot.counted;
        self.publication_bytes -= slot.publications_counted;
        self.large.remove(&slot.place());
        slot.history
    }

    /// Updates the bytes of a history, and makes it the one that was used last.
    pub(super) fn touch(&mut self, id: u32) {
        self.update_sums(id);
        self.unlink(id);
        if is_worth_dropping(&self.slots[id as usize].history) {
            self.push_front(id);
        }
    }

    /// Updates the bytes of a history, but not its place in the order of use.
    pub(super) fn recount(&mut self, id: u32) {
        self.update_sums(id);
        if !is_worth_dropping(&self.slots[id as usize].history) {
            self.unlink(id);
        }
    }

    pub(super) fn least_recently_used(&self) -> Option<u32> {
        self.oldest
    }

    /// The history with the most bytes, if these are more than [`MIN_SHARE_BYTES`]. Of several, the one that has had
    /// this size longest.
    pub(super) fn largest(&self) -> Option<u32> {
        self.large.values().next_back().copied()
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Bytes of all publications.
    pub(super) fn publication_bytes(&self) -> usize {
        self.publication_bytes
    }

    pub(super) fn len(&self) -> usize {
        self.slots.len()
    }

    /// The number of indexes; some may be unused.
    pub(super) fn capacity(&self) -> usize {
        self.slots.capacity()
    }

    pub(super) fn contains(&self, id: u32) -> bool {
        self.slots.contains(id as usize)
    }

    pub(super) fn get(&self, id: u32) -> &History {
        &self.slots[id as usize].history
    }

    pub(super) fn get_mut(&mut self, id: u32) -> &mut History {
        &mut self.slots[id as usize].history
    }

    /// All histories, in the order of their last use. Those that are not in the list come last.
    pub(super) fn iter(&self) -> impl Iterator<Item = &History> {
        let slot = |id: u32| &*self.slots[id as usize];
        let listed = successors(self.oldest.map(slot), move |before| before.newer.map(slot));
        let unlisted = self.slots.iter().map(|(_, slot)| &**slot).filter(|slot| !slot.listed);
        listed.chain(unlisted).map(|slot| &slot.history)
    }

    fn update_sums(&mut self, id: u32) {
        let slot = &mut self.slots[id as usize];
        let publications = slot.history.publication_bytes();
        self.publication_bytes = self.publication_bytes - slot.publications_counted + publications;
        slot.publications_counted = publications;
        let bytes = slot.history.bytes();
        if bytes == slot.counted {
            return;
        }
        self.bytes = self.bytes - slot.counted + bytes;
        if slot.counted > MIN_SHARE_BYTES {
            self.large.remove(&slot.place());
        }
        slot.counted = bytes;
        if bytes > MIN_SHARE_BYTES {
            self.sizings += 1;
            slot.sized = self.sizings;
            self.large.insert(slot.place(), id);
        }
    }

    fn push_front(&mut self, id: u32) {
        let older = self.newest.replace(id);
        let slot = &mut self.slots[id as usize];
        (slot.listed, slot.newer, slot.older) = (true, None, older);
        match older {
            Some(older) => self.slots[older as usize].newer = Some(id),
            None => self.oldest = Some(id),
        }
    }

    fn unlink(&mut self, id: u32) {
        let slot = &mut self.slots[id as usize];
        if !std::mem::take(&mut slot.listed) {
            return;
        }
        let (newer, older) = (slot.newer.take(), slot.older.take());
        match newer {
            Some(newer) => self.slots[newer as usize].older = older,
            None => self.newest = older,
        }
        match older {
            Some(older) => self.slots[older as usize].newer = newer,
            None => self.oldest = newer,
        }
    }
}

impl Slot {
    /// Its key among the large histories.
    fn place(&self) -> (usize, Reverse<u64>) {
        (self.counted, Reverse(self.sized))
    }
}

fn is_worth_dropping(history: &History) -> bool {
    !history.in_use || !history.is_empty()
}

/// Bytes that every topic may keep, however many topics there are.
const MIN_SHARE_BYTES: usize = 64 * 1024;
