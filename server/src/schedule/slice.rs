//! Slices: how much work one turn may hand to the hub.

use super::Item;
use hubcast_hub::Input;
use hubcast_protocol::Topic;
use hubcast_protocol::request::Action;

/// The work that one item has caused, in nanoseconds, counted and not measured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Cost {
    /// Work under the hub's lock.
    pub(crate) hub: u64,
    /// Work to carry out what follows.
    pub(crate) delivery: u64,
    /// Whether it was joined to what came before, for the same receivers. Then it cost no visit to any of them.
    pub(crate) joined: bool,
}

/// The broadcast to which publications to the same receivers may still be joined.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Growing<'a> {
    pub(crate) topic: &'a Topic,
    /// Bytes that can still be joined to it.
    pub(crate) room: usize,
}

/// The work that a slice has left.
#[derive(Debug, Default)]
pub(super) struct Slice {
    is_behind: bool,
    hub: u64,
    delivery: u64,
    joined: u64,
}

impl Cost {
    pub(crate) fn total(self) -> u64 {
        self.hub.saturating_add(self.delivery)
    }
}

impl Slice {
    pub(super) fn new(is_behind: bool) -> Self {
        Self { is_behind, hub: HUB_BUDGET_NS, delivery: DELIVERY_BUDGET_NS, joined: JOINED_BUDGET_NS }
    }

    /// Whether only items that are quickly done may be handed out.
    pub(super) fn is_behind(&self) -> bool {
        self.is_behind
    }

    pub(super) fn is_over(&self) -> bool {
        self.hub == 0 || self.delivery == 0
    }

    /// Whether an item may be handed out after the end of the slice.
    pub(super) fn may_join(&self, item: &Item, growing: Option<Growing<'_>>) -> bool {
        let (Item::Input(Input::Request { request: Ok(request), .. }), Some(growing)) = (item, growing) else {
            return false;
        };
        self.joined > 0
            && matches!(&request.action, Action::Publish(publish)
                if publish.topic == *growing.topic && publish.payload.as_plain().len() <= growing.room)
    }

    pub(super) fn charge(&mut self, cost: Cost) {
        if self.is_over() {
            self.joined = self.joined.saturating_sub(cost.total());
        }
        self.hub = self.hub.saturating_sub(cost.hub);
        self.delivery = self.delivery.saturating_sub(cost.delivery);
    }
}

/// Nanoseconds of work under the hub's lock: two thousand publications to a few receivers each, which is more than one
/// read contains.
const HUB_BUDGET_NS: u64 = 1_000_000;

/// Nanoseconds of writing to receivers: some two thousand visits. One item is always carried out completely.
const DELIVERY_BUDGET_NS: u64 = 20_000_000;

/// Nanoseconds of work that may be joined to a broadcast after the end of the slice.
const JOINED_BUDGET_NS: u64 = 10_000_000;

/// Nanoseconds that it takes to write to one receiver, about. Most of it is spent in the system.
pub(crate) const VISIT_NS: u64 = 9_000;

/// Bytes that are written to one receiver in a nanosecond, about.
pub(crate) const BYTES_PER_NS: u64 = 4;
