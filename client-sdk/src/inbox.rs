//! The bounded queue between the client and one subscription.

use crate::machine::{Delivery, Gap, GapReason, Resumed};
use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

/// The deliveries that wait for one reader, at most `capacity`. When it is full, the oldest is dropped, and a gap says
/// what was lost. So a reader that does not read costs bounded memory and delays no other reader.
#[derive(Debug)]
pub(crate) struct Inbox {
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    waiting: VecDeque<Delivery>,
    capacity: usize,
    /// What was dropped since the reader last polled, at most one gap for each topic. All of it is older than
    /// `waiting`.
    lost: VecDeque<Gap>,
    /// The dropped `Resumed` events, joined into one.
    resumed: Option<Resumed>,
    reader: Option<Waker>,
}

impl Inbox {
    pub(crate) fn new(capacity: usize) -> Self {
        let (waiting, lost) = (VecDeque::new(), VecDeque::new());
        Self { inner: Mutex::new(Inner { waiting, capacity: capacity.max(1), lost, resumed: None, reader: None }) }
    }

    /// The most deliveries that wait, at least one.
    pub(crate) fn capacity(&self) -> usize {
        self.lock().capacity
    }

    pub(crate) fn push(&self, delivery: Delivery) {
        let mut inner = self.lock();
        if inner.waiting.len() >= inner.capacity
            && let Some(oldest) = inner.waiting.pop_front()
        {
            inner.lose(oldest);
        }
        inner.waiting.push_back(delivery);
        let reader = inner.reader.take();
        drop(inner);
        if let Some(reader) = reader {
            reader.wake();
        }
    }

    pub(crate) fn poll(&self, context: &mut Context<'_>) -> Poll<Delivery> {
        let mut inner = self.lock();
        if let Some(resumed) = inner.resumed.take() {
            return Poll::Ready(Delivery::Resumed(resumed));
        }
        if let Some(gap) = inner.lost.pop_front() {
            return Poll::Ready(Delivery::Gap(gap));
        }
        match inner.waiting.pop_front() {
            Some(delivery) => Poll::Ready(delivery),
            None => {
                inner.reader = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // A poisoned lock is safe to use: every change is complete before anything could panic.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn lose(&mut self, delivery: Delivery) {
        let unknown = |topic| Gap { topic, epoch: None, from: None, to: None, reason: GapReason::SlowReader };
        let gap = match delivery {
            Delivery::Message(message) => Gap {
                epoch: message.epoch,
                from: message.offset,
                to: message.offset,
                ..unknown(Some(message.topic.clone()))
            },
            Delivery::Gap(gap) => Gap { reason: GapReason::SlowReader, ..gap },
            Delivery::Joined(member) | Delivery::Left(member) => unknown(Some(member.topic)),
            Delivery::Resumed(resumed) => {
                let before = self.resumed.unwrap_or(Resumed { recovered: true, replayed: 0 });
                let recovered = before.recovered && resumed.recovered;
                let replayed = before.replayed.saturating_add(resumed.replayed);
                self.resumed = Some(Resumed { recovered, replayed });
                return;
            }
            Delivery::Ended(_) => return,
        };
        let known = self.lost.iter().position(|lost| lost.topic.is_none() || lost.topic == gap.topic);
        let Some(known) = known else {
            if self.lost.len() == MOST_TOPICS {
                self.lost.clear();
                return self.lost.push_back(unknown(None));
            }
            return self.lost.push_back(gap);
        };
        let lost = &mut self.lost[known];
        match (lost.from.zip(lost.to), gap.from.zip(gap.to)) {
            (Some((from, _)), Some((_, to))) if lost.epoch == gap.epoch => {
                (lost.from, lost.to) = (Some(from), Some(to));
            }
            _ => *lost = unknown(lost.topic.clone()),
        }
    }
}

/// The most topics with a gap of their own. Beyond that, one gap without a topic stands for all.
const MOST_TOPICS: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;
    use hubcast_protocol::event::Message;

    fn message(topic: &str, offset: u64) -> Delivery {
        let epoch = Some("e".parse().unwrap());
        Delivery::Message(Message { topic: topic.into(), epoch, offset: Some(offset), payload: "".into() }.into())
    }

    fn drain(inbox: &Inbox) -> Vec<String> {
        let mut context = Context::from_waker(Waker::noop());
        let mut heard = Vec::new();
        while let Poll::Ready(delivery) = inbox.poll(&mut context) {
            heard.push(match delivery {
                Delivery::Message(message) => format!("{} {}", message.topic, message.offset.unwrap()),
                Delivery::Gap(Gap { topic: Some(topic), from: Some(from), to: Some(to), .. }) => {
                    format!("{topic} lost {from} to {to}")
                }
                other => format!("{other:?}"),
            });
        }
        heard
    }

    #[test]
    fn the_oldest_gives_way_and_a_gap_says_what_was_lost() {
        let inbox = Inbox::new(2);
        (1..=5).for_each(|offset| inbox.push(message("a", offset)));
        assert_eq!(drain(&inbox), ["a lost 1 to 3", "a 4", "a 5"]);
        (6..=7).for_each(|offset| inbox.push(message("a", offset)));
        assert_eq!(drain(&inbox), ["a 6", "a 7"]);
    }

    #[test]
    fn every_topic_of_a_pattern_has_its_own_gap() {
        let inbox = Inbox::new(1);
        for (topic, offset) in [("a", 1), ("b", 7), ("a", 2), ("b", 8), ("b", 9)] {
            inbox.push(message(topic, offset));
        }
        assert_eq!(drain(&inbox), ["a lost 1 to 2", "b lost 7 to 8", "b 9"]);
    }

    #[test]
    fn that_the_connection_came_back_is_never_lost() {
        let inbox = Inbox::new(1);
        for (recovered, offset) in [(true, 1), (false, 2)] {
            inbox.push(Delivery::Resumed(Resumed { recovered, replayed: 1 }));
            inbox.push(message("a", offset));
        }
        let resumed = Delivery::Resumed(Resumed { recovered: false, replayed: 2 });
        assert_eq!(drain(&inbox), [format!("{resumed:?}"), "a lost 1 to 1".to_owned(), "a 2".to_owned()]);
    }

    #[test]
    fn what_is_lost_is_bounded_too() {
        let inbox = Inbox::new(1);
        (0..10_000).for_each(|topic| inbox.push(message(&format!("t{topic}"), 1)));
        let heard = drain(&inbox);
        assert_eq!(heard.len(), 2);
        assert!(heard[0].contains("topic: None"), "{heard:?}");
    }
}
