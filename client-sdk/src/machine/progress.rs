//! The positions that a subscription has reached, by topic.

use super::effect::{Gap, GapReason};
use hubcast_protocol::request::Start;
use hubcast_protocol::{Position, Target, Topic, event};
use std::collections::{BTreeMap, BTreeSet};

/// The position that a subscription has reached in each topic; of more than `most` topics, only of those with the
/// latest messages.
///
/// It tells for each publication whether it is the next one, a duplicate, or a sign that earlier ones are missing.
#[derive(Clone, Debug)]
pub(super) struct Progress {
    reached: BTreeMap<Topic, Reached>,
    most: usize,
    heard: u64,
    /// A message came whose position is not kept here, so not all topics can be resumed.
    incomplete: bool,
    /// The connection broke since this began. So a topic whose first message comes now may have had messages before it.
    was_cut: bool,
    /// For topics without a received message: the offset up to which all their publications are this client's own,
    /// published without echo.
    unheard: BTreeMap<Topic, u64>,
}

#[derive(Clone, Debug)]
struct Reached {
    position: Position,
    heard: u64,
    /// Offsets after the position that are this client's own publications without echo.
    silent: BTreeSet<u64>,
    /// The server said on this connection that the topic has no history any more. The next history begins at offset 1.
    is_gone: bool,
}

/// How a publication relates to the position of a subscription.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    Next,
    Duplicate,
    /// Publications before this one are missing.
    After(Gap),
}

impl Progress {
    pub(super) fn new(start: &Start, target: Option<&Target>, most: usize) -> Self {
        let mut progress = Self {
            reached: BTreeMap::new(),
            most: most.max(1),
            heard: 0,
            incomplete: false,
            was_cut: false,
            unheard: BTreeMap::new(),
        };
        match (start, target) {
            (Start::After(position) | Start::AfterOrLast(position, _), Some(Target::Topic(topic))) => {
                progress.reach(topic, *position);
            }
            (Start::AfterEach(positions), Some(Target::Pattern(_))) => {
                positions.iter().for_each(|(topic, position)| progress.reach(topic, *position));
            }
            _ => {}
        }
        progress
    }

    /// The start of the next subscribe to the target, so that the server replays all that it can.
    pub(super) fn start(&self, target: &Target) -> Start {
        match target {
            Target::Topic(topic) => self.position(topic).map_or(Start::Live, Start::After),
            Target::Pattern(_) if self.reached.is_empty() => Start::Live,
            Target::Pattern(_) => {
                let positions = self.reached.iter().map(|(topic, reached)| (topic.clone(), reached.position));
                Start::AfterEach(positions.collect())
            }
        }
    }

    pub(super) fn position(&self, topic: &Topic) -> Option<Position> {
        self.reached.get(topic).map(|reached| reached.position)
    }

    /// Whether no topic has a position to resume from.
    pub(super) fn is_empty(&self) -> bool {
        self.reached.is_empty()
    }

    /// Takes a publication into account and says how it relates to the position.
    pub(super) fn step(&mut self, topic: &Topic, at: Option<Position>) -> Step {
        let Some(at) = at else {
            self.incomplete = true;
            return Step::Next;
        };
        let is_gone = self.is_gone(topic);
        let missing_from = match self.position(topic).filter(|_| !is_gone) {
            // In another history this subscription has no position, so the start of the gap is not known.
            Some(last) if last.epoch != at.epoch => Some(None),
            Some(last) if at.offset <= last.offset => return Step::Duplicate,
            Some(last) => (at.offset - last.offset > 1).then(|| Some(last.offset + 1)),
            None => {
                let own = self.unheard.remove(topic).unwrap_or(0);
                let began_before = self.was_cut || is_gone;
                (began_before && at.offset > own.saturating_add(1)).then_some(None)
            }
        };
        self.reach(topic, at);
        let Some(from) = missing_from else { return Step::Next };
        let before = Position { offset: at.offset.saturating_sub(1), ..at };
        let to = (before.offset > 0).then_some(before.offset);
        let (topic, epoch, position) = (Some(topic.clone()), Some(at.epoch), Some(before));
        Step::After(Gap { topic, epoch, from, to, position, reason: GapReason::Missing })
    }

    /// Takes into account a publication of this client without echo: at once, or when those before it have been
    /// received.
    pub(super) fn skip(&mut self, topic: &Topic, offset: u64) {
        let known = self.reached.get_mut(topic).filter(|reached| !reached.is_gone);
        let Some(reached) = known else { return self.skip_unheard(topic, offset) };
        if offset > reached.position.offset && reached.silent.len() < MOST_SILENT {
            reached.silent.insert(offset);
            reached.pass_silent();
        }
    }

    /// Records an own publication on a topic without a position. Acknowledgements have no epoch, so the topic still
    /// cannot be resumed. But it follows that no others' publications are missing up to this offset.
    fn skip_unheard(&mut self, topic: &Topic, offset: u64) {
        if offset == self.unheard.get(topic).map_or(1, |own| own.saturating_add(1)) {
            if self.unheard.len() >= self.most {
                self.unheard.pop_first();
            }
            self.unheard.insert(topic.clone(), offset);
        }
    }

