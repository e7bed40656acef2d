//! The pulse of the workers: how many turns each of them has taken, for whoever has to notice that one hangs.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// The turns of all workers of a server. A worker that hangs takes none: in a loop, in a deadlock, or in a system call
/// that does not return.
///
/// Ask [`without_turn`](Self::without_turn) at times.
#[derive(Clone, Debug)]
pub struct Pulse {
    beats: Vec<Beat>,
    /// The turns of each worker at the last time that all had taken one.
    seen: Vec<u64>,
}

/// The turns that one worker has taken. Only the worker itself counts them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Beat(Arc<Count>);

/// A line of the processor's cache of its own, so that a worker that counts disturbs no other.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Count(AtomicU64);

impl Pulse {
    pub(crate) fn new(workers: usize) -> Self {
        Self { beats: (0..workers).map(|_| Beat::default()).collect(), seen: vec![0; workers] }
    }

    /// Number of workers.
    pub(crate) fn workers(&self) -> usize {
        self.beats.len()
    }

    pub(crate) fn of_worker(&self, number: usize) -> Beat {
        self.beats[number].clone()
    }

    /// The numbers of the workers that have taken no turn since this last returned none, or since the start of the
    /// server. Workers that have ended in order do not count.
    pub fn without_turn(&mut self) -> Vec<usize> {
        let turns: Vec<_> = self.beats.iter().map(Beat::turns).collect();
        let both = turns.iter().zip(&self.seen).enumerate();
        let late: Vec<_> =
            both.filter(|(_, (now, before))| now == before && **now != ENDED).map(|(worker, _)| worker).collect();
        if late.is_empty() {
            self.seen = turns;
        }
        late
    }
}

impl Beat {
    /// Counts a turn.
    pub(crate) fn turn(&self) {
        // There is one writer, so nothing is lost between the two.
        self.0.0.store(self.turns() + 1, Relaxed);
    }

    /// The worker has ended in order, and takes no more turns.
    pub(crate) fn end(&self) {
        self.0.0.store(ENDED, Relaxed);
    }

    pub(crate) fn turns(&self) -> u64 {
        self.0.0.load(Relaxed)
    }
}

/// In place of the turns of a worker that has ended.
const ENDED: u64 = u64::MAX;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_takes_no_turn_is_named_until_it_takes_one() {
        let mut pulse = Pulse::new(3);
        assert_eq!(pulse.without_turn(), [0, 1, 2], "none has begun");
        let [a, b, c] = [0, 1, 2].map(|worker| pulse.of_worker(worker));
        [&a, &b, &c].iter().for_each(|beat| beat.turn());
        assert!(pulse.without_turn().is_empty());
        assert_eq!(pulse.without_turn(), [0, 1, 2]);
        a.turn();
        c.turn();
        assert_eq!(pulse.without_turn(), [1]);
        a.turn();
        assert_eq!(pulse.without_turn(), [1], "the turns of others do not stand for its own");
        b.turn();
        assert!(pulse.without_turn().is_empty());
    }

    #[test]
    fn who_has_ended_hangs_not() {
        let mut pulse = Pulse::new(2);
        pulse.of_worker(0).turn();
        pulse.of_worker(1).end();
        for _ in 0..2 {
            assert!(pulse.without_turn().is_empty());
            pulse.of_worker(0).turn();
        }
    }
}
