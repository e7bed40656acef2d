//! Producers: client libraries that number their publications.

use super::Scope;
use super::names::Names;
use super::shares::{ShareRef, Shares};
use super::window::{Number, Window, mark};
use crate::engine::{Outcome, Publisher};
use hubcast_protocol::{ErrorReply, Topic};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

/// The last numbers of each producer, at most `most_bytes` in all. Beyond that, the publisher with the most bytes gives
/// back: its least recently used producer loses the lower half of its numbers or, if it has only one, is forgotten.
#[derive(Debug)]
pub(super) struct Producers {
    by_name: Names,
    list: BTreeMap<u64, Producer>,
    last: u64,
    /// The time of each producer's look-over.
    due: BTreeSet<(Instant, u64)>,
    shares: Shares,
    most_bytes: usize,
}

#[derive(Debug)]
struct ProducerName {
    scope: Scope,
    producer: Box<str>,
}

#[derive(Debug)]
struct Producer {
    name: ProducerName,
    window: Window,
    /// When its last number expires.
    until: Instant,
    /// When it is looked over; not later than `until`.
    due: Instant,
    place: ShareRef,
    bytes: usize,
}

/// A producer with its numbers, as it is saved.
#[derive(Debug)]
pub(super) struct OpenProducer<'a> {
    pub(super) by: &'a Publisher,
    pub(super) producer: &'a str,
    pub(super) window: &'a Window,
}

impl Producers {
    pub(super) fn new(most_bytes: usize) -> Self {
        let (list, due, shares) = (BTreeMap::new(), BTreeSet::new(), Shares::default());
        Self { by_name: Names::default(), list, last: 0, due, shares, most_bytes }
    }

    /// Returns the outcome of the publication with this number; `None`: the number is new.
    ///
    /// # Errors
    /// When the number may be a repetition that is no longer remembered, and when it was used with another topic.
    pub(super) fn find(
        &mut self,
        now: Instant,
        by: &Publisher,
        topic: &Topic,
        (producer, sequence): (&str, u64),
    ) -> Result<Option<Outcome>, ErrorReply> {
        let Some(id) = self.id(by, producer) else { return Ok(None) };
        let Some(known) = self.list.get_mut(&id) else { return Ok(None) };
        let found = known.window.find(now, topic, sequence);
        known.account(&mut self.shares);
        found
    }

    pub(super) fn remember(
        &mut self,
        by: &Publisher,
        topic: &Topic,
        (producer, sequence): (&str, u64),
        outcome: Outcome,
        until: Instant,
    ) {
        let number = Number { sequence, topic: mark(topic), outcome, until };
        let id = self.id(by, producer).unwrap_or_else(|| self.insert(by, producer, Window::default(), until));
        if let Some(known) = self.list.get_mut(&id) {
            known.window.insert(number);
            known.until = known.until.max(until);
            self.shares.touch(&mut known.place, id);
            known.account(&mut self.shares);
        }
        self.make_room();
    }

    /// Adds a saved producer, unless it is known here.
    pub(super) fn restore(&mut self, by: &Publisher, producer: &str, floor: u64, numbers: Vec<Number>) {
        let Some(until) = numbers.iter().map(|number| number.until).max() else { return };
        if self.id(by, producer).is_none() {
            self.insert(by, producer, Window::restored(floor, numbers), until);
            self.make_room();
        }
    }

