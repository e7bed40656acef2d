//! Lanes: the items that wait of one connection, and which connection is next.

use super::item::{Kind, Typical};
use super::{Cost, Item};
use std::collections::{BTreeSet, VecDeque};

/// The items of one connection that a slice has left over, with all that came since.
#[derive(Debug)]
pub(super) struct Lane {
    items: VecDeque<Item>,
    /// The virtual time at which its last item ended; `begin` is the one at which its first item would begin.
    ended: u64,
    begin: u64,
    /// Its place in the order, while it has items.
    place: Option<Place>,
    /// Nanoseconds that its last publication cost that was joined to no other.
    publication: Option<u64>,
    is_stopped: bool,
}

/// The place of a lane: whether its first item is quickly done, and the virtual time at which that item would end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    is_quick: bool,
    end: u64,
}

/// Lanes by the virtual time at which their first item would end.
#[derive(Debug, Default)]
pub(super) struct Order {
    quick: BTreeSet<(u64, u32)>,
    other: BTreeSet<(u64, u32)>,
}

impl Lane {
    /// An empty lane of a connection that has `spent` so many nanoseconds in this slice.
    pub(super) fn new(virtual_time: u64, spent: Option<u64>) -> Self {
        Self {
            items: VecDeque::new(),
            ended: virtual_time + spent.unwrap_or_default(),
            begin: virtual_time,
            place: None,
            publication: spent,
            is_stopped: false,
        }
    }

    pub(super) fn push(&mut self, item: Item) {
        self.items.push_back(item);
    }

    pub(super) fn push_front(&mut self, item: Item) {
        self.items.push_front(item);
    }

    pub(super) fn pop(&mut self) -> Option<Item> {
        let item = self.items.pop_front();
        if self.items.is_empty() {
            self.items = VecDeque::new();
        }
        item
    }

    pub(super) fn first(&self) -> Option<&Item> {
        self.items.front()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// The virtual time at which its first item would begin.
    pub(super) fn begin(&self) -> u64 {
        self.begin
    }

    /// Notes what the item cost that was taken last.
    pub(super) fn charge(&mut self, kind: Kind, cost: Cost) {
        self.ended = self.begin + cost.total();
        if kind == Kind::Publication && !cost.joined {
            self.publication = Some(cost.total());
        }
    }

    /// Whether its connection must not be read any more (`true`) or may be read again (`false`); `None` if that has
    /// not changed.
    pub(super) fn update_hold(&mut self) -> Option<bool> {
        let is_stopped = !self.items.is_empty();
        (std::mem::replace(&mut self.is_stopped, is_stopped) != is_stopped).then_some(is_stopped)
    }

    /// Nanoseconds that its first item will cost, about.
    fn expected(&self, typical: &Typical) -> Option<u64> {
        let kind = self.items.front()?.kind();
        let own = self.publication.filter(|_| kind == Kind::Publication);
        Some(own.unwrap_or_else(|| typical.of(kind)))
    }
}

impl Order {
    /// Puts a lane in its place, if it has items and no place.
    pub(super) fn insert(&mut self, slot: u32, lane: &mut Lane, typical: &Typical, virtual_time: u64) {
        let Some(expected) = lane.expected(typical).filter(|_| lane.place.is_none()) else { return };
        lane.begin = lane.ended.max(virtual_time);
        let place = Place { is_quick: expected <= QUICK, end: lane.begin + expected };
        self.list(place).insert((place.end, slot));
        lane.place = Some(place);
    }

    pub(super) fn remove(&mut self, slot: u32, lane: &mut Lane) {
        if let Some(place) = lane.place.take() {
            self.list(place).remove(&(place.end, slot));
        }
    }

    /// The lane that is next: among those whose first item is quickly done if `is_quick`, else among all.
    pub(super) fn first(&self, is_quick: bool) -> Option<u32> {
        let other = self.other.first().filter(|_| !is_quick);
        self.quick.first().into_iter().chain(other).min().map(|(_, slot)| *slot)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.quick.is_empty() && self.other.is_empty()
    }

    fn list(&mut self, place: Place) -> &mut BTreeSet<(u64, u32)> {
        if place.is_quick { &mut self.quick } else { &mut self.other }
    }
}

/// Nanoseconds that an item costs at most to count as quickly done.
const QUICK: u64 = 100_000;
