//! The model's histories and idempotency keys, as lists that only grow. What a rule's size or time drops is left out
//! when a list is read.

use hubcast_hub::engine::{EngineCall, EngineRequest, EngineResponse, Ticket};
use hubcast_hub::engine::{Outcome, SubscribeState};
use hubcast_hub::{Engine, HistoryPolicy, HistorySnapshot, Memory, Publication, Retention, Settings, TopicRules};
use hubcast_protocol::request::{Key, ReadHistory, Start};
use hubcast_protocol::{Epoch, Payload, Position, Target, Topic};
use std::time::{Duration, Instant};

/// Every history that exists, and every idempotency key that was ever used.
pub(super) struct Histories {
    rules: TopicRules,
    list: Vec<History>,
    keys: Vec<Used>,
    epochs: Epochs,
}

/// One history.
struct History {
    topic: Topic,
    epoch: Epoch,
    /// Everything that was published in this epoch, each with its time.
    said: Vec<(Instant, Publication)>,
    /// The last time at which a client had a position to resume from: it got a publication or a position, or its
    /// subscription ended.
    used_at: Instant,
    /// The last time at which the topic had a subscriber, or one was about to be added.
    heard_at: Instant,
}

/// One use of an idempotency key.
struct Used {
    /// The end of the key's window.
    until: Instant,
    /// The user whose key it is; `None` for the common set of all connections without a user.
    user: Option<Box<str>>,
    topic: Topic,
    key: Key,
    outcome: Outcome,
}

/// Whether a key was used before, within its window.
pub(super) enum Repeated {
    /// It was not used.
    No,
    /// It was used, with this outcome.
    With(Outcome),
    /// It is a producer's sequence number, which that producer used with another topic.
    Elsewhere,
}

impl Histories {
    /// No histories and no keys.
    pub(super) fn new(settings: &Settings) -> Self {
        let (rules, epochs) = (settings.rules.clone(), Epochs::new(settings.seed));
        Self { rules, list: Vec::new(), keys: Vec::new(), epochs }
    }

    /// The state of another process that restored what this one saved.
    pub(super) fn restored(self, now: Instant, settings: &Settings) -> Self {
        let list = self.list.into_iter().map(|history| History { used_at: now, heard_at: now, ..history }).collect();
        Self { list, keys: self.keys, ..Self::new(settings) }
    }

    /// The outcome of an earlier publication with this key, if its window is open. The model does not know sequence
    /// numbers that are too low, because a script is too short for them: `hub/src/engine/memory/keys/window.rs` has a
    /// model of that.
    pub(super) fn repeated(&self, now: Instant, user: Option<&str>, topic: &Topic, key: Option<&Key>) -> Repeated {
        let is_it = |used: &&Used| {
            let is_the_topics_own = matches!(used.key, Key::Text(_));
            let fits = used.topic == *topic || !is_the_topics_own;
            now < used.until && fits && used.user.as_deref() == user && Some(&used.key) == key
        };
        let Some(used) = self.keys.iter().find(is_it) else { return Repeated::No };
        if used.topic != *topic {
            return Repeated::Elsewhere;
        }
        let Outcome { position, receivers } = used.outcome;
        let epoch = self.find(topic).map(|place| self.list[place].epoch);
        Repeated::With(Outcome { position: position.filter(|position| Some(position.epoch) == epoch), receivers })
    }

    /// Records the outcome of a publication with a key.
    pub(super) fn remember(&mut self, now: Instant, user: Option<Box<str>>, topic: &Topic, key: Key, outcome: Outcome) {
        let until = now + self.rules.of(topic).key_window;
        self.keys.push(Used { until, user, topic: topic.clone(), key, outcome });
    }

    /// Gives a publication its position, if the topic keeps a history. A topic without a history gets one only if it
    /// is `heard` (it has subscribers) or its rule always keeps one.
    pub(super) fn publish(&mut self, now: Instant, topic: Topic, payload: Payload, heard: bool) -> Publication {
        let Some(rule) = self.rule(&topic) else { return Publication::new(topic, payload, None) };
        let matters = heard || rule.keep == Retention::Always;
        if self.find(&topic).is_none() && !matters {
            return Publication::new(topic, payload, None);
        }
        let history = self.find_or_create(now, &topic);
        let position = Position { epoch: history.epoch, offset: history.said.len() as u64 + 1 };
        let publication = Publication::new(topic, payload, Some(position));
        history.said.push((now, publication.clone()));
        if matters {
            history.used_at = now;
        }
        publication
    }

