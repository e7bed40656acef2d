//! Whose request the hub is handed next.
//!
//! While everything that came fits into one slice, requests go to the hub in the order in which they came. What a slice
//! leaves over goes into lanes, one for each connection, and the lane is served next whose request would end first if all
//! were served at once: self-clocked fair queueing (Golestani, "A self-clocked fair queueing scheme for broadband
//! applications", INFOCOM 1994). So a connection that causes much work waits for itself, and one that asks for little
//! goes before it. Time here is work, counted in nanoseconds and never measured.

mod item;
mod lane;
mod slice;

pub(crate) use item::Item;
pub(crate) use slice::{BYTES_PER_NS, Cost, Growing, VISIT_NS};

use item::{Kind, Typical};
use lane::{Lane, Order};
use slice::Slice;
use std::collections::{HashMap, VecDeque};

/// All that one worker's connections want of the hub.
#[derive(Debug, Default)]
pub(crate) struct Schedule {
    /// In the order in which it came; empty while there are lanes.
    arrived: VecDeque<(u32, Item)>,
    lanes: HashMap<u32, Lane>,
    /// The lanes in which something waits.
    order: Order,
    /// What the last request handed out would have begun at, if all lanes were served at once.
    virtual_time: u64,
    slice: Slice,
    /// Whom the last item handed out belongs to, and what kind of item it was.
    served: Option<(u32, Kind)>,
    /// What items of each kind have cost lately.
    typical: Typical,
    /// Connections whose lanes have changed in this slice.
    touched: Vec<u32>,
    /// What was spent in this slice by connections that have no lane, if it is much.
    spent: HashMap<u32, u64>,
    /// Bytes of memory that all items take, about.
    bytes: usize,
}

impl Schedule {
    /// Adds what came from a connection last.
    pub(crate) fn push(&mut self, slot: u32, item: Item) {
        self.bytes += item.bytes();
        if item.is_arrival() {
            // Who had its number before may owe something; all that it asked for is served.
            self.lanes.remove(&slot);
        }
        match self.is_calm() {
            true => self.arrived.push_back((slot, item)),
            false => self.push_to_lane(slot, item),
        }
    }

    /// Gives back the item that was handed out last, or what is left of it: its connection's next turn goes on with it.
    pub(crate) fn put_back(&mut self, slot: u32, item: Item) {
        self.bytes += item.bytes();
        self.served = Some((slot, Kind::Rest));
        match self.is_calm() {
            true => self.arrived.push_front((slot, item)),
            false => self.lane(slot).push_front(item),
        }
    }

    /// Begins a slice; one that `is_behind` hands out only what is quickly done.
    pub(crate) fn begin_slice(&mut self, is_behind: bool) {
        self.slice = Slice::new(is_behind);
        if is_behind {
            self.make_lanes();
        }
    }

    /// The next item, while the slice lasts. After that only what costs next to nothing, because it goes to the same
    /// receivers as what is `growing`.
    pub(crate) fn next(&mut self, growing: Option<Growing<'_>>) -> Option<(u32, Item)> {
        let (slot, item) = match self.is_calm() {
            true => {
                let (_, first) = self.arrived.front()?;
                if self.slice.is_over() && !self.slice.may_join(first, growing) {
                    return None;
                }
                self.arrived.pop_front()?
            }
            false => {
                let slot = self.next_lane(growing)?;
                (slot, self.take_from_lane(slot)?)
            }
        };
        self.bytes -= item.bytes();
        self.served = Some((slot, item.kind()));
        Some((slot, item))
    }

    /// Says what the last item has cost.
    pub(crate) fn charge(&mut self, cost: Cost) {
        self.slice.charge(cost);
        let Some((slot, kind)) = self.served else { return };
        if !cost.joined {
            self.typical.note(kind, cost.total());
        }
        match self.lanes.get_mut(&slot) {
            Some(lane) => {
                lane.charge(kind, cost);
                self.order.insert(slot, lane, &self.typical, self.virtual_time);
            }
            None if cost.total() >= MUCH => *self.spent.entry(slot).or_default() += cost.total(),
            None => {}
        }
    }

