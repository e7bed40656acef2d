//! How much work one turn may hand to the hub.

use super::Item;
use hubcast_hub::Input;
use hubcast_protocol::Topic;
use hubcast_protocol::request::Action;

/// What one item has caused, in nanoseconds, counted and not measured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Cost {
    /// Under the hub's lock.
    pub(crate) hub: u64,
    /// Of carrying out what follows.
    pub(crate) delivery: u64,
    /// Whether it went to the same receivers as what came before, so that it cost no visit to any of them.
    pub(crate) joined: bool,
}

/// A publication to which others may be joined that go to the same receivers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Growing<'a> {
    pub(crate) topic: &'a Topic,
    /// Bytes for which there is room.
    pub(crate) room: usize,
}

/// What is left of a slice.
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
        Self { is_behind, hub: HUB, delivery: DELIVERY, joined: JOINED }
    }

    /// Whether only what is quickly done may be handed out.
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

/// Nanoseconds for which the hub's lock is held: two thousand publications to a few receivers each, which is more than a
/// whole read holds.
const HUB: u64 = 1_000_000;

/// Nanoseconds of writing to receivers: some two thousand visits. One item always completes.
const DELIVERY: u64 = 20_000_000;

/// Nanoseconds of work that may join what goes out anyway.
const JOINED: u64 = 10_000_000;

/// Nanoseconds that it takes to write to one receiver, about: most of it is the system's.
pub(crate) const VISIT_NS: u64 = 9_000;

/// Bytes that are written to a receiver in a nanosecond, about.
pub(crate) const BYTES_PER_NS: u64 = 4;
