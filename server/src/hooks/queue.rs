//! The events that wait for one hook, numbered.

use super::hook::HookLimits;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

/// Events that wait, oldest first. Each event of the hook has a number, also one that is dropped, so that the receiver
/// sees from the numbers what is missing.
#[derive(Debug)]
pub(crate) struct EventQueue {
    limits: HookLimits,
    events: VecDeque<Numbered>,
    bytes: usize,
    last: u64,
}

/// An event with its number.
#[derive(Clone, Debug)]
pub(crate) struct Numbered {
    pub(crate) seq: u64,
    /// When it came.
    pub(crate) at: Instant,
    /// Its JSON without the first brace.
    body: Arc<str>,
}

impl EventQueue {
    pub(crate) fn new(limits: HookLimits) -> Self {
        Self { limits, events: VecDeque::new(), bytes: 0, last: 0 }
    }

    /// Other limits for what comes from now on.
    pub(crate) fn set_limits(&mut self, limits: HookLimits) {
        self.limits = limits;
    }

    /// Adds an event. Returns whether there was room.
    pub(crate) fn push(&mut self, at: Instant, body: &Arc<str>) -> bool {
        self.last += 1;
        let event = Numbered { seq: self.last, at, body: Arc::clone(body) };
        let has_room = self.events.len() < self.limits.events && self.bytes + event.size() <= self.limits.bytes;
        if has_room {
            self.bytes += event.size();
            self.events.push_back(event);
        }
        has_room
    }

    /// Counts events that are lost before they could be added.
    pub(crate) fn skip(&mut self, events: u64) {
        self.last += events;
    }

    /// Drops all events that came before this time. Returns how many.
    pub(crate) fn drop_before(&mut self, at: Instant) -> u64 {
        self.drop_while(|event| event.at < at)
    }

    /// Drops all events. Returns how many.
    pub(crate) fn drop_all(&mut self) -> u64 {
        self.drop_while(|_| true)
    }

    /// Whether the events that wait fill a batch.
    pub(crate) fn fills_a_batch(&self) -> bool {
        self.events.len() >= MAX_BATCH_EVENTS || self.bytes >= MAX_BATCH_BYTES
    }

    /// Takes the events of the next batch: at least one if there are any, at most [`MAX_BATCH_EVENTS`] and, with more than
    /// one, [`MAX_BATCH_BYTES`].
    pub(crate) fn take_batch(&mut self) -> Vec<Numbered> {
        let (mut batch, mut bytes) = (Vec::new(), 0);
        while batch.len() < MAX_BATCH_EVENTS
            && let Some(next) = self.events.front()
            && (batch.is_empty() || bytes + next.size() <= MAX_BATCH_BYTES)
        {
            bytes += next.size();
            self.bytes -= next.size();
            batch.extend(self.events.pop_front());
        }
        batch
    }

    /// When the oldest event came.
    pub(crate) fn oldest(&self) -> Option<Instant> {
        self.events.front().map(|event| event.at)
    }

    pub(crate) fn len(&self) -> usize {
        self.events.len()
    }

    fn drop_while(&mut self, is_dropped: impl Fn(&Numbered) -> bool) -> u64 {
        let mut dropped = 0;
        while let Some(event) = self.events.front().filter(|event| is_dropped(event)) {
            self.bytes -= event.size();
            dropped += 1;
            self.events.pop_front();
        }
        dropped
    }
}

impl Numbered {
    /// Appends it to the text of a batch.
    pub(crate) fn write(&self, text: &mut String) {
        let Self { seq, body, .. } = self;
        text.push_str("{\"seq\":");
        text.push_str(&seq.to_string());
        text.push(',');
        text.push_str(body);
    }

    /// Its bytes: its text, and what it takes in the queue and around the text.
    fn size(&self) -> usize {
        self.body.len() + OVERHEAD_BYTES
    }
}

/// Bytes that each event takes beside its text.
const OVERHEAD_BYTES: usize = 64;

/// Most events of a batch.
pub(crate) const MAX_BATCH_EVENTS: usize = 100;

/// Most bytes of the events of a batch: a batch has at most 256 KiB.
const MAX_BATCH_BYTES: usize = 255 * 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn seqs(events: &[Numbered]) -> Vec<u64> {
        events.iter().map(|event| event.seq).collect()
    }

    #[test]
    fn what_has_no_room_is_dropped_and_has_a_number() {
        let now = Instant::now();
        for limits in [
            HookLimits { events: 3, ..HookLimits::default() },
            HookLimits { bytes: 3 * (OVERHEAD_BYTES + 10), ..HookLimits::default() },
        ] {
            let (mut queue, body) = (EventQueue::new(limits), Arc::from("0123456789"));
            let taken: Vec<_> = (0..5).map(|_| queue.push(now, &body)).collect();
            assert_eq!(taken, [true, true, true, false, false]);
            assert_eq!(seqs(&queue.take_batch()), [1, 2, 3]);
            queue.skip(10);
            assert!(queue.push(now, &body));
            assert_eq!(seqs(&queue.take_batch()), [16]);
            assert_eq!((queue.len(), queue.bytes), (0, 0));
        }
    }

    #[test]
    fn a_batch_has_at_most_a_hundred_events_and_256_kib() {
        let (now, mut queue) = (Instant::now(), EventQueue::new(HookLimits::default()));
        (0..250).for_each(|_| assert!(queue.push(now, &"}".into())));
        assert!(queue.fills_a_batch());
        let lengths: Vec<_> = (0..4).map(|_| queue.take_batch().len()).collect();
        assert_eq!(lengths, [100, 100, 50, 0]);
        let large: Arc<str> = "x".repeat(100 * 1024).into();
        (0..3).for_each(|_| assert!(queue.push(now, &large)));
        assert!(queue.push(now, &"x".repeat(300 * 1024).into()), "larger than a batch");
        let lengths: Vec<_> = (0..4).map(|_| queue.take_batch().len()).collect();
        assert_eq!(lengths, [2, 1, 1, 0]);
    }

    #[test]
    fn old_events_are_dropped() {
        let (start, mut queue) = (Instant::now(), EventQueue::new(HookLimits::default()));
        let after = |seconds| start + Duration::from_secs(seconds);
        (0..10).for_each(|second| assert!(queue.push(after(second), &"}".into())));
        assert_eq!(queue.drop_before(after(4)), 4);
        assert_eq!((queue.oldest(), queue.len()), (Some(after(4)), 6));
        assert_eq!((queue.drop_all(), queue.len(), queue.bytes), (6, 0, 0));
    }
}