    /// The state of a new subscription: its position, and the publications that it missed.
    pub(super) fn open(&mut self, now: Instant, target: &Target, start: &Start) -> SubscribeState {
        let mut opened = SubscribeState::default();
        match (target, start) {
            (Target::Topic(topic), start) => {
                opened.recovered =
                    matches!(start, Start::After(_) | Start::AfterEach(_) | Start::AfterOrLast(..)).then_some(false);
                if self.rule(topic).is_some() {
                    opened.position = Some(self.find_or_create(now, topic).position());
                    match start {
                        Start::After(after) => {
                            let missed = self.after(now, topic, *after);
                            opened.recovered = Some(missed.is_some());
                            opened.missed = missed.unwrap_or_default();
                        }
                        Start::Last(count) => opened.missed = last(self.kept(now, topic), *count as usize),
                        Start::AfterOrLast(after, count) => match self.after(now, topic, *after) {
                            Some(missed) => (opened.recovered, opened.missed) = (Some(true), missed),
                            None => opened.missed = last(self.kept(now, topic), *count as usize),
                        },
                        Start::Live | Start::AfterEach(_) => {}
                    }
                }
            }
            (Target::Pattern(pattern), Start::AfterEach(each)) => {
                for (topic, after) in each.iter().filter(|(topic, _)| pattern.matches(topic)) {
                    if let Some(at) = self.find(topic) {
                        self.list[at].used_at = now;
                    }
                    match self.after(now, topic, *after) {
                        Some(missed) => opened.missed.extend(missed),
                        None => opened.lost.push((topic.clone(), self.find(topic).map(|at| self.list[at].position()))),
                    }
                }
                opened.recovered = Some(opened.lost.is_empty());
            }
            (Target::Pattern(_), _) => {}
        }
        opened
    }

    /// The end of a history, and the publications of it that a request asks for.
    pub(super) fn read(&self, now: Instant, read: &ReadHistory) -> Option<(Position, Vec<Publication>)> {
        let position = self.list[self.find(&read.topic)?].position();
        let limit = read.limit.map_or(usize::MAX, |limit| limit as usize);
        let kept = self.kept(now, &read.topic);
        let asked = match read.since {
            Some(since) if since.epoch == position.epoch => {
                let after = kept.into_iter().filter(|kept| kept.position().is_some_and(|at| at.offset > since.offset));
                after.take(limit).collect()
            }
            _ => last(kept, limit),
        };
        Some((position, asked))
    }

    /// The last subscription to a topic by its name is gone: the time to live of its history begins.
    pub(super) fn release(&mut self, now: Instant, topic: &Topic) {
        if let Some(at) = self.find(topic) {
            self.list[at].used_at = now;
        }
    }

    /// Forgets the histories that the hub has forgotten while `waited` went by, and checks that it forgot neither too
    /// early nor too late. Too early: the topic has subscribers, or a client could still resume. Too late: no client
    /// could resume for one more `ttl`. The hub looks over a history up to one second late, and a history may need two
    /// look-overs. `hub` are the histories that the hub has now.
    pub(super) fn forget(
        &mut self,
        now: Instant,
        waited: Duration,
        hub: &[HistorySnapshot],
        has_subscribers: impl Fn(&Topic) -> bool,
        is_wanted: impl Fn(&Topic) -> bool,
    ) {
        let rules = self.rules.clone();
        self.list.retain_mut(|history| {
            let kept = hub.iter().any(|saved| (&saved.topic, saved.epoch) == (&history.topic, history.epoch));
            let rule = rules.of(&history.topic).history.as_ref().expect("only topics with a rule have a history");
            let has_subscribers = has_subscribers(&history.topic);
            // While another subscription to the topic waits for the answer of an engine elsewhere, the hub does not
            // send that engine `EngineNotice::Unused`. So the history stays in use.
            if is_wanted(&history.topic) {
                history.heard_at = now;
            }
            if has_subscribers {
                history.heard_at = now;
                // A pattern can begin to reach a topic after a time without subscribers. Then its subscriber knows no
                // position in the history, so the hub may have forgotten it. Only use without such a break counts.
                if now - waited <= history.used_at {
                    history.used_at = now;
                }
            }
            let is_over = !has_subscribers && history.used_at + rule.ttl <= now;
            assert!(kept || is_over, "the hub forgot {:?} too early", history.topic);
            let last = history.used_at.max(history.heard_at);
            assert!(!kept || now <= last + 2 * rule.ttl + 2 * LOOK_OVER, "the hub still keeps {:?}", history.topic);
            kept
        });
        assert_eq!(self.list.len(), hub.len(), "the hub keeps other histories too");
    }

