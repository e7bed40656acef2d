//! The window of the last numbers of one producer.

use crate::engine::Outcome;
use hubcast_protocol::request::PRODUCER_WINDOW;
use hubcast_protocol::{ErrorCode, ErrorReply, Position, Topic};
use std::collections::VecDeque;
use std::time::Instant;

/// The outcomes of the last `MOST` numbers of a producer. Each number expires at its own time.
///
/// A number is remembered, or too low, or new. It is too low if it is not above the highest number that was pushed out,
/// or if the window is full and all numbers in it are higher. A number that is too low may have taken effect, so it is
/// refused. Expired numbers are forgotten as if they had never been used.
#[derive(Debug, Default)]
pub(super) struct Window<const MOST: usize = PRODUCER_WINDOW> {
    /// In rising order. The first one has not expired, as of the last call of `find`.
    entries: VecDeque<NumberEntry>,
    /// The highest number that was pushed out.
    floor: u64,
}

/// One number. There are millions of these in memory, so it is small.
#[derive(Clone, Copy, Debug)]
struct NumberEntry {
    sequence: u64,
    until: Instant,
    position: Option<Position>,
    receivers: u32,
    topic: u32,
}

/// One number with its outcome, as it is inserted and saved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Number {
    pub(super) sequence: u64,
    /// The hash of the topic's name: see [`mark`].
    pub(super) topic: u32,
    pub(super) outcome: Outcome,
    pub(super) until: Instant,
}

impl<const MOST: usize> Window<MOST> {
    /// Makes a window from what was saved. The numbers must be in rising order.
    pub(super) fn restored(floor: u64, numbers: impl IntoIterator<Item = Number>) -> Self {
        let mut window = Self { entries: VecDeque::new(), floor };
        numbers.into_iter().for_each(|number| window.insert(number));
        window
    }

    /// Returns the outcome of the publication with this number; `None`: the number is new.
    ///
    /// # Errors
    /// When the number is too low, and when it was used with another topic.
    pub(super) fn find(&mut self, now: Instant, topic: &Topic, sequence: u64) -> Result<Option<Outcome>, ErrorReply> {
        self.tidy(now);
        if self.is_too_low(sequence) {
            return Err(ErrorReply::new(ErrorCode::SequenceTooOld, TOO_LOW));
        }
        let Ok(place) = self.place(sequence) else { return Ok(None) };
        let entry = &self.entries[place];
        if entry.until <= now {
            Ok(None)
        } else if entry.topic == mark(topic) {
            Ok(Some(entry.outcome()))
        } else {
            Err(ErrorReply::new(ErrorCode::InvalidRequest, "this sequence was used with another topic"))
        }
    }

    /// Inserts a number that was new.
    pub(super) fn insert(&mut self, number: Number) {
        let Number { sequence, topic, outcome: Outcome { position, receivers }, until } = number;
        let receivers = u32::try_from(receivers).unwrap_or(u32::MAX);
        let entry = NumberEntry { sequence, until, position, receivers, topic };
        match self.place(sequence) {
            Ok(place) => self.entries[place] = entry,
            Err(_) if self.is_too_low(sequence) => {}
            Err(place) if self.entries.len() == MOST => {
                self.push_out(1);
                self.entries.insert(place - 1, entry);
            }
            Err(place) => self.entries.insert(place, entry),
        }
    }

    /// Gives back memory: pushes out the lower half of the numbers. Returns `false` if there is only one number.
    pub(super) fn halve(&mut self) -> bool {
        let half = self.entries.len() / 2;
        self.push_out(half);
        self.entries.shrink_to_fit();
        half > 0
    }

    /// The numbers that have not expired, in rising order.
    pub(super) fn open(&self, now: Instant) -> impl Iterator<Item = Number> {
        let open = self.entries.iter().filter(move |entry| now < entry.until);
        open.map(|entry| {
            let NumberEntry { sequence, until, topic, .. } = *entry;
            Number { sequence, topic, outcome: entry.outcome(), until }
        })
    }

    pub(super) fn floor(&self) -> u64 {
        self.floor
    }

    /// Bytes of its numbers.
    pub(super) fn bytes(&self) -> usize {
        self.entries.capacity() * size_of::<NumberEntry>()
    }

    fn is_too_low(&self, sequence: u64) -> bool {
        let is_below = |first: &NumberEntry| self.entries.len() == MOST && sequence < first.sequence;
        sequence <= self.floor || self.entries.front().is_some_and(is_below)
    }

    fn place(&self, sequence: u64) -> Result<usize, usize> {
        // Nearly every number is higher than all before.
        match self.entries.back() {
            Some(last) if last.sequence < sequence => Err(self.entries.len()),
            _ => self.entries.binary_search_by_key(&sequence, |entry| entry.sequence),
        }
    }

    fn push_out(&mut self, count: usize) {
        for entry in self.entries.drain(..count) {
            self.floor = self.floor.max(entry.sequence);
        }
    }

