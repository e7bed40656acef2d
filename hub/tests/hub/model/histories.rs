//! What topics keep, as lists that are only added to: what a rule drops is left out when the list is read.

use hubcast_hub::engine::{EngineCall, EngineRequest, EngineResponse, Ticket};
use hubcast_hub::engine::{Outcome, SubscribeState};
use hubcast_hub::{Engine, HistoryPolicy, HistorySnapshot, Memory, Publication, Retention, Settings, TopicRules};
use hubcast_protocol::request::{Key, ReadHistory, Start};
use hubcast_protocol::{Epoch, Payload, Position, Target, Topic};
use std::time::{Duration, Instant};

/// Every history there is, and every idempotency key there was.
pub(super) struct Histories {
    rules: TopicRules,
    list: Vec<History>,
    keys: Vec<Used>,
    epochs: Epochs,
}

struct History {
    topic: Topic,
    epoch: Epoch,
    /// Everything that was published in this epoch, with its time.
    said: Vec<(Instant, Publication)>,
    /// When somebody last had a position to resume from: heard it, was told it, or stopped listening.
    used_at: Instant,
    /// When somebody listened last.
    heard_at: Instant,
}

struct Used {
    until: Instant,
    /// Whose key it is: a user's, or anybody's.
    user: Option<Box<str>>,
    topic: Topic,
    key: Key,
    outcome: Outcome,
}

/// Whether a key was used before.
pub(super) enum Repeated {
    No,
    With(Outcome),
    /// A number that its producer used with another topic.
    Elsewhere,
}

impl Histories {
    pub(super) fn new(settings: &Settings) -> Self {
        let (rules, epochs) = (settings.rules.clone(), Epochs::new(settings.seed));
        Self { rules, list: Vec::new(), keys: Vec::new(), epochs }
    }

    /// What is left when another process takes up what this one saved.
    pub(super) fn restored(self, now: Instant, settings: &Settings) -> Self {
        let list = self.list.into_iter().map(|history| History { used_at: now, heard_at: now, ..history }).collect();
        Self { list, keys: self.keys, ..Self::new(settings) }
    }

    /// What became of a publication with this key whose window is open. A script is too short for a number to be too
    /// low: `hub/src/engine/memory/keys/window.rs` has a model of that.
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

    pub(super) fn remember(&mut self, now: Instant, user: Option<Box<str>>, topic: &Topic, key: Key, outcome: Outcome) {
        let until = now + self.rules.of(topic).key_window;
        self.keys.push(Used { until, user, topic: topic.clone(), key, outcome });
    }

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

    pub(super) fn open(&mut self, now: Instant, target: &Target, start: &Start) -> SubscribeState {
        let mut opened = SubscribeState::default();
        match (target, start) {
            (Target::Topic(topic), start) => {
                opened.recovered = matches!(start, Start::After(_) | Start::AfterEach(_)).then_some(false);
                if self.rule(topic).is_some() {
                    opened.position = Some(self.find_or_create(now, topic).position());
                    match start {
                        Start::After(after) => {
                            let missed = self.after(now, topic, *after);
                            opened.recovered = Some(missed.is_some());
                            opened.missed = missed.unwrap_or_default();
                        }
                        Start::Last(count) => opened.missed = last(self.kept(now, topic), *count as usize),
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

    /// The end of a history and what was asked for of it.
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

    /// Nobody listens to a topic any more.
    pub(super) fn release(&mut self, now: Instant, topic: &Topic) {
        if let Some(at) = self.find(topic) {
            self.list[at].used_at = now;
        }
    }

    /// Forgets what the hub has forgotten after so long: nothing that is heard or could be resumed, and at the latest
    /// what could not be resumed for as long again. A look-over is a second late at most, and there are two.
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
            // An engine elsewhere is not told that the last one has gone while another is about to listen.
            if is_wanted(&history.topic) {
                history.heard_at = now;
            }
            if has_subscribers {
                history.heard_at = now;
                // A pattern that comes when nobody was there finds it by chance, and knows no position of it.
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

    fn rule(&self, topic: &Topic) -> Option<HistoryPolicy> {
        self.rules.of(topic).history.clone()
    }

    fn find(&self, topic: &Topic) -> Option<usize> {
        self.list.iter().position(|history| history.topic == *topic)
    }

    fn find_or_create(&mut self, now: Instant, topic: &Topic) -> &mut History {
        let at = self.find(topic).unwrap_or_else(|| {
            let epoch = self.epochs.next();
            self.list.push(History { topic: topic.clone(), epoch, said: Vec::new(), used_at: now, heard_at: now });
            self.list.len() - 1
        });
        &mut self.list[at]
    }

    /// What the rule leaves of a topic's history.
    fn kept(&self, now: Instant, topic: &Topic) -> Vec<Publication> {
        let (Some(rule), Some(at)) = (self.rule(topic), self.find(topic)) else { return Vec::new() };
        let young = self.list[at].said.iter().filter(|(at, _)| *at + rule.ttl > now);
        last(young.map(|(_, publication)| publication.clone()).collect(), rule.size)
    }

    /// Everything after a position, if all of it is kept.
    fn after(&self, now: Instant, topic: &Topic, after: Position) -> Option<Vec<Publication>> {
        let end = self.list[self.find(topic)?].position();
        let kept = self.kept(now, topic);
        let first = end.offset + 1 - kept.len() as u64;
        let is_here = after.epoch == end.epoch && after.offset + 1 >= first && after.offset <= end.offset;
        is_here.then(|| last(kept, usize::try_from(end.offset - after.offset).expect("a script is short")))
    }
}

impl History {
    fn position(&self) -> Position {
        Position { epoch: self.epoch, offset: self.said.len() as u64 }
    }
}

/// The epochs of a process: the nth history that it begins has the nth.
struct Epochs {
    /// Begins histories for nothing but their epochs.
    source: Memory,
    count: u64,
}

impl Epochs {
    fn new(seed: u64) -> Self {
        Self { source: Memory::new(TopicRules::default(), usize::MAX, seed), count: 0 }
    }

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

/// How much later than it could a history is looked over.
const LOOK_OVER: Duration = Duration::from_secs(1);

fn last(mut list: Vec<Publication>, count: usize) -> Vec<Publication> {
    list.split_off(list.len().saturating_sub(count))
}
