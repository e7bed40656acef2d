//! The bounded queue between the client and one subscription.

mod lost;
mod size;

pub(crate) use size::{QueueBounds, QueueTotal};

use crate::machine::Delivery;
use lost::Lost;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

/// The deliveries that wait for one reader, bounded in number and in bytes. When there is no room, the oldest are
/// dropped, and a gap says what was lost. So a reader that does not read costs bounded memory and delays no other
/// reader.
#[derive(Debug)]
pub(crate) struct Inbox {
    inner: Mutex<Inner>,
    /// The bytes of all queues of the client.
    total: Arc<QueueTotal>,
}

#[derive(Debug)]
struct Inner {
    waiting: VecDeque<Delivery>,
    /// The size of everything in `waiting`.
    bytes: usize,
    bounds: QueueBounds,
    /// What was dropped since the reader last polled. All of it is older than `waiting`.
    lost: Lost,
    reader: Option<Waker>,
}

impl Inbox {
    pub(crate) fn new(bounds: QueueBounds, total: Arc<QueueTotal>) -> Self {
        let (waiting, lost) = (VecDeque::new(), Lost::new(bounds));
        Self { inner: Mutex::new(Inner { waiting, bytes: 0, bounds, lost, reader: None }), total }
    }

    pub(crate) fn bounds(&self) -> QueueBounds {
        self.lock().bounds
    }

    pub(crate) fn push(&self, delivery: Delivery) {
        let mut inner = self.lock();
        let before = inner.bytes;
        inner.push(delivery);
        self.total.change(before, inner.bytes);
        let reader = inner.reader.take();
        drop(inner);
        if let Some(reader) = reader {
            reader.wake();
        }
    }

    pub(crate) fn poll(&self, context: &mut Context<'_>) -> Poll<Delivery> {
        let mut inner = self.lock();
        if let Some(lost) = inner.lost.next() {
            return Poll::Ready(lost);
        }
        let before = inner.bytes;
        let Some(delivery) = inner.pop() else {
            inner.reader = Some(context.waker().clone());
            return Poll::Pending;
        };
        self.total.change(before, inner.bytes);
        Poll::Ready(delivery)
    }

    /// The size of what waits, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        self.lock().bytes
    }

    /// Drops the older half of what waits, because all queues of the client together have too much.
    pub(crate) fn drop_half(&self) {
        let mut inner = self.lock();
        let before = inner.bytes;
        inner.shrink_to(before / 2);
        self.total.change(before, inner.bytes);
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // A poisoned lock is safe to use: every change is complete before anything could panic.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Inbox {
    fn drop(&mut self) {
        let bytes = self.lock().bytes;
        self.total.change(bytes, 0);
    }
}

impl Inner {
    fn push(&mut self, delivery: Delivery) {
        let size = size::of(&delivery);
        // The next delivery may be as large. It is in memory twice before it is here: as it was read, and decoded.
        let with_the_next = size.saturating_mul(3);
        let is_for_a_waiting_reader = self.waiting.is_empty() && self.reader.is_some();
        if with_the_next > self.bounds.bytes && !is_for_a_waiting_reader && !matches!(delivery, Delivery::Ended(_)) {
            return self.push_as_lost(delivery);
        }
        while self.waiting.len() >= self.bounds.items && self.drop_oldest() {}
        self.shrink_to(self.bounds.bytes.saturating_sub(with_the_next));
        self.bytes += size;
        self.waiting.push_back(delivery);
    }

    /// Puts a gap into the queue in place of a delivery that is too large for it.
    fn push_as_lost(&mut self, delivery: Delivery) {
        let Some(gap) = lost::gap_of(delivery) else { return };
        let joined = match self.waiting.back_mut() {
            Some(Delivery::Gap(last)) => lost::join_adjacent(last, &gap),
            _ => false,
        };
        if !joined {
            let gap = Delivery::Gap(gap);
            match size::of(&gap).saturating_mul(3) > self.bounds.bytes {
                // Not even the gap has room, so everything before it is given up too.
                true => {
                    self.shrink_to(0);
                    self.lost.add(gap);
                }
                false => self.push(gap),
            }
        }
    }

