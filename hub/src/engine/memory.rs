//! The embedded engine: histories and idempotency keys in memory.

mod history;
mod history_store;
mod keys;
mod snapshot;
mod upkeep;

pub use snapshot::{EntrySnapshot, HistorySnapshot, KeySnapshot, NumberSnapshot, ProducerSnapshot, Snapshot};
pub use upkeep::Evicted;

use crate::engine::{
    Engine, EngineCall, EngineNotice, EngineRequest, EngineResponse, HistoryPage, Keyed, Outcome, SubscribeState,
};
use crate::rules::{HistoryPolicy, Retention, RuleIndex, TopicRules};
use crate::{LiveBytes, Publication};
pub(crate) use history::Dropped;
use history::{History, Size};
use history_store::HistoryStore;
use hubcast_protocol::event::Author;
use hubcast_protocol::request::{ReadHistory, Start};
use hubcast_protocol::{Epoch, ErrorCode, ErrorReply, Pattern, Payload, Position, Target, Topic};
use keys::Keys;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The embedded engine. It answers at once from this process's memory. Histories and keys are bounded in bytes.
#[derive(Debug)]
pub struct Memory {
    rules: RuleIndex,
    /// Counts how often the rules were replaced.
    rules_version: u32,
    /// Most bytes of all histories together.
    most_bytes: usize,
    by_topic: HashMap<Topic, u32>,
    histories: HistoryStore,
    keys: Keys,
    /// The next look-over of each history that has one planned.
    due: BTreeSet<(Instant, u32)>,
    epochs: EpochSource,
    /// Until then, publications are kept beyond the size of their history, for clients that will reconnect.
    awaits_until: Option<Instant>,
    dropped: Dropped,
    evicted: Evicted,
    live: Option<Arc<dyn LiveBytes>>,
    /// The number of missed publications after which one answer to a pattern's [`EngineRequest::Open`] looks at no
    /// further topic.
    most_missed: usize,
}

/// The source of the epochs of histories. Within a process no two are the same; those of two processes are the same
/// only by chance.
#[derive(Debug)]
struct EpochSource {
    state: u64,
}

impl Memory {
    /// Makes an engine that keeps what `rules` say, within `most_bytes`. `seed` makes the epochs of this process
    /// different from those of others.
    pub fn new(rules: TopicRules, most_bytes: usize, seed: u64) -> Self {
        Self {
            rules: RuleIndex::new(rules),
            rules_version: 0,
            most_bytes,
            by_topic: HashMap::new(),
            histories: HistoryStore::default(),
            keys: Keys::default(),
            due: BTreeSet::new(),
            epochs: EpochSource { state: seed },
            awaits_until: None,
            dropped: Dropped::default(),
            evicted: Evicted::default(),
            live: None,
            most_missed: usize::MAX,
        }
    }

    /// Puts other rules in force. What a topic keeps changes when it is used next.
    pub(crate) fn reload(&mut self, rules: TopicRules) {
        self.rules = RuleIndex::new(rules);
        self.rules_version += 1;
    }

    /// Makes the history of a topic follow the rules that are in force now.
    fn follow_rules(&mut self, topic: &Topic) {
        let Some(&id) = self.by_topic.get(topic).filter(|_| self.rules_version > 0) else { return };
        if self.histories.get(id).rules_version == self.rules_version {
            return;
        }
        match &self.rules.of(topic).history {
            Some(rule) => self.histories.get_mut(id).follow(rule.clone(), self.rules_version),
            None => self.forget(id),
        }
    }

    /// Sets the counter of all publications that are made from now on.
    pub fn counted_by(self, live: Option<Arc<dyn LiveBytes>>) -> Self {
        Self { live, ..self }
    }

    /// Makes the engine answer in parts when a pattern has missed this many publications or more.
    pub fn answering_in_parts(self, most_missed: NonZeroUsize) -> Self {
        Self { most_missed: most_missed.get(), ..self }
    }

    /// Keeps publications beyond the size of their history until then, as long as all histories together are within
    /// their bound. Called when all clients are disconnected: they will have missed more than the rules keep.
    pub fn await_return(&mut self, until: Instant) {
        self.awaits_until = Some(until);
    }

    /// Bytes that can be given back: all publications, and the histories that have no subscriber by name.
    pub fn history_bytes(&self) -> usize {
        self.histories.bytes()
    }

    /// Bytes of all publications in the histories.
    pub fn publication_bytes(&self) -> usize {
        self.histories.publication_bytes()
    }

    /// The number of histories.
    pub fn histories(&self) -> usize {
        self.histories.len()
    }

    /// The end of a topic's history, if it has one now.
    pub fn position(&self, topic: &Topic) -> Option<Position> {
        self.by_topic.get(topic).map(|&id| self.histories.get(id).position())
    }

    /// The number of publications that are kept of a topic.
    pub(crate) fn kept(&self, topic: &Topic) -> usize {
        self.by_topic.get(topic).map_or(0, |&id| self.histories.get(id).len())
    }

