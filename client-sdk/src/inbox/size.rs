//! The size of what waits in a queue, and the bounds of it.

use crate::machine::Delivery;
use hubcast_protocol::event::{Member, Message, Present};
use hubcast_protocol::{Payload, Topic};
use std::sync::atomic::{AtomicUsize, Ordering};

/// The bounds of one queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct QueueBounds {
    /// The most items.
    pub(crate) items: usize,
    /// The most bytes, as [`of`] counts them.
    pub(crate) bytes: usize,
}

/// The bytes that wait in all queues of a client, and the bound of that.
#[derive(Debug)]
pub(crate) struct QueueTotal {
    bytes: AtomicUsize,
    most: usize,
}

impl QueueTotal {
    pub(crate) fn new(most: usize) -> Self {
        Self { bytes: AtomicUsize::new(0), most }
    }

    /// One queue had `before` bytes and now has `after`.
    pub(crate) fn change(&self, before: usize, after: usize) {
        // Wraps around where a queue has shrunk, and comes out right.
        self.bytes.fetch_add(after.wrapping_sub(before), Ordering::Relaxed);
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    pub(crate) fn is_exceeded(&self) -> bool {
        self.bytes() > self.most
    }

    /// Whether there is room again for an eighth of the bound.
    pub(crate) fn has_room(&self) -> bool {
        self.bytes() <= self.most - self.most / 8
    }
}

/// The memory of a delivery while it waits, in bytes. A message that several queues share counts fully in each.
pub(super) fn of(delivery: &Delivery) -> usize {
    SLOT + match delivery {
        Delivery::Message(message) => {
            SHARED + size_of::<Message>() + of_topic(&message.topic) + of_payload(&message.payload)
        }
        Delivery::Gap(gap) => gap.topic.as_ref().map_or(0, of_topic),
        Delivery::Joined(member) | Delivery::Left(member) => of_member(member),
        Delivery::Presence(Ok(presence)) => presence.clients.iter().map(of_present).sum(),
        Delivery::Presence(Err(_)) | Delivery::Resumed(_) | Delivery::Ended(_) => 0,
    }
}

fn of_member(member: &Member) -> usize {
    let user = member.user.as_ref().map_or(0, |user| ALLOCATION + user.len());
    of_topic(&member.topic) + user + member.info.as_ref().map_or(0, of_payload)
}

fn of_present(present: &Present) -> usize {
    let user = present.user.as_ref().map_or(0, |user| ALLOCATION + user.len());
    size_of::<Present>() + user + present.info.as_ref().map_or(0, of_payload)
}

fn of_topic(topic: &Topic) -> usize {
    SHARED + topic.as_str().len()
}

fn of_payload(payload: &Payload) -> usize {
    ALLOCATION
        + match payload {
            Payload::Text(text) => text.len(),
            Payload::Json(json) => json.get().len(),
        }
}

/// A slot of the queue. A queue that grows has room for up to twice as many slots as are used.
const SLOT: usize = 2 * size_of::<Delivery>();

/// What an allocator takes beside the bytes that were asked for: its own header, and rounding up to 16 bytes.
const ALLOCATION: usize = 24;

/// The same for a shared value, which has two counters.
const SHARED: usize = ALLOCATION + 2 * size_of::<usize>();