    /// Ends a slice: what is left over waits in lanes. Tells `hold` of every connection that is not to be read until its
    /// lane is empty, and `release` of those of which nothing waits any more.
    pub(crate) fn end_slice(&mut self, mut hold: impl FnMut(u32), mut release: impl FnMut(u32)) {
        if !self.arrived.is_empty() {
            self.make_lanes();
        }
        self.spent.clear();
        for slot in self.touched.drain(..) {
            match self.lanes.get_mut(&slot).and_then(Lane::update_hold) {
                Some(true) => hold(slot),
                Some(false) => release(slot),
                None => {}
            }
        }
        if self.order.is_empty() {
            // Nobody waits: what was owed is forgiven.
            self.lanes = HashMap::new();
            (self.virtual_time, self.touched) = (0, Vec::new());
        }
    }

    /// Whether slices have left something over of a connection.
    pub(crate) fn has_lane(&self, slot: u32) -> bool {
        self.lanes.get(&slot).is_some_and(|lane| !lane.is_empty())
    }

    /// Bytes of memory that all items take, about.
    #[cfg(feature = "simulation")]
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether nothing waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.arrived.is_empty() && self.order.is_empty()
    }

    /// Bytes to be read at once from one connection: less when much waits already, so that all that was read and not
    /// served stays bounded however many connections there are.
    pub(crate) fn read_limit(&self) -> usize {
        match self.bytes {
            ..MUCH_WAITS if self.is_calm() => usize::MAX,
            ..TOO_MUCH_WAITS => SHORT_READ,
            _ => SHORTEST_READ,
        }
    }

    fn is_calm(&self) -> bool {
        self.lanes.is_empty()
    }

    /// Moves what came into lanes.
    fn make_lanes(&mut self) {
        for (slot, item) in std::mem::take(&mut self.arrived) {
            self.push_to_lane(slot, item);
        }
    }

    fn push_to_lane(&mut self, slot: u32, item: Item) {
        self.lane(slot).push(item);
        let Self { lanes, order, typical, virtual_time, .. } = self;
        if let Some(lane) = lanes.get_mut(&slot) {
            order.insert(slot, lane, typical, *virtual_time);
        }
    }

    /// The lane of a connection, which is about to change.
    fn lane(&mut self, slot: u32) -> &mut Lane {
        let Self { lanes, spent, virtual_time, touched, .. } = self;
        touched.push(slot);
        lanes.entry(slot).or_insert_with(|| Lane::new(*virtual_time, spent.get(&slot).copied()))
    }

    fn next_lane(&mut self, growing: Option<Growing<'_>>) -> Option<u32> {
        if !self.slice.is_over() {
            return self.order.first(self.slice.is_behind());
        }
        // What joins costs the same from whatever lane it comes: the last one first, for its order.
        let may_join = |slot: &u32| {
            self.lanes.get(slot).and_then(Lane::first).is_some_and(|first| self.slice.may_join(first, growing))
        };
        let last = self.served.map(|(slot, _)| slot);
        last.filter(may_join).or_else(|| self.order.first(self.slice.is_behind()).filter(may_join))
    }

    fn take_from_lane(&mut self, slot: u32) -> Option<Item> {
        let lane = self.lanes.get_mut(&slot)?;
        self.order.remove(slot, lane);
        if !self.slice.is_over() {
            // What joins is served out of order, and says nothing about how far the others are.
            self.virtual_time = self.virtual_time.max(lane.begin());
        }
        self.touched.push(slot);
        lane.pop()
    }
}

/// Nanoseconds of work that are remembered of a connection whose requests were still served in order.
const MUCH: u64 = 100_000;

/// Bytes of items from which on a read is short, and the bytes of such a read.
const MUCH_WAITS: usize = 1024 * 1024;
const SHORT_READ: usize = 8 * 1024;

/// Bytes of items from which on a read is as short as can be, and the bytes of such a read.
const TOO_MUCH_WAITS: usize = 8 * 1024 * 1024;
const SHORTEST_READ: usize = 512;

#[cfg(test)]
mod tests;