    /// The topic of the history at an index below [`entries`](Self::entries), if there is one.
    pub(crate) fn topic_at(&self, index: u32) -> Option<&Topic> {
        self.histories.contains(index).then(|| self.histories.get(index).topic())
    }

    /// The number of indexes of histories; some may be unused.
    pub(crate) fn entries(&self) -> usize {
        self.histories.capacity()
    }

    /// Drops the publications of a topic. Returns how many there were.
    pub(crate) fn delete_history(&mut self, topic: &Topic) -> usize {
        let Some(&id) = self.by_topic.get(topic) else { return 0 };
        let dropped = self.histories.get_mut(id).clear();
        self.histories.recount(id);
        dropped
    }

    /// What was dropped so far because all histories together were over their bound.
    pub fn evicted(&self) -> Evicted {
        self.evicted
    }

    /// What was dropped so far because of the rules' ages and sizes.
    pub(crate) fn dropped(&self) -> Dropped {
        self.dropped
    }

    fn publish(
        &mut self,
        now: Instant,
        topic: Topic,
        (payload, author): (Payload, Option<Box<Author>>),
        key: Option<&Keyed>,
        has_subscribers: bool,
    ) -> EngineResponse {
        let known = key.map_or(Ok(None), |key| self.keys.find(now, &topic, key));
        let known = match known {
            Ok(known) => known,
            Err(fault) => return EngineResponse::Failed(fault),
        };
        if let Some(outcome) = known {
            let position = outcome.position.filter(|position| self.is_current(&topic, position.epoch));
            return EngineResponse::Repeated(Outcome { position, ..outcome });
        }
        self.follow_rules(&topic);
        let id = match self.by_topic.get(&topic) {
            Some(&id) => id,
            None => match &self.rules.of(&topic).history {
                Some(rule) if has_subscribers || rule.keep == Retention::Always => {
                    self.create(now, &topic, rule.clone())
                }
                _ => {
                    // Without receivers it is dropped at once, so it need not be counted. A private topic can have
                    // a receiver that has not subscribed.
                    let is_heard = has_subscribers || topic.owner().is_some();
                    let live = self.live.as_ref().filter(|_| is_heard);
                    let publication = Publication::counted(topic, payload, None, author, live);
                    return EngineResponse::Published(publication);
                }
            },
        };
        let size = self.size(now);
        let history = self.histories.get_mut(id);
        history.touch(now, has_subscribers);
        // The history's own copy of the topic, so that all its publications share one text.
        let position = Some(history.next_position());
        let publication = Publication::counted(history.topic().clone(), payload, position, author, self.live.as_ref());
        self.dropped += history.push(now, publication.clone(), size);
        self.account(now, id);
        EngineResponse::Published(publication)
    }

    fn is_current(&self, topic: &Topic, epoch: Epoch) -> bool {
        self.by_topic.get(topic).is_some_and(|&id| self.histories.get(id).position().epoch == epoch)
    }

    fn open(&mut self, now: Instant, target: Target, start: Start) -> EngineResponse {
        match target {
            Target::Topic(topic) => EngineResponse::Opened(self.open_topic(now, &topic, &start)),
            Target::Pattern(pattern) => match start {
                Start::AfterEach(positions) => self.open_pattern(now, pattern, positions),
                _ => EngineResponse::Opened(SubscribeState::default()),
            },
        }
    }

    fn open_pattern(
        &mut self,
        now: Instant,
        pattern: Pattern,
        mut positions: BTreeMap<Topic, Position>,
    ) -> EngineResponse {
        let mut opened = SubscribeState::default();
        positions.retain(|topic, after| {
            if opened.missed.len() >= self.most_missed {
                return true;
            }
            if !pattern.matches(topic) {
                return false;
            }
            self.follow_rules(topic);
            match self.by_topic.get(topic).copied().map(|id| self.missed_since(now, id, *after)) {
                Some((Some(missed), position)) => {
                    opened.missed.extend(missed);
                    *after = position;
                    true
                }
                other => {
                    opened.lost.push((topic.clone(), other.map(|(_, position)| position)));
                    false
                }
            }
        });
        opened.recovered = Some(opened.lost.is_empty());
        if opened.missed.len() < self.most_missed {
            return EngineResponse::Opened(opened);
        }
        let rest = EngineRequest::Open { target: pattern.into(), start: Start::AfterEach(positions) };
        EngineResponse::OpenedPart(opened, rest)
    }

    /// Returns the publications after a position, if none of them is missing, and the end of the history.
    fn missed_since(&mut self, now: Instant, id: u32, after: Position) -> (Option<Vec<Publication>>, Position) {
        let history = self.trimmed(now, id);
        // A client that gets a position may resume from it soon.
        history.touch(now, true);
        let found = (history.since(after), history.position());
        self.account(now, id);
        found
    }