    /// The history policy of a topic, if it keeps a history.
    fn rule(&self, topic: &Topic) -> Option<HistoryPolicy> {
        self.rules.of(topic).history.clone()
    }

    /// The index of a topic's history.
    fn find(&self, topic: &Topic) -> Option<usize> {
        self.list.iter().position(|history| history.topic == *topic)
    }

    /// The history of a topic, which begins now with a new epoch if there is none.
    fn find_or_create(&mut self, now: Instant, topic: &Topic) -> &mut History {
        let at = self.find(topic).unwrap_or_else(|| {
            let epoch = self.epochs.next();
            self.list.push(History { topic: topic.clone(), epoch, said: Vec::new(), used_at: now, heard_at: now });
            self.list.len() - 1
        });
        &mut self.list[at]
    }

    /// The publications that the rule's time and size leave of a topic's history.
    fn kept(&self, now: Instant, topic: &Topic) -> Vec<Publication> {
        let (Some(rule), Some(at)) = (self.rule(topic), self.find(topic)) else { return Vec::new() };
        let young = self.list[at].said.iter().filter(|(at, _)| *at + rule.ttl > now);
        last(young.map(|(_, publication)| publication.clone()).collect(), rule.size)
    }

    /// Everything after a position, if the history still has all of it.
    fn after(&self, now: Instant, topic: &Topic, after: Position) -> Option<Vec<Publication>> {
        let end = self.list[self.find(topic)?].position();
        let kept = self.kept(now, topic);
        let first = end.offset + 1 - kept.len() as u64;
        let is_here = after.epoch == end.epoch && after.offset + 1 >= first && after.offset <= end.offset;
        is_here.then(|| last(kept, usize::try_from(end.offset - after.offset).expect("a script is short")))
    }
}

impl History {
    /// The end of the history.
    fn position(&self) -> Position {
        Position { epoch: self.epoch, offset: self.said.len() as u64 }
    }
}

/// The epochs of a process. They depend on the seed and on the number of histories begun before.
struct Epochs {
    /// An engine with the same seed, which opens histories only to show their epochs.
    source: Memory,
    /// The number of epochs given out.
    count: u64,
}

impl Epochs {
    fn new(seed: u64) -> Self {
        Self { source: Memory::new(TopicRules::default(), usize::MAX, seed), count: 0 }
    }

    /// The epoch of the next history that this process begins.
    fn next(&mut self) -> Epoch {
        self.count += 1;
        let target = Topic::new(self.count.to_string()).into();
        let ask =
            EngineCall { ticket: Ticket(self.count), question: EngineRequest::Open { target, start: Start::Live } };
        match self.source.ask(Instant::now(), ask) {
            Ok(EngineResponse::Opened(SubscribeState { position: Some(position), .. })) => position.epoch,
            other => panic!("a history is not opened: {other:?}"),
        }
    }
}

/// The longest time by which a look-over of a history may be late.
const LOOK_OVER: Duration = Duration::from_secs(1);

/// The last `count` publications of a list.
fn last(mut list: Vec<Publication>, count: usize) -> Vec<Publication> {
    list.split_off(list.len().saturating_sub(count))
}
