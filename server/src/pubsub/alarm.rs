//! Which worker wakes up when the hub has to do something by itself.

use std::time::Instant;

/// The choice of one worker, the keeper, that wakes up when the hub has something to do; the others sleep.
///
/// Nothing is forgotten, because after each turn this holds: if something will be due, the keeper takes a turn at that
/// time or earlier. The keeper set its timer in its own last turn, or it has been woken. A turn of another worker can
/// break this only by making something due earlier, and then that worker becomes the keeper. Every turn does what is
/// due, whichever worker takes it. So if the keeper is late, the first worker that takes a turn before it becomes the
/// keeper.
#[derive(Debug)]
pub(super) struct Alarm {
    /// The worker that takes a turn, and the latest time of that turn.
    keeper: Option<(usize, Instant)>,
    /// By worker: whether it would be late, because it was behind with writing in its last turn, or has ended.
    is_busy: Vec<bool>,
}

/// The worker that keeps the alarm after a turn.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Keeper {
    /// The worker that took the turn. It sets its timer to this time.
    This(Instant),
    /// Another worker, which knows it already; or none, because nothing will be due.
    Other,
    /// This other worker, which the caller has to wake. It sets its timer in its own turn.
    Woken(usize),
}

impl Alarm {
    pub(super) fn new(workers: usize) -> Self {
        Self { keeper: None, is_busy: vec![false; workers] }
    }

    /// Notes a worker's turn, after which the next thing is due at `due`.
    pub(super) fn note_turn(&mut self, worker: usize, now: Instant, due: Option<Instant>, is_behind: bool) -> Keeper {
        self.is_busy[worker] = is_behind;
        let Some(due) = due else {
            self.keeper = None;
            return Keeper::Other;
        };
        if self.keeper.is_some_and(|(keeper, at)| keeper != worker && now < at && at <= due) {
            return Keeper::Other;
        }
        if is_behind && let Some(other) = self.hand_over(due) {
            return Keeper::Woken(other);
        }
        self.keeper = Some((worker, due));
        Keeper::This(due)
    }

    /// Notes that a worker takes no more turns. Returns the worker to be woken in its place.
    pub(super) fn note_end(&mut self, worker: usize) -> Option<usize> {
        self.is_busy[worker] = true;
        let (_, due) = self.keeper.take_if(|(keeper, _)| *keeper == worker)?;
        self.hand_over(due)
    }

    /// Makes a worker that is not busy the keeper, and returns it: the caller has to wake it.
    fn hand_over(&mut self, due: Instant) -> Option<usize> {
        let other = self.is_busy.iter().position(|is_busy| !is_busy)?;
        self.keeper = Some((other, due));
        Some(other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn one_worker_wakes_up_and_another_one_that_makes_something_due_earlier() {
        let (mut alarm, now) = (Alarm::new(3), Instant::now());
        let [soon, later] = [1, 2].map(|seconds| now + Duration::from_secs(seconds));
        assert_eq!(alarm.note_turn(0, now, Some(later), false), Keeper::This(later));
        assert_eq!(alarm.note_turn(1, now, Some(later), false), Keeper::Other);
        assert_eq!(alarm.note_turn(2, now, Some(soon), false), Keeper::This(soon));
        assert_eq!(alarm.note_turn(0, now, Some(soon), false), Keeper::Other);
        assert_eq!(alarm.note_turn(2, soon, Some(later), false), Keeper::This(later));
        assert_eq!(alarm.note_turn(0, soon, None, false), Keeper::Other);
        assert_eq!(alarm.note_turn(0, soon, Some(later), false), Keeper::This(later), "nobody is relied on");
    }

    #[test]
    fn who_comes_late_loses_its_place() {
        let (mut alarm, now) = (Alarm::new(2), Instant::now());
        let [due, next] = [1, 2].map(|seconds| now + Duration::from_secs(seconds));
        alarm.note_turn(0, now, Some(due), false);
        assert_eq!(alarm.note_turn(1, due, Some(next), false), Keeper::This(next));
        assert_eq!(alarm.note_turn(0, due, Some(next), false), Keeper::Other);
    }

    #[test]
    fn who_is_behind_or_ends_has_another_one_woken() {
        let (mut alarm, now) = (Alarm::new(3), Instant::now());
        let due = now + Duration::from_secs(1);
        assert_eq!(alarm.note_turn(0, now, Some(due), true), Keeper::Woken(1));
        assert_eq!(alarm.note_turn(1, now, Some(due), false), Keeper::This(due));
        assert_eq!(alarm.note_turn(0, now, Some(due), true), Keeper::Other);
        assert_eq!(alarm.note_end(0), None, "it kept nothing");
        assert_eq!(alarm.note_end(1), Some(2));
        assert_eq!(alarm.note_turn(2, now, Some(due), true), Keeper::This(due), "there is nobody else");
        assert_eq!(alarm.note_end(2), None);
    }
}