    /// All producers, the least recently used first.
    pub(super) fn open(&self) -> impl Iterator<Item = OpenProducer<'_>> {
        let mut open: Vec<_> = self.list.values().collect();
        open.sort_unstable_by_key(|known| known.place.number);
        open.into_iter().map(|known| OpenProducer {
            by: self.shares.publisher(known.place),
            producer: &known.name.producer,
            window: &known.window,
        })
    }

    /// The time of the next look-over.
    pub(super) fn next(&self) -> Option<Instant> {
        self.due.first().map(|(at, _)| *at)
    }

    /// Looks over at most `most` producers that are due, and forgets those whose numbers have all expired.
    pub(super) fn expire(&mut self, now: Instant, most: usize) {
        for _ in 0..most {
            let Some(&(at, id)) = self.due.first().filter(|(at, _)| *at <= now) else { return };
            match self.list.get_mut(&id).filter(|known| known.until > now) {
                Some(known) => {
                    known.due = known.until;
                    self.due.remove(&(at, id));
                    self.due.insert((known.until, id));
                }
                None => self.forget(id),
            }
        }
    }

    fn id(&self, by: &Publisher, producer: &str) -> Option<u64> {
        let parts = (by.user(), producer);
        self.by_name.find(parts, |id| self.list[&id].name.parts() == parts)
    }

    fn insert(&mut self, by: &Publisher, producer: &str, window: Window, until: Instant) -> u64 {
        self.last += 1;
        let (id, name) = (self.last, ProducerName { scope: by.scope(), producer: producer.into() });
        let bytes = name.cost() + window.bytes();
        let place = self.shares.add(by, id, bytes);
        self.by_name.insert(name.parts(), id);
        self.due.insert((until, id));
        self.list.insert(id, Producer { name, window, until, due: until, place, bytes });
        id
    }

    /// Gives back bytes beyond the limit. Each round halves the numbers of one producer or forgets it.
    fn make_room(&mut self) {
        while self.shares.bytes() > self.most_bytes {
            let Some(oldest) = self.shares.oldest_of_largest() else { break };
            let Some(known) = self.list.get_mut(&oldest) else { break };
            if known.window.halve() {
                known.account(&mut self.shares);
            } else {
                self.forget(oldest);
            }
        }
    }

    fn forget(&mut self, id: u64) {
        let Some(known) = self.list.remove(&id) else { return };
        self.by_name.remove(known.name.parts(), id);
        self.due.remove(&(known.due, id));
        self.shares.remove(known.place, id, known.bytes);
    }
}

impl Producer {
    /// Updates its bytes after its window has changed.
    fn account(&mut self, shares: &mut Shares) {
        let bytes = self.name.cost() + self.window.bytes();
        shares.change(self.place, self.bytes, bytes);
        self.bytes = bytes;
    }
}

impl ProducerName {
    fn parts(&self) -> (Option<&str>, &str) {
        (self.scope.as_deref(), &self.producer)
    }

    /// Approximate bytes that it takes without its numbers.
    fn cost(&self) -> usize {
        self.producer.len() + COST
    }
}

/// Approximate bytes of a producer without its name and its numbers: its entries in the index, in the list, in the
/// order of look-overs, and in its publisher's share, which mostly is a share for it alone.
const COST: usize = 512;

#[cfg(test)]
mod tests {
    use super::*;
    use hubcast_protocol::ErrorCode;
    use hubcast_protocol::{ClientId, request::PRODUCER_WINDOW};
    use std::time::Duration;

    fn client(number: u8) -> Publisher {
        Publisher::Client(ClientId::from_random([number; 16]))
    }

    fn publish(producers: &mut Producers, by: u8, numbered: (&str, u64), until: Instant) {
        let outcome = Outcome { position: None, receivers: 1 };
        producers.remember(&client(by), &"t".into(), numbered, outcome, until);
    }

    #[test]
    fn a_producer_is_forgotten_when_its_last_number_is_over() {
        let (mut producers, now, second) = (Producers::new(usize::MAX), Instant::now(), Duration::from_secs(1));
        publish(&mut producers, 1, ("one", 1), now + second);
        publish(&mut producers, 1, ("one", 2), now + 3 * second);
        publish(&mut producers, 1, ("two", 1), now + 2 * second);
        producers.expire(now + 2 * second, 9);
        assert_eq!((producers.list.len(), producers.next()), (1, Some(now + 3 * second)));
        producers.expire(now + 3 * second, 9);
        assert!(producers.by_name.is_empty() && producers.due.is_empty() && producers.shares.bytes() == 0);
    }

    #[test]
    fn where_there_is_no_room_low_numbers_are_refused_before_a_producer_is_forgotten() {
        let (now, topic) = (Instant::now(), Topic::from("t"));
        let until = now + Duration::from_secs(1);
        let mut producers = Producers::new(100_000);
        publish(&mut producers, 1, ("quiet", 1), until);
        for sequence in 1..=PRODUCER_WINDOW as u64 {
            for name in 0..20 {
                publish(&mut producers, 2, (&format!("loud {name}"), sequence), until);
            }
        }
        assert!(producers.shares.bytes() <= 100_000);
        let mut find = |by, numbered| producers.find(now, &client(by), &topic, numbered);
        assert!(find(1, ("quiet", 1)).unwrap().is_some());
        assert!(find(2, ("loud 19", 256)).unwrap().is_some());
        assert_eq!(find(2, ("loud 0", 1)).unwrap_err().code, ErrorCode::SequenceTooOld);
    }
}
