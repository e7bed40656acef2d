//! The backlog of a slow reader: single cases, and a property test against a model that lists all that was pushed.

use super::*;
use hubcast_protocol::typed;
use proptest::prelude::*;

/// A publication of a topic. Its payload is its offset.
fn publication(topic: &str, epoch: u64, offset: u64) -> Publication {
    let position = Position { epoch: Epoch::from_random(epoch), offset };
    Publication::new(topic.into(), offset.to_string().as_str().into(), Some(position))
}

/// Pushes publications of a topic with epoch 1 and these offsets. Panics if the backlog refuses one.
fn push(backlog: &mut Backlog, topic: &str, offsets: impl IntoIterator<Item = u64>, slow: Slow) {
    for offset in offsets {
        assert!(backlog.push_publications(&[publication(topic, 1, offset)], slow, usize::MAX));
    }
}

/// A text frame, as other parts of the server make it.
fn frame(text: &str) -> Bytes {
    crate::websocket::frame::write(crate::websocket::frame::Opcode::Text, text.as_bytes())
}

/// The next entry in short form: `topic:offset` for a publication, `topic:from-to` for a gap, `topic:?` for a gap
/// without offsets. An epoch other than 1 stands after the topic, as `topic@epoch`.
fn pop(backlog: &mut Backlog) -> Option<String> {
    let frame = backlog.pop(Dialect::Typed)?.bytes;
    let text = std::str::from_utf8(&frame[if frame[1] == 126 { 4 } else { 2 }..]).unwrap();
    let of = |topic: &Topic, epoch: Option<Epoch>| match epoch.filter(|epoch| epoch.as_str() != "1") {
        Some(epoch) => format!("{topic}@{epoch}"),
        None => topic.to_string(),
    };
    Some(match typed::decode_event(text) {
        Ok(Event::Message(message)) => match message.offset {
            Some(offset) => format!("{}:{offset}", of(&message.topic, message.epoch)),
            None => format!("{}:{}", message.topic, message.payload.as_plain()),
        },
        Ok(Event::Gap(gap)) if gap.reason == GapReason::MissedPresence => format!("{}: who is there?", gap.topic),
        Ok(Event::Gap(gap)) => match gap.from.zip(gap.to).zip(gap.epoch) {
            Some(((from, to), epoch)) => format!("{}:{from}-{to}", of(&gap.topic, Some(epoch))),
            None => format!("{}:?", gap.topic),
        },
        _ => text.to_owned(),
    })
}

/// Pops all entries. Then checks that the backlog is empty and counts nothing.
fn drain(backlog: &mut Backlog) -> Vec<String> {
    let seen = std::iter::from_fn(|| pop(backlog)).collect();
    assert_eq!((backlog.reserved, backlog.droppable, backlog.exempt()), (0, 0, 0));
    assert!(backlog.events.is_empty());
    assert!(
        backlog.topics.is_empty()
            && backlog.publications.is_empty()
            && backlog.skipped.is_empty()
            && backlog.required.first().is_none()
    );
    seen
}

#[test]
fn the_oldest_are_left_out_first_and_the_gap_comes_before_what_follows() {
    let mut backlog = Backlog::default();
    for offset in 1..=5 {
        push(&mut backlog, "a", [offset], Slow::Drop);
        push(&mut backlog, "b", [offset], Slow::Drop);
    }
    let one = cost(&publication("a", 1, 1));
    backlog.shrink_to(backlog.charged() - 4 * one);
    assert_eq!(drain(&mut backlog), ["a:1-2", "b:1-2", "a:3", "b:3", "a:4", "b:4", "a:5", "b:5"]);
}

#[test]
fn joins_and_leaves_are_left_out_oldest_first_and_a_gap_of_their_own_stands_where_the_last_one_was() {
    let mut backlog = Backlog::default();
    let event = |backlog: &mut Backlog, topic: &str, text: &str| {
        assert!(backlog.push_presence(&topic.into(), frame(text), usize::MAX));
    };
    push(&mut backlog, "a", [1], Slow::Drop);
    event(&mut backlog, "a", "x comes");
    event(&mut backlog, "b", "y comes");
    backlog.push_exempt(frame("an answer"));
    event(&mut backlog, "a", "x leaves");
    push(&mut backlog, "a", [2], Slow::Drop);
    event(&mut backlog, "a", "z comes");
    let newest = backlog.charged() - backlog.reserved;
    backlog.shrink_to(backlog.reserved + newest / 2);
    let popped = ["a:1-1", "b: who is there?", "an answer", "a: who is there?", "a:2", "z comes"];
    assert_eq!(drain(&mut backlog), popped);
    event(&mut backlog, "a", "z leaves");
    assert_eq!(drain(&mut backlog), ["z leaves"], "nothing is said twice");
}

