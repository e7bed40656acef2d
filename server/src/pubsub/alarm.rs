//! Which worker wakes up for what the hub does by itself.

use std::time::Instant;

/// Has one worker wake up when the hub wants to do something, and lets the others sleep.
///
/// Nothing is forgotten, because after each turn this holds: if something will be due, then the keeper takes a turn at
/// that time or earlier. Its timer was set in its own last turn, or it has been woken. Another worker's turn changes that
/// only by making something due earlier, and then that worker becomes the keeper. Every turn does what is due, of
/// whichever worker: a keeper that comes late loses its place to the first worker that has a turn before it.
#[derive(Debug)]
pub(super) struct Alarm {
    /// Who takes a turn, and when at the latest.
    keeper: Option<(usize, Instant)>,
    /// Who would come late: behind with writing in its last turn, or ended.
    is_busy: Vec<bool>,
}

/// Who keeps the alarm after a turn.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Keeper {
    /// The worker whose turn it was: it sets its timer to that time.
    This(Instant),
    /// Another one, which knows, or nobody because nothing will be due.
    Other,
    /// This one, which is to be woken: in its turn it sees to what time it sets its timer.
    Woken(usize),
}

impl Alarm {
    pub(super) fn new(workers: usize) -> Self {
        Self { keeper: None, is_busy: vec![false; workers] }
    }

    /// Notes that a worker takes a turn, after which something will be due at that time.
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

    /// Notes that a worker takes no more turns; says who is to be woken in its place.
    pub(super) fn note_end(&mut self, worker: usize) -> Option<usize> {
        self.is_busy[worker] = true;
        let (_, due) = self.keeper.take_if(|(keeper, _)| *keeper == worker)?;
        self.hand_over(due)
    }

    /// Makes one the keeper that is not busy, and that is to be woken now.
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