    /// Takes into account a gap that the server reports; `None` if this subscription misses nothing new.
    pub(super) fn leave_out(&mut self, gap: &event::Gap) -> Option<Gap> {
        let reason = match gap.reason {
            event::GapReason::SlowConsumer => GapReason::SlowConnection,
            event::GapReason::NotRecoverable => GapReason::NotRecoverable,
            event::GapReason::MissedPresence => return None,
            // Also a reason that is newer than this version.
            _ => GapReason::Missing,
        };
        let topic = Some(gap.topic.clone());
        let last = self.position(&gap.topic);
        // Without an epoch the gap is about the current history, if it names offsets.
        let epoch = gap.epoch.or(last.map(|last| last.epoch));
        let end = epoch.zip(gap.offset.or(gap.to)).map(|(epoch, offset)| Position { epoch, offset });
        match (last, end) {
            // The server has an older state of the history, such as from a backup. What it counts from there on is new.
            (Some(last), Some(end)) if gap.offset.is_some() && last.epoch == end.epoch && end.offset < last.offset => {
                self.reach(&gap.topic, end);
                Some(Gap { topic, epoch, from: None, to: None, position: Some(end), reason })
            }
            (Some(last), Some(end)) if last.epoch == end.epoch => {
                self.reach(&gap.topic, Position { offset: end.offset.max(last.offset), ..last });
                let is_new = end.offset > last.offset;
                is_new.then(|| {
                    let (from, to) = (Some(last.offset + 1), Some(end.offset));
                    Gap { topic, epoch, from, to, position: Some(end), reason }
                })
            }
            // Such a gap is for a subscription that had a position; this one had none.
            (None, _) if gap.offset.is_some() || reason == GapReason::NotRecoverable => None,
            (_, Some(end)) => {
                self.reach(&gap.topic, end);
                // As with a publication: after a lost connection, or in another history, more may be missing than the
                // server reports.
                let from = gap.from.filter(|from| last.is_none() && !(self.was_cut && *from > 1));
                Some(Gap { topic, epoch, from, to: gap.to, position: Some(end), reason })
            }
            // The topic has no history now. The position is kept, so that the next resume asks for the topic again.
            (Some(last), None) => self.go(&gap.topic).then_some(Gap {
                topic,
                epoch: None,
                from: gap.from,
                to: gap.to,
                position: Some(last),
                reason,
            }),
            (None, None) => Some(Gap { topic, epoch: None, from: gap.from, to: gap.to, position: None, reason }),
        }
    }

    /// Notes that the history of a topic is gone; `false` if that was known.
    fn go(&mut self, topic: &Topic) -> bool {
        self.reached.get_mut(topic).is_some_and(|reached| !std::mem::replace(&mut reached.is_gone, true))
    }

    fn is_gone(&self, topic: &Topic) -> bool {
        self.reached.get(topic).is_some_and(|reached| reached.is_gone)
    }

    /// Sets the position of a topic, whatever it was before.
    pub(super) fn reach(&mut self, topic: &Topic, position: Position) {
        self.heard += 1;
        match self.reached.get_mut(topic) {
            Some(reached) => reached.advance(position, self.heard),
            None => {
                let reached = Reached { position, heard: self.heard, silent: BTreeSet::new(), is_gone: false };
                self.reached.insert(topic.clone(), reached);
            }
        }
        if self.reached.len() > self.most {
            self.forget_half();
        }
    }

    /// Forgets the position of a topic that has no history any more.
    pub(super) fn forget(&mut self, topic: &Topic) {
        self.reached.remove(topic);
    }

    /// Forgets the half of the topics whose last messages are oldest; by halves, so that this is rarely needed. `false`
    /// if there was nothing to forget.
    pub(super) fn forget_half(&mut self) -> bool {
        let mut heard: Vec<u64> = self.reached.values().map(|reached| reached.heard).collect();
        let middle = heard.len() / 2;
        if heard.is_empty() {
            return false;
        }
        let (_, &mut median, _) = heard.select_nth_unstable(middle);
        self.reached.retain(|_, reached| reached.heard > median);
        self.incomplete = true;
        true
    }

    pub(super) fn cut(&mut self) {
        self.was_cut = true;
        // The next publication may belong to another history, and follow others that were not received.
        self.unheard.clear();
        self.reached.values_mut().for_each(|reached| reached.is_gone = false);
    }

    /// Whether a resume from [`Progress::start`] covers every topic with a received message.
    pub(super) fn is_complete(&self) -> bool {
        !self.incomplete
    }

    /// Called when the past is given up: what was received until now need not be resumed.
    pub(super) fn let_go(&mut self) {
        self.incomplete = false;
    }

    /// Called when a gap of any topic was reported. It stands for all that is missing, also of topics whose first
    /// message comes now.
    pub(super) fn any_may_be_missing(&mut self) {
        self.was_cut = false;
    }
}