#[test]
fn a_join_needs_room_for_the_gap_that_it_may_become() {
    let (mut backlog, topic) = (Backlog::default(), Topic::from("a"));
    let most = price(&topic);
    assert!(!backlog.push_presence(&topic, frame("x comes"), most - 1));
    assert!((0..1000).all(|_| backlog.push_presence(&topic, frame("x comes"), most)));
    assert_eq!(backlog.charged(), most);
    assert!(!backlog.push_presence(&"b".into(), frame("x comes"), most));
    assert_eq!(drain(&mut backlog), ["a: who is there?"]);
}

#[test]
fn only_the_newest_of_each_topic_waits_with_latest() {
    let mut backlog = Backlog::default();
    push(&mut backlog, "a", 1..=3, Slow::Drop);
    push(&mut backlog, "a", 4..=1000, Slow::Latest);
    push(&mut backlog, "b", [1], Slow::Latest);
    assert!(backlog.charged() < 1000);
    assert_eq!(drain(&mut backlog), ["a:1-999", "a:1000", "b:1"]);
}

#[test]
fn what_must_go_out_keeps_its_place_and_is_never_left_out() {
    let mut backlog = Backlog::default();
    push(&mut backlog, "a", [1], Slow::Drop);
    assert!(backlog.push_frame(frame("hi"), usize::MAX));
    push(&mut backlog, "a", [2], Slow::Drop);
    backlog.shrink_to(0);
    assert_eq!(drain(&mut backlog), ["hi", "a:1-2"]);
}

#[test]
fn what_is_refused_leaves_no_trace() {
    let mut backlog = Backlog::default();
    push(&mut backlog, "a", [1], Slow::Drop);
    let (before, needed) = (backlog.charged(), price(&"b".into()));
    assert!(!backlog.push_frame(frame("hi"), 4));
    assert!(!backlog.push_publications(&[publication("b", 1, 1)], Slow::Drop, backlog.reserved + needed - 1));
    assert_eq!((backlog.charged(), drain(&mut backlog)), (before, vec!["a:1".to_owned()]));
}

#[test]
fn no_gap_reaches_over_a_publication_that_went_out() {
    let mut backlog = Backlog::default();
    push(&mut backlog, "a", 1..=2, Slow::Drop);
    push(&mut backlog, "b", [1], Slow::Drop);
    assert!(backlog.push_required(&[publication("a", 1, 3)], frame("a:3, which must go out"), usize::MAX));
    push(&mut backlog, "a", 4..=5, Slow::Drop);
    push(&mut backlog, "b", [2], Slow::Drop);
    backlog.push_exempt(frame("a replay"));
    push(&mut backlog, "a", 6..=7, Slow::Latest);
    backlog.shrink_to(0);
    assert_eq!(drain(&mut backlog), ["a:1-2", "a:3, which must go out", "a:4-5", "b:1-2", "a replay", "a:6-7"]);
}

#[test]
fn every_epoch_has_a_gap_of_its_own() {
    let mut backlog = Backlog::default();
    let epochs = [(1, 8), (1, 9), (2, 1), (2, 2)].map(|(epoch, offset)| publication("a", epoch, offset));
    assert!(backlog.push_publications(&epochs, Slow::Drop, 2 * price(&"a".into())));
    assert_eq!(drain(&mut backlog), ["a:8-9", "a@2:1-2"]);
}

#[test]
fn a_topic_without_history_has_one_gap_without_offsets() {
    let mut backlog = Backlog::default();
    let texts = ["1", "2", "3"].map(|text| Publication::new("n".into(), text.into(), None));
    for text in texts {
        assert!(backlog.push_publications(&[text], Slow::Latest, usize::MAX));
        assert!(backlog.push_frame(frame("-"), usize::MAX));
    }
    assert_eq!(drain(&mut backlog), ["-", "n:?", "-", "n:3", "-"]);
}

#[test]
fn a_plain_client_gets_no_gap() {
    let mut backlog = Backlog::default();
    push(&mut backlog, "a", 1..=3, Slow::Latest);
    assert_eq!(backlog.pop(Dialect::Plain).map(|popped| (popped.bytes, popped.charged)), Some((frame("3"), true)));
    assert!(backlog.pop(Dialect::Plain).is_none());
    assert_eq!(backlog.charged(), 0);
}

