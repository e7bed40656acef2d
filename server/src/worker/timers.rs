//! Deadlines: when to check which connection.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Slots by the tick at which they want to be checked. If a connection's next deadline has moved since, the check
/// finds nothing due and sets a new deadline. So activity of a connection costs nothing here.
#[derive(Debug)]
pub(crate) struct Deadlines {
    start: Instant,
    ticks: BTreeMap<u64, Vec<u32>>,
}

impl Deadlines {
    pub(crate) fn new(start: Instant) -> Self {
        Self { start, ticks: BTreeMap::new() }
    }

    /// The first tick that ends after `at`.
    pub(crate) fn tick(&self, at: Instant) -> u64 {
        let ticks = at.saturating_duration_since(self.start).as_millis() / TICK.as_millis() + 1;
        u64::try_from(ticks).unwrap_or(u64::MAX)
    }

    /// Adds a deadline; says whether it is now the earliest one.
    pub(crate) fn insert(&mut self, tick: u64, slot: u32) -> bool {
        let earliest = self.ticks.first_key_value().is_none_or(|(first, _)| tick < *first);
        self.ticks.entry(tick).or_default().push(slot);
        earliest
    }

    /// When the earliest deadline is.
    pub(crate) fn next(&self) -> Option<Instant> {
        let (tick, _) = self.ticks.first_key_value()?;
        Some(self.start + TICK.saturating_mul(u32::try_from(*tick).unwrap_or(u32::MAX)))
    }

    /// Takes the earliest deadline if it has passed.
    pub(crate) fn pop(&mut self, now: Instant) -> Option<(u64, Vec<u32>)> {
        if self.next()? > now {
            return None;
        }
        self.ticks.pop_first()
    }
}

/// Length of a tick: how exact deadlines are.
const TICK: Duration = Duration::from_millis(50);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_comes_after_its_time_and_within_a_tick() {
        let start = Instant::now();
        let mut deadlines = Deadlines::new(start);
        for ms in [0, 49, 50, 1234] {
            let at = start + Duration::from_millis(ms);
            let tick = deadlines.tick(at);
            assert!(deadlines.insert(tick, 7));
            let next = deadlines.next().unwrap();
            assert!(next > at && next <= at + TICK, "{ms} ms");
            assert_eq!(deadlines.pop(at), None);
            assert_eq!(deadlines.pop(next), Some((tick, vec![7])));
        }
        assert_eq!(deadlines.next(), None);
    }
}