    fn open_topic(&mut self, now: Instant, topic: &Topic, start: &Start) -> SubscribeState {
        let asked = matches!(start, Start::After(_) | Start::AfterEach(_) | Start::AfterOrLast(..));
        let lost = SubscribeState { recovered: asked.then_some(false), ..SubscribeState::default() };
        self.follow_rules(topic);
        let id = match self.by_topic.get(topic) {
            Some(&id) => id,
            None => match &self.rules.of(topic).history {
                Some(rule) => self.create(now, topic, rule.clone()),
                None => return lost,
            },
        };
        self.histories.get_mut(id).in_use = true;
        let history = self.trimmed(now, id);
        let position = Some(history.position());
        let opened = match start {
            Start::Live | Start::AfterEach(_) => SubscribeState { position, ..lost },
            Start::Last(count) => SubscribeState { position, missed: history.last(*count as usize), ..lost },
            Start::After(after) | Start::AfterOrLast(after, _) => match (history.since(*after), start) {
                (Some(missed), _) => SubscribeState { position, recovered: Some(true), missed, lost: Vec::new() },
                (None, Start::AfterOrLast(_, count)) => {
                    SubscribeState { position, missed: history.last(*count as usize), ..lost }
                }
                (None, _) => SubscribeState { position, ..lost },
            },
        };
        self.account(now, id);
        opened
    }

    fn read(&mut self, now: Instant, read: &ReadHistory) -> EngineResponse {
        self.follow_rules(&read.topic);
        let Some(&id) = self.by_topic.get(&read.topic) else {
            let reason = match self.rules.of(&read.topic).history {
                Some(_) => "nothing of this topic is kept now",
                None => "this topic keeps no history",
            };
            return EngineResponse::Failed(ErrorReply::new(ErrorCode::NoHistory, reason));
        };
        let history = self.trimmed(now, id);
        let limit = read.limit.map_or(usize::MAX, |limit| limit as usize);
        let position = history.position();
        let publications = match read.since {
            Some(since) if since.epoch == position.epoch => history.from(since, limit),
            _ => history.last(limit),
        };
        self.account(now, id);
        EngineResponse::HistoryPage(HistoryPage { position, publications })
    }

    fn create(&mut self, now: Instant, topic: &Topic, rule: HistoryPolicy) -> u32 {
        let mut history = History::new(now, topic.clone(), rule, self.epochs.next(), 0);
        history.rules_version = self.rules_version;
        let id = self.histories.insert(history);
        self.by_topic.insert(topic.clone(), id);
        id
    }

    /// Returns a history after dropping what has expired.
    fn trimmed(&mut self, now: Instant, id: u32) -> &mut History {
        let size = self.size(now);
        let history = self.histories.get_mut(id);
        self.dropped += history.trim(now, size);
        history
    }

    fn size(&self, now: Instant) -> Size {
        if self.awaits_until.is_some_and(|until| now < until) { Size::Any } else { Size::OfTheRule }
    }
}

impl Engine for Memory {
    fn ask(&mut self, now: Instant, ask: EngineCall) -> Result<EngineResponse, EngineCall> {
        Ok(match ask.question {
            EngineRequest::Publish { topic, payload, author, key, has_subscribers } => {
                self.publish(now, topic, (payload, author), key.as_ref(), has_subscribers)
            }
            EngineRequest::Open { target, start } => self.open(now, target, start),
            EngineRequest::Read(read) => self.read(now, &read),
        })
    }

    fn tell(&mut self, now: Instant, notice: EngineNotice<'_>) {
        match notice {
            EngineNotice::Unused(topic) => {
                if let Some(&id) = self.by_topic.get(topic) {
                    self.histories.get_mut(id).release(now);
                    self.account(now, id);
                }
            }
            EngineNotice::Delivered { topic, key, outcome } => {
                let window = self.rules.of(topic).key_window;
                self.keys.remember(now, topic, key, outcome, window);
            }
        }
    }

    fn poll_timeout(&self) -> Option<Instant> {
        let histories = self.due.first().map(|(at, _)| *at);
        let keys = self.keys.next().map(|at| at + EXPIRY_SLACK);
        histories.into_iter().chain(keys).min()
    }

    fn handle_timeout(&mut self, now: Instant, has_subscribers: &mut dyn FnMut(&Topic) -> Option<bool>) {
        self.keys.expire(now);
        self.look_over(now, has_subscribers);
    }
}

impl EpochSource {
    /// Returns the next number of the splitmix64 sequence (Steele, Lea and Flood, "Fast splittable pseudorandom number
    /// generators", 2014). The sequence repeats no number.
    fn next(&mut self) -> Epoch {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        Epoch::from_random(mixed ^ (mixed >> 31))
    }
}

/// The time by which the look-over of a history or key is delayed, so that one call does several at once, which costs
/// less.
const EXPIRY_SLACK: Duration = Duration::from_secs(1);