/// A step of the property test.
#[derive(Clone, Debug)]
enum Step {
    /// Pushes one publication to each of these topics, all together or none. The number after each topic is how many
    /// offsets are skipped before it: their publications do not go to this reader.
    Publish(Vec<(usize, u64)>, Slow),
    /// Pushes a publication of this topic that must not be left out.
    Bound(usize),
    /// Pushes a frame without a topic that must not be left out.
    Required,
    /// Pushes a replay of one publication. It counts as an entry of every topic.
    Replay,
    /// Starts a new history of this topic, with a new epoch.
    Epoch(usize),
    /// Pops so many entries.
    Pop(usize),
}

/// The topics of the property test. `n` has no history, so its publications have no offsets.
const TOPICS: [&str; 3] = ["a", "b", "n"];

/// A step. The numbers before `=>` are weights.
fn step() -> impl Strategy<Value = Step> {
    let slow = prop_oneof![2 => Just(Slow::Drop), 1 => Just(Slow::Latest)];
    let ahead = prop_oneof![4 => Just(0), 1 => 1..3_u64];
    prop_oneof![
        12 => (prop::collection::vec((0..3_usize, ahead), 1..4), slow).prop_map(|(to, slow)| Step::Publish(to, slow)),
        2 => (0..3_usize).prop_map(Step::Bound),
        2 => Just(Step::Required),
        1 => Just(Step::Replay),
        1 => (0..2_usize).prop_map(Step::Epoch),
        4 => (1..6_usize).prop_map(Step::Pop),
    ]
}

/// All entries that were pushed and are not accounted for yet, for each topic. A replay is in the list of every topic.
#[derive(Debug, Default)]
struct Model {
    expected: [VecDeque<Expected>; 3],
    /// The epoch number and the newest offset of each topic.
    ends: [(u64, u64); 3],
    /// The number of the newest entry that was pushed.
    pushed: u64,
    /// The number of the newest entry that came out.
    went_out: u64,
    /// Whether a gap of topic `n` came out, and no other entry of `n` since. The gap does not say how many publications
    /// were left out.
    is_vague: bool,
}

/// One entry that must come out.
#[derive(Clone, Debug)]
struct Expected {
    /// The number of the push: later entries have higher numbers.
    number: u64,
    /// The short form of the entry, as `pop` returns it.
    name: String,
    /// The publication, if it may be left out and be part of a gap instead.
    publication: Option<Publication>,
}

impl Model {
    /// The next publication of a topic, after `ahead` skipped offsets.
    fn publication(&mut self, topic: usize, ahead: u64) -> Publication {
        let (epoch, offset) = &mut self.ends[topic];
        *offset += 1 + ahead;
        match TOPICS[topic] {
            "n" => Publication::new("n".into(), offset.to_string().as_str().into(), None),
            topic => publication(topic, *epoch + 1, *offset),
        }
    }

    /// Adds an entry to the list of a topic.
    fn expect(&mut self, topic: usize, name: String, publication: Option<Publication>) {
        self.expected[topic].push_back(Expected { number: self.pushed, name, publication });
    }

    /// Does one step. The backlog takes at most `most` bytes.
    fn push(&mut self, backlog: &mut Backlog, step: &Step, most: usize) {
        self.pushed += 1;
        let ends = self.ends;
        let fits = match step {
            Step::Publish(to, slow) => {
                let all: Vec<_> = to.iter().map(|(topic, ahead)| self.publication(*topic, *ahead)).collect();
                let fits = backlog.push_publications(&all, *slow, most);
                for (publication, (topic, _)) in all.iter().zip(to).filter(|_| fits) {
                    self.pushed += 1;
                    self.expect(*topic, name(publication), Some(publication.clone()));
                }
                fits
            }
            Step::Bound(topic) => {
                let publication = self.publication(*topic, 0);
                let text = format!("{} must go out", name(&publication));
                let fits = backlog.push_required(&[publication], frame(&text), most);
                if fits {
                    self.expect(*topic, text, None);
                }
                fits
            }
            Step::Required => backlog.push_frame(frame("a frame"), most),
            Step::Replay => {
                let name = format!("replay:{}", self.pushed);
                backlog.push_missed(vec![Publication::new(
                    "replay".into(),
                    self.pushed.to_string().as_str().into(),
                    None,
                )]);
                (0..3).for_each(|topic| self.expect(topic, name.clone(), None));
                return;
            }
            Step::Epoch(topic) => {
                self.ends[*topic] = (self.ends[*topic].0 + 1, 0);
                return;
            }
            Step::Pop(times) => {
                self.pop(backlog, *times);
                return;
            }
        };
        match fits {
            true => assert!(backlog.charged() <= most, "{} of {most} bytes", backlog.charged()),
            // The backlog refused the publications, so their offsets are used again: for this reader they were never
            // published.
            false => self.ends = ends,
        }
    }

