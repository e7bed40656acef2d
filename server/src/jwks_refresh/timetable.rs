//! When a key set is fetched. Time is an argument.

use std::time::{Duration, Instant};

/// The times between two fetches.
#[derive(Clone, Copy, Debug)]
pub(super) struct Intervals {
    /// At least this is between two fetches, whatever is the reason for the second one, unless no fetch has ever worked.
    pub(super) least: Duration,
    /// After the first failure; twice as long after each further one, at most `least`.
    pub(super) retry: Duration,
    /// After a fetch whose answer does not say how long it is good for.
    pub(super) usual: Duration,
    /// The longest time that an answer may say.
    pub(super) longest: Duration,
}

/// When one key set is fetched next.
#[derive(Debug)]
pub(super) struct Timetable {
    intervals: Intervals,
    due: Instant,
    last: Option<Instant>,
    /// How long to wait after the next failure; `None` once a fetch has worked.
    retry: Option<Duration>,
}

impl Intervals {
    /// A token with an unknown `kid` causes a fetch, and anybody can make one: so there is at most one fetch a minute.
    pub(super) const DEFAULT: Self = Self {
        least: Duration::from_secs(60),
        retry: Duration::from_secs(2),
        usual: Duration::from_secs(10 * 60),
        longest: Duration::from_secs(24 * 60 * 60),
    };
}

impl Timetable {
    /// The first fetch is now.
    pub(super) fn new(intervals: Intervals, now: Instant) -> Self {
        Self { intervals, due: now, last: None, retry: Some(intervals.retry) }
    }

    /// When to fetch.
    pub(super) fn due(&self) -> Instant {
        self.due
    }

    /// A token has named a key that is in no set: it may be a new one.
    pub(super) fn unknown_key(&mut self, now: Instant) {
        let allowed = self.last.map_or(now, |last| last + self.intervals.least);
        self.due = self.due.min(allowed.max(now));
    }

    /// A fetch has worked. `good_for` is what its answer says.
    pub(super) fn fetched(&mut self, now: Instant, good_for: Option<Duration>) {
        let Intervals { least, usual, longest, .. } = self.intervals;
        (self.last, self.retry) = (Some(now), None);
        self.due = now + good_for.unwrap_or(usual).clamp(least, longest);
    }

    /// A fetch has failed.
    pub(super) fn failed(&mut self, now: Instant) {
        let least = self.intervals.least;
        self.last = Some(now);
        self.due = now + self.retry.unwrap_or(least);
        // Without any key nobody gets in, so the first tries come quickly. Later ones have the old keys.
        self.retry = self.retry.map(|retry| (retry * 2).min(least));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// Seconds from now to the next fetch.
    fn wait(table: &Timetable, now: Instant) -> u64 {
        table.due().saturating_duration_since(now).as_secs()
    }

    #[test]
    fn jwks_are_tried_often_until_the_first_success() {
        let mut now = Instant::now();
        let mut table = Timetable::new(Intervals::DEFAULT, now);
        let waits: Vec<_> = (0..8)
            .map(|_| {
                table.failed(now);
                table.unknown_key(now);
                let wait = wait(&table, now);
                now = table.due();
                wait
            })
            .collect();
        assert_eq!(waits, [2, 4, 8, 16, 32, 60, 60, 60]);
        table.fetched(now, None);
        assert_eq!(wait(&table, now), 600);
        table.failed(now);
        assert_eq!(wait(&table, now), 60);
    }

    #[test]
    fn jwks_are_good_for_as_long_as_they_say_within_bounds() {
        let now = Instant::now();
        let mut table = Timetable::new(Intervals::DEFAULT, now);
        assert_eq!(wait(&table, now), 0);
        for (said, expected) in [(0, 60), (59, 60), (3600, 3600), (86_401, 86_400), (u64::MAX, 86_400)] {
            table.fetched(now, Some(Duration::from_secs(said)));
            assert_eq!(wait(&table, now), expected);
        }
    }

    #[test]
    fn jwks_are_fetched_for_unknown_keys_once_a_minute() {
        let now = Instant::now();
        let mut table = Timetable::new(Intervals::DEFAULT, now);
        table.fetched(now, None);
        for second in 0..60 {
            table.unknown_key(now + SECOND * second);
            assert_eq!(table.due(), now + SECOND * 60);
        }
        table.fetched(now + SECOND * 60, None);
        table.unknown_key(now + SECOND * 200);
        assert_eq!(table.due(), now + SECOND * 200);
        table.failed(now + SECOND * 200);
        table.unknown_key(now + SECOND * 201);
        assert_eq!(table.due(), now + SECOND * 260);
    }
}