    fn pop(&mut self) -> Option<Delivery> {
        let delivery = self.waiting.pop_front()?;
        self.bytes -= size::of(&delivery);
        if self.waiting.is_empty() {
            // An emptied queue gives back the room of a burst.
            self.waiting.shrink_to(MIN_ROOM);
        }
        Some(delivery)
    }

    fn shrink_to(&mut self, bytes: usize) {
        while self.bytes > bytes && self.drop_oldest() {}
    }

    /// Drops the oldest delivery; `false` if there is none.
    fn drop_oldest(&mut self) -> bool {
        let Some(oldest) = self.pop() else { return false };
        self.lost.add(oldest);
        true
    }
}

/// The deliveries for which an empty queue keeps room.
const MIN_ROOM: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::{Gap, GapReason, Resumed};
    use hubcast_protocol::event::{Member, Message, Present};
    use hubcast_protocol::{ClientId, Position};
    use proptest::collection::vec;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn inbox(items: usize, bytes: usize) -> Inbox {
        Inbox::new(QueueBounds { items, bytes }, Arc::new(QueueTotal::new(usize::MAX)))
    }

    fn message(topic: &str, offset: u64, size: usize) -> Delivery {
        let epoch = Some("e".parse().unwrap());
        let payload = "x".repeat(size).as_str().into();
        Delivery::Message(Message::new(topic.into(), epoch.map(|epoch| Position { epoch, offset }), payload).into())
    }

    fn drain(inbox: &Inbox) -> Vec<Delivery> {
        let mut context = Context::from_waker(Waker::noop());
        std::iter::from_fn(|| match inbox.poll(&mut context) {
            Poll::Ready(delivery) => Some(delivery),
            Poll::Pending => None,
        })
        .collect()
    }

    fn told(inbox: &Inbox) -> Vec<String> {
        let tell = |delivery| match delivery {
            Delivery::Message(message) => format!("{} {}", message.topic, message.offset.unwrap()),
            Delivery::Gap(Gap { topic: Some(topic), from: Some(from), to: Some(to), .. }) => {
                format!("{topic} lost {from} to {to}")
            }
            Delivery::Gap(Gap { topic, reason, .. }) => format!("{topic:?} lost, {reason:?}"),
            other => format!("{other:?}"),
        };
        drain(inbox).into_iter().map(tell).collect()
    }

    #[test]
    fn the_oldest_gives_way_and_a_gap_says_what_was_lost() {
        let inbox = inbox(2, usize::MAX);
        (1..=5).for_each(|offset| inbox.push(message("a", offset, 1)));
        assert_eq!(told(&inbox), ["a lost 1 to 3", "a 4", "a 5"]);
        (6..=7).for_each(|offset| inbox.push(message("a", offset, 1)));
        assert_eq!(told(&inbox), ["a 6", "a 7"]);
    }

    #[test]
    fn every_topic_of_a_pattern_has_its_own_gap() {
        let inbox = inbox(1, usize::MAX);
        for (topic, offset) in [("a", 1), ("b", 7), ("a", 2), ("b", 8), ("b", 9)] {
            inbox.push(message(topic, offset, 1));
        }
        assert_eq!(told(&inbox), ["a lost 1 to 2", "b lost 7 to 8", "b 9"]);
    }

    #[test]
    fn that_the_connection_came_back_is_never_lost() {
        let inbox = inbox(1, usize::MAX);
        for (recovered, offset) in [(true, 1), (false, 2)] {
            inbox.push(Delivery::Resumed(Resumed { recovered, replayed: 1, position: None }));
            inbox.push(message("a", offset, 1));
        }
        let resumed = Delivery::Resumed(Resumed { recovered: false, replayed: 2, position: None });
        assert_eq!(told(&inbox), [format!("{resumed:?}"), "a lost 1 to 1".to_owned(), "a 2".to_owned()]);
    }

    #[test]
    fn what_is_lost_is_bounded_too() {
        let inbox = inbox(1, usize::MAX);
        (0..10_000).for_each(|topic| inbox.push(message(&format!("t{topic}"), 1, 1)));
        assert_eq!(told(&inbox), ["None lost, SlowReader", "t9999 1"]);
    }

    #[test]
    fn lost_joins_are_no_lost_publications() {
        let inbox = inbox(1, usize::MAX);
        let member = Member::new("a".into(), Present::new(ClientId::from_random([1; 16])));
        inbox.push(Delivery::Joined(member.clone()));
        inbox.push(Delivery::Left(member));
        inbox.push(message("a", 1, 1));
        assert_eq!(told(&inbox), [r#"Some("a") lost, MissedPresence"#, "a 1"]);
    }

    #[test]
    fn a_message_larger_than_the_queue_reaches_only_a_reader_that_waits() {
        let inbox = inbox(100, 10_000);
        inbox.push(message("a", 1, 1));
        (2..=4).for_each(|offset| inbox.push(message("a", offset, 20_000)));
        inbox.push(message("a", 5, 1));
        assert_eq!(told(&inbox), ["a 1", "a lost 2 to 4", "a 5"]);
        // `told` has waited for the next one.
        inbox.push(message("a", 6, 20_000));
        assert_eq!(told(&inbox), ["a 6"]);
    }

    #[test]
    fn a_total_counts_what_waits_in_every_queue() {
        let total = Arc::new(QueueTotal::new(10_000));
        let bounds = QueueBounds { items: 100, bytes: usize::MAX };
        let (one, other) = (Inbox::new(bounds, total.clone()), Inbox::new(bounds, total.clone()));
        one.push(message("a", 1, 6_000));
        assert!(!total.is_exceeded());
        other.push(message("a", 1, 6_000));
        assert!(total.is_exceeded());
        drop(one);
        assert!(!total.is_exceeded());
        drain(&other);
        assert_eq!(total.bytes(), 0);
    }

    proptest! {
        /// Every publication is delivered or within a gap of its topic, in order, and the queue stays within its bounds.
        #[test]
        fn what_is_not_delivered_is_within_a_gap(
            items in 1_usize..6,
            bytes in 16_000_usize..40_000,
            steps in vec((0_usize..3, 0_usize..15_000, any::<bool>()), 1..60),
        ) {
            let inbox = inbox(items, bytes);
            let topics = ["a", "b", "c"];
            let (mut pushed, mut reached) = (BTreeMap::<&str, u64>::new(), BTreeMap::<String, u64>::new());
            for (topic, size, reads) in steps {
                let offset = pushed.entry(topics[topic]).or_default();
                *offset += 1;
                inbox.push(message(topics[topic], *offset, size));
                prop_assert!(inbox.bytes() <= bytes || inbox.lock().waiting.len() == 1);
                prop_assert!(inbox.lock().waiting.len() <= items);
                if reads {
                    read(&inbox, &pushed, &mut reached)?;
                }
            }
            read(&inbox, &pushed, &mut reached)?;
            for (topic, last) in pushed {
                prop_assert_eq!(reached.get(topic), Some(&last));
            }
        }
    }

    /// Takes all items; `reached` is the offset up to which each topic was delivered or reported.
    fn read(
        inbox: &Inbox,
        pushed: &BTreeMap<&str, u64>,
        reached: &mut BTreeMap<String, u64>,
    ) -> Result<(), TestCaseError> {
        for delivery in drain(inbox) {
            let (topic, from, to) = match delivery {
                Delivery::Message(message) => (message.topic.clone(), message.offset, message.offset),
                Delivery::Gap(Gap {
                    topic: Some(topic), from, to, position, reason: GapReason::SlowReader, ..
                }) => {
                    prop_assert_eq!(position.map(|Position { offset, .. }| offset), to);
                    (topic, from, to)
                }
                other => return Err(TestCaseError::fail(format!("{other:?}"))),
            };
            let last = reached.entry(topic.to_string()).or_default();
            prop_assert_eq!(from, Some(*last + 1), "{}", topic);
            *last = to.unwrap();
            prop_assert!(*last <= pushed[topic.as_str()]);
        }
        Ok(())
    }
}