    /// Removes expired numbers from the front. Each number is removed once, so the cost is a constant for each
    /// insertion.
    fn tidy(&mut self, now: Instant) {
        while self.entries.front().is_some_and(|entry| entry.until <= now) {
            self.entries.pop_front();
        }
        if self.entries.len() < self.entries.capacity() / 4 {
            self.entries.shrink_to(self.entries.len() * 2);
        }
    }
}

impl NumberEntry {
    fn outcome(&self) -> Outcome {
        Outcome { position: self.position, receivers: self.receivers.into() }
    }
}

/// A hash of a topic's name, the same in every process. It serves only to tell a mistake of a program, the same number
/// with another topic, from a repetition. (FNV-1a of 32 bits, by Fowler, Noll and Vo.)
pub(super) fn mark(topic: &Topic) -> u32 {
    topic.as_str().bytes().fold(0x811C_9DC5, |sum, byte| (sum ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

const TOO_LOW: &str = "this sequence is below the last ones of its producer: whether it was published is not known";

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;
    use std::time::Duration;

    const MOST: usize = 3;

    /// A naive model: each number with the end of its time and its receivers, and the highest number that was pushed
    /// out.
    #[derive(Default)]
    struct Model {
        known: Vec<(u64, u64, u64)>,
        floor: u64,
    }

    impl Model {
        /// Returns the receivers that are answered to a number that comes now; `None`: it is refused.
        fn publish(&mut self, now: u64, sequence: u64, until: u64, receivers: u64) -> Option<u64> {
            self.known.sort_unstable();
            while self.known.first().is_some_and(|(_, until, _)| *until <= now) {
                self.known.remove(0);
            }
            let is_full = self.known.len() == MOST;
            if sequence <= self.floor || (is_full && self.known.iter().all(|known| sequence < known.0)) {
                return None;
            }
            if let Some(known) = self.known.iter().find(|known| known.0 == sequence && now < known.1) {
                return Some(known.2);
            }
            self.known.retain(|known| known.0 != sequence);
            if self.known.len() == MOST {
                self.floor = self.known.remove(0).0;
            }
            self.known.push((sequence, until, receivers));
            Some(receivers)
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(1000) })]

        #[test]
        fn a_number_is_remembered_or_too_low_or_new(uses in vec((1..9u64, 0..3u64, 1..5u64), 1..60)) {
            let (start, topic) = (Instant::now(), Topic::from("t"));
            let at = |seconds| start + Duration::from_secs(seconds);
            let (mut window, mut model, mut now) = (Window::<MOST>::default(), Model::default(), 0);
            for (receivers, (sequence, later, time)) in (0..).zip(uses) {
                now += later;
                let expected = model.publish(now, sequence, now + time, receivers);
                let found = window.find(at(now), &topic, sequence).map(|found| found.map(|outcome| outcome.receivers));
                match found {
                    Ok(None) => {
                        let outcome = Outcome { position: None, receivers };
                        window.insert(Number { sequence, topic: mark(&topic), outcome, until: at(now + time) });
                        prop_assert_eq!(expected, Some(receivers));
                    }
                    Ok(Some(receivers)) => prop_assert_eq!(expected, Some(receivers)),
                    Err(fault) => prop_assert_eq!((expected, fault.code), (None, ErrorCode::SequenceTooOld)),
                }
                let again = Window::<MOST>::restored(window.floor(), window.open(at(now)));
                prop_assert!(again.open(at(now)).eq(window.open(at(now))));
            }
        }
    }

    #[test]
    fn what_gave_way_to_others_is_too_low_from_then_on_and_never_new() {
        let (now, topic) = (Instant::now(), Topic::from("t"));
        let (mut window, until) = (Window::<PRODUCER_WINDOW>::default(), now + Duration::from_secs(1));
        for sequence in 1..=256 {
            let outcome = Outcome { position: None, receivers: 1 };
            window.insert(Number { sequence, topic: mark(&topic), outcome, until });
        }
        let full = window.bytes();
        assert!(window.halve() && window.bytes() < full);
        assert_eq!(window.find(now, &topic, 128).unwrap_err().code, ErrorCode::SequenceTooOld);
        assert!(window.find(now, &topic, 129).unwrap().is_some());
        while window.halve() {}
        assert_eq!(window.find(now, &topic, 255).unwrap_err().code, ErrorCode::SequenceTooOld);
        assert!(window.find(now, &topic, 256).unwrap().is_some());
    }

    #[test]
    fn a_number_belongs_to_its_producer_over_all_topics() {
        let (now, mut window) = (Instant::now(), Window::<PRODUCER_WINDOW>::default());
        let (topic, outcome) = (mark(&"t".into()), Outcome { position: None, receivers: 1 });
        window.insert(Number { sequence: 7, topic, outcome, until: now + Duration::from_secs(1) });
        let fault = window.find(now, &"other".into(), 7).unwrap_err();
        assert_eq!(
            (fault.code, &*fault.reason),
            (ErrorCode::InvalidRequest, "this sequence was used with another topic")
        );
    }
}
