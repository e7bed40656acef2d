//! What a topic keeps, by its name.

mod index;

pub(crate) use index::RuleIndex;

use hubcast_protocol::{Owner, Pattern, Topic};
use std::time::Duration;

/// What topics keep: the first rule that matches decides, and the default where none does.
#[derive(Clone, Debug, Default)]
pub struct TopicRules {
    /// In the order in which they are tried.
    pub list: Vec<TopicRule>,
}

/// What the topics keep that match a pattern.
#[derive(Clone, Debug)]
pub struct TopicRule {
    /// Which topics.
    pub pattern: Pattern,
    /// What they keep.
    pub policy: TopicPolicy,
}

/// What a topic keeps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicPolicy {
    /// Its publications; `None`: nothing, and nothing is paid for it.
    pub history: Option<HistoryPolicy>,
    /// Who is there; `None`: `presence` is refused with `no_presence`.
    pub presence: Option<PresencePolicy>,
    /// How long an idempotency key is remembered.
    pub key_window: Duration,
}

/// How much of a topic's publications is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HistoryPolicy {
    /// At most so many publications.
    pub size: usize,
    /// At most for so long.
    pub ttl: Duration,
    /// Whether somebody has to listen.
    pub keep: Retention,
}

/// When publications are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retention {
    /// While somebody listens, and after that at least as long again as the history's `ttl`, at most twice as long.
    InUse,
    /// Whether somebody listens or not.
    Always,
}

/// How presence is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PresencePolicy {
    /// Whether those who ask for it get `join` and `leave` events.
    pub events: bool,
    /// How long after a lost connection its `leave` is told.
    pub grace: Duration,
}

impl TopicRules {
    /// What this topic keeps, by trying one rule after another. The hub has an index that says the same.
    pub fn of(&self, topic: &Topic) -> &TopicPolicy {
        decide(topic, || self.list.iter().find(|rule| rule.pattern.matches(topic)))
    }

    /// How long a key is remembered at most, whatever its topic.
    pub(crate) fn longest_key_window(&self) -> Duration {
        let all = self.list.iter().map(|rule| &rule.policy).chain([&DEFAULT, &NOTHING]);
        all.map(|policy| policy.key_window).max().unwrap_or_default()
    }
}

/// What this topic keeps, given how to find the first rule that matches. Rules are not for private topics.
fn decide<'a>(topic: &Topic, find: impl FnOnce() -> Option<&'a TopicRule>) -> &'a TopicPolicy {
    match topic.owner() {
        // A connection's own topic ends with it: nobody could resume.
        Some(Owner::Client(_) | Owner::Nobody) => &NOTHING,
        Some(Owner::User(_)) => &DEFAULT,
        None => find().map_or(&DEFAULT, |rule| &rule.policy),
    }
}

impl Default for TopicPolicy {
    fn default() -> Self {
        DEFAULT
    }
}

/// Without configuration resuming works: the last 100 publications for two minutes.
const DEFAULT: TopicPolicy = TopicPolicy {
    history: Some(HistoryPolicy { size: 100, ttl: Duration::from_secs(120), keep: Retention::InUse }),
    presence: None,
    key_window: Duration::from_secs(120),
};

const NOTHING: TopicPolicy = TopicPolicy { history: None, presence: None, key_window: Duration::from_secs(120) };
