//! The schedule: whose request the hub gets next.
//!
//! While everything that came fits into one slice, requests go to the hub in the order in which they came. What a
//! slice leaves over goes into lanes, one for each connection. The next lane is the one whose first request would end
//! first if all lanes were served at the same time: self-clocked fair queueing (Golestani, "A self-clocked fair
//! queueing scheme for broadband applications", INFOCOM 1994). So a connection that causes much work waits, and one
//! that asks for little goes before it. Time here is work, counted in nanoseconds and never measured.

mod item;
mod lane;
mod slice;

pub(crate) use item::Item;
pub(crate) use slice::{BYTES_PER_NS, Cost, Growing, VISIT_NS};

use item::{Kind, Typical};
use lane::{Lane, Order};
use slice::Slice;
use std::collections::{HashMap, VecDeque};

/// All items of one worker's connections that wait for the hub.
#[derive(Debug, Default)]
pub(crate) struct Schedule {
    /// Items in the order in which they came; empty while there are lanes.
    arrived: VecDeque<(u32, Item)>,
    lanes: HashMap<u32, Lane>,
    /// The lanes in which something waits.
    order: Order,
    /// The virtual time: when the last item handed out would have begun, if all lanes were served at the same time.
    virtual_time: u64,
    slice: Slice,
    /// The connection of the last item handed out, and the kind of that item.
    served: Option<(u32, Kind)>,
    /// Recent costs of items of each kind.
    typical: Typical,
    /// Connections whose lanes have changed in this slice.
    touched: Vec<u32>,
    /// Nanoseconds that connections without a lane spent in this slice, counted only for items that cost `MUCH_NS` or
    /// more.
    spent: HashMap<u32, u64>,
    /// Bytes of memory that all items take, about.
    bytes: usize,
}

impl Schedule {
    /// Adds the newest item of a connection.
    pub(crate) fn push(&mut self, slot: u32, item: Item) {
        self.bytes += item.bytes();
        if item.is_arrival() {
            // The slot's previous connection is gone and all its requests are served, but its lane may still be there,
            // empty, with a debt: it was served before others. The new connection must not pay for that.
            self.lanes.remove(&slot);
        }
        match self.is_calm() {
            true => self.arrived.push_back((slot, item)),
            false => self.push_to_lane(slot, item),
        }
    }

    /// Takes back the item that was handed out last, or what is left of it. It is the next item of its connection.
    pub(crate) fn put_back(&mut self, slot: u32, item: Item) {
        self.bytes += item.bytes();
        self.served = Some((slot, Kind::Rest));
        match self.is_calm() {
            true => self.arrived.push_front((slot, item)),
            false => self.lane(slot).push_front(item),
        }
    }

    /// Begins a slice. A worker that `is_behind` with writing gets only items that are quickly done.
    pub(crate) fn begin_slice(&mut self, is_behind: bool) {
        self.slice = Slice::new(is_behind);
        if is_behind {
            self.make_lanes();
        }
    }

    /// The next item, while the slice lasts. After that only publications that cost next to nothing, because they can
    /// be joined to the broadcast that is `growing`: the last one of the turn, to the same receivers.
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

    /// Notes what the last item has cost.
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
            None if cost.total() >= MUCH_NS => *self.spent.entry(slot).or_default() += cost.total(),
            None => {}
        }
    }

    /// Ends a slice: what is left over waits in lanes. Calls `hold` for each connection that is not to be read until
    /// its lane is empty, and `release` for each one that has nothing waiting any more.
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
            // Nothing waits, so all debts are dropped.
            self.lanes = HashMap::new();
            (self.virtual_time, self.touched) = (0, Vec::new());
        }
    }

    /// Whether slices have left any item of a connection over.
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

    /// Bytes that one read of a connection may take. Less when much waits already, so that what was read and not
    /// served stays bounded, however many connections there are.
    pub(crate) fn read_limit(&self) -> usize {
        match self.bytes {
            ..MUCH_WAITS if self.is_calm() => usize::MAX,
            ..TOO_MUCH_WAITS_BYTES => SHORT_READ_BYTES,
            _ => SHORTEST_READ_BYTES,
        }
    }

    fn is_calm(&self) -> bool {
        self.lanes.is_empty()
    }

    /// Moves all items that came into lanes.
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

    /// The lane of a connection, which is made if there is none. The caller changes it.
    fn lane(&mut self, slot: u32) -> &mut Lane {
        let Self { lanes, spent, virtual_time, touched, .. } = self;
        touched.push(slot);
        lanes.entry(slot).or_insert_with(|| Lane::new(*virtual_time, spent.get(&slot).copied()))
    }

    fn next_lane(&mut self, growing: Option<Growing<'_>>) -> Option<u32> {
        if !self.slice.is_over() {
            return self.order.first(self.slice.is_behind());
        }
        // An item that can be joined costs the same from every lane. The lane that was served last goes first, so that
        // it is served in its order.
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
            // A joined item is served out of order, so it says nothing about how far the other lanes are.
            self.virtual_time = self.virtual_time.max(lane.begin());
        }
        self.touched.push(slot);
        lane.pop()
    }
}

/// Nanoseconds of work from which on a cost is remembered for a connection that has no lane yet.
const MUCH_NS: u64 = 100_000;

/// Bytes of waiting items from which on reads are short, and the bytes of a short read.
const MUCH_WAITS: usize = 1024 * 1024;
const SHORT_READ_BYTES: usize = 8 * 1024;

/// Bytes of waiting items from which on reads are as short as possible, and the bytes of such a read.
const TOO_MUCH_WAITS_BYTES: usize = 8 * 1024 * 1024;
const SHORTEST_READ_BYTES: usize = 512;

#[cfg(test)]
mod tests;