    /// Pops up to `times` entries and accounts for each. Two gaps of one topic and epoch must not follow each other,
    /// because one gap can report both.
    fn pop(&mut self, backlog: &mut Backlog, times: usize) {
        let mut last_gap = BTreeMap::new();
        for popped in std::iter::from_fn(|| pop(backlog)).take(times).filter(|popped| popped != "a frame") {
            let is_of = |topic: &usize| popped.starts_with("replay") || popped.starts_with(TOPICS[*topic]);
            for topic in (0..3).filter(is_of) {
                let is_gap = self.account(topic, &popped);
                let before = last_gap.insert(topic, popped.split(':').next().map(str::to_owned).filter(|_| is_gap));
                assert!(!is_gap || before != Some(last_gap[&topic].clone()), "{popped} is a second gap");
            }
        }
    }

    /// Removes the expected entries that this entry reports; they must be the oldest of their topic. Returns whether
    /// the entry is a gap.
    fn account(&mut self, topic: usize, popped: &str) -> bool {
        let expected = &mut self.expected[topic];
        while topic == 2
            && self.is_vague
            && popped != "n:?"
            && expected.front().is_some_and(|front| front.name != popped)
        {
            let left_out = expected.pop_front().unwrap();
            assert!(left_out.publication.is_some(), "{left_out:?} did not come before {popped}");
        }
        if let Some(front) = expected.pop_front_if(|front| front.name == popped) {
            assert!(front.number >= self.went_out, "{popped} is out of order");
            self.went_out = front.number;
            self.is_vague &= topic != 2;
            return false;
        }
        let first = expected.pop_front().unwrap_or_else(|| panic!("{popped}, but nothing is expected"));
        let first = first.publication.unwrap_or_else(|| panic!("{popped} instead of {}", first.name));
        if topic == 2 {
            assert_eq!(popped, "n:?");
            self.is_vague = true;
            return true;
        }
        let mut last = first.clone();
        let gap = |last: &Publication| format!("{}-{}", name(&first), last.position().unwrap().offset);
        while gap(&last) != popped {
            let next = expected.pop_front().and_then(|next| next.publication);
            last = next.unwrap_or_else(|| panic!("{popped} names what went out, or was not published, after {last:?}"));
            assert_eq!(epoch(&last), epoch(&first), "{popped}");
        }
        true
    }
}

/// The short form of a publication, as `pop` returns it.
fn name(publication: &Publication) -> String {
    let mut backlog = Backlog::default();
    assert!(backlog.push_publications(std::slice::from_ref(publication), Slow::Drop, usize::MAX));
    pop(&mut backlog).unwrap()
}

/// The cost of all entries in bytes, added up one by one.
fn bytes(backlog: &Backlog) -> usize {
    let frames = backlog.required.charged();
    let publications = backlog.publications.values().map(|waiting| {
        let begins = !waiting.continues;
        cost(&waiting.publication) + if begins { price(waiting.publication.topic()) } else { 0 }
    });
    let skipped = backlog.skipped.values().map(|skipped| price(&skipped.topic));
    frames.chain(publications).chain(skipped).sum()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(1000) })]

    #[test]
    fn every_publication_goes_out_once_and_in_order_or_is_in_one_gap(
        steps in prop::collection::vec((step(), prop_oneof![400..3000_usize, Just(10_000)]), 0..120),
    ) {
        let (mut backlog, mut model) = (Backlog::default(), Model::default());
        for (step, most) in steps {
            model.push(&mut backlog, &step, most);
            prop_assert_eq!(backlog.charged(), bytes(&backlog));
        }
        model.pop(&mut backlog, usize::MAX);
        prop_assert!(drain(&mut backlog).is_empty());
        let [a, b, n] = model.expected;
        prop_assert!(a.is_empty() && b.is_empty(), "{:?} and {:?} did not come", a, b);
        prop_assert!(n.iter().all(|left| model.is_vague && left.publication.is_some()), "{:?} did not come", n);
    }
}