impl Reached {
    fn advance(&mut self, position: Position, heard: u64) {
        // In another history, or in one that went back, these offsets are of other publications.
        if self.position.epoch != position.epoch || position.offset < self.position.offset {
            self.silent.clear();
        }
        (self.position, self.heard, self.is_gone) = (position, heard, false);
        self.pass_silent();
    }

    fn pass_silent(&mut self) {
        while let Some(&first) = self.silent.first()
            && first <= self.position.offset.saturating_add(1)
        {
            self.silent.pop_first();
            self.position.offset = self.position.offset.max(first);
        }
    }
}

/// The most own publications of a topic that wait for those before them; more of them show as a gap.
const MOST_SILENT: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn at(offset: u64) -> Option<Position> {
        Some(Position { epoch: "e".parse().unwrap(), offset })
    }

    fn progress(most: usize) -> Progress {
        Progress::new(&Start::Live, None, most)
    }

    #[test]
    fn of_many_topics_those_heard_last_are_kept() {
        let mut progress = progress(4);
        for topic in ["a", "b", "c", "d", "a", "e"] {
            let next = progress.position(&topic.into()).map_or(1, |last| last.offset + 1);
            progress.step(&topic.into(), at(next));
        }
        let kept: Vec<_> = progress.reached.keys().map(Topic::as_str).collect();
        assert_eq!(kept, ["a", "e"]);
        assert!(!progress.is_complete());
    }

    #[test]
    fn a_topic_first_heard_after_a_cut_may_have_said_something_before() {
        let mut progress = progress(4);
        assert_eq!(progress.step(&"a".into(), at(7)), Step::Next);
        progress.cut();
        assert_eq!(progress.step(&"a".into(), at(8)), Step::Next);
        assert_eq!(progress.step(&"b".into(), at(1)), Step::Next);
        let Step::After(gap) = progress.step(&"c".into(), at(3)) else { panic!("nothing was missing") };
        assert_eq!((gap.from, gap.to), (None, Some(2)));
    }

    #[test]
    fn another_history_without_a_word_is_a_gap() {
        let mut progress = progress(4);
        progress.step(&"a".into(), at(7));
        let other = Position { epoch: "f".parse().unwrap(), offset: 1 };
        let Step::After(gap) = progress.step(&"a".into(), Some(other)) else { panic!("nothing was missing") };
        assert_eq!((gap.epoch, gap.from, gap.to), (Some(other.epoch), None, None));
    }

    #[test]
    fn a_history_that_went_back_is_a_gap_and_swallows_nothing() {
        let (mut progress, e) = (progress(4), "e".parse().unwrap());
        progress.step(&"a".into(), at(12));
        progress.cut();
        let back = event::Gap {
            topic: "a".into(),
            epoch: Some(e),
            from: None,
            to: None,
            offset: Some(5),
            reason: event::GapReason::NotRecoverable,
        };
        assert_eq!(progress.leave_out(&back).map(|gap| gap.position), Some(at(5)));
        assert_eq!(progress.step(&"a".into(), at(6)), Step::Next);
    }

    #[test]
    fn after_what_the_server_leaves_out_the_position_is_where_it_ends() {
        let (topic, e, f) = (Topic::from("a"), "e".parse().unwrap(), "f".parse().unwrap());
        let left_out = |epoch, from, to| event::Gap {
            topic: topic.clone(),
            epoch,
            from: Some(from),
            to: Some(to),
            offset: None,
            reason: event::GapReason::SlowConsumer,
        };
        let mut progress = progress(4);
        let mut skipped = |gap: event::Gap| {
            let reported = progress.leave_out(&gap).map(|gap| (gap.epoch.unwrap(), gap.from, gap.to));
            (reported, progress.position(&topic).unwrap())
        };
        let end = |epoch, offset| Position { epoch, offset };
        assert_eq!(skipped(left_out(Some(e), 3, 5)), (Some((e, Some(3), Some(5))), end(e, 5)));
        assert_eq!(skipped(left_out(Some(e), 4, 7)), (Some((e, Some(6), Some(7))), end(e, 7)));
        assert_eq!(skipped(left_out(Some(e), 4, 7)), (None, end(e, 7)));
        assert_eq!(skipped(left_out(None, 8, 8)), (Some((e, Some(8), Some(8))), end(e, 8)));
        assert_eq!(skipped(left_out(Some(f), 1, 2)), (Some((f, None, Some(2))), end(f, 2)));
    }

    #[test]
    fn what_does_not_come_back_to_us_is_passed_when_those_before_it_are_there() {
        let mut progress = progress(4);
        progress.step(&"a".into(), at(3));
        progress.skip(&"a".into(), 5);
        progress.skip(&"a".into(), 7);
        assert_eq!(progress.position(&"a".into()), at(3));
        assert_eq!(progress.step(&"a".into(), at(4)), Step::Next);
        assert_eq!(progress.position(&"a".into()), at(5));
        assert_eq!(progress.step(&"a".into(), at(6)), Step::Next);
        assert_eq!(progress.step(&"a".into(), at(8)), Step::Next);
    }
}
