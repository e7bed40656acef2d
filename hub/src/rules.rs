//! The rules that say what each topic keeps.

mod index;

pub(crate) use index::RuleIndex;

use crate::TopicAccess;
use hubcast_protocol::{Owner, Pattern, Topic};
use std::time::Duration;

/// The rules of all topics. The first rule that matches a topic decides; the default applies if none does.
#[derive(Clone, Debug, Default)]
pub struct TopicRules {
    /// The rules, in the order in which they are tried.
    pub list: Vec<TopicRule>,
}

/// The policy of all topics that match a pattern.
#[derive(Clone, Debug)]
pub struct TopicRule {
    /// The topics that it applies to.
    pub pattern: Pattern,
    /// What these topics keep.
    pub policy: TopicPolicy,
}

/// What one topic keeps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicPolicy {
    /// The history. `None`: no publication is kept, and that costs nothing.
    pub history: Option<HistoryPolicy>,
    /// The presence. `None`: `presence` requests are refused as `no_presence`.
    pub presence: Option<PresencePolicy>,
    /// The time for which an idempotency key is remembered.
    pub key_window: Duration,
    /// Who may read and publish.
    pub access: TopicAccess,
    /// Whether the server adds to each message who published it and when.
    pub author: bool,
}

/// The bounds of a topic's history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HistoryPolicy {
    /// Most publications.
    pub size: usize,
    /// Longest time that a publication is kept.
    pub ttl: Duration,
    /// Whether the topic must have subscribers.
    pub keep: Retention,
}

/// When a topic's publications are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Retention {
    /// While the topic has subscribers, and after that for at least one `ttl` of the history and at most two.
    InUse,
    /// With and without subscribers.
    Always,
}

/// How a topic reports presence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PresencePolicy {
    /// Whether sessions that ask for it get `join` and `leave` events.
    pub events: bool,
    /// The time from a lost connection to its `leave` event.
    pub grace: Duration,
}

impl TopicRules {
    /// Returns what this topic keeps, by trying one rule after another. The hub uses an index that gives the same
    /// answer.
    pub fn of(&self, topic: &Topic) -> &TopicPolicy {
        decide(topic, || self.rule_of(topic))
    }

    /// The first rule that matches this topic; none for private topics.
    pub(crate) fn rule_of(&self, topic: &Topic) -> Option<&TopicRule> {
        self.list.iter().find(|rule| rule.pattern.matches(topic))
    }

    /// The longest time that any topic remembers a key.
    pub(crate) fn longest_key_window(&self) -> Duration {
        let all = self.list.iter().map(|rule| &rule.policy).chain([&DEFAULT, &NOTHING]);
        all.map(|policy| policy.key_window).max().unwrap_or_default()
    }
}

/// Returns what this topic keeps. `find` finds the first rule that matches; it is not called for private topics.
fn decide<'a>(topic: &Topic, find: impl FnOnce() -> Option<&'a TopicRule>) -> &'a TopicPolicy {
    match topic.owner() {
        // A connection's own topic ends with the connection, so there is nothing to resume.
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

/// The policy without configuration, with which clients can resume: the last 100 publications, for two minutes.
const DEFAULT: TopicPolicy = TopicPolicy {
    history: Some(HistoryPolicy { size: 100, ttl: Duration::from_secs(120), keep: Retention::InUse }),
    presence: None,
    key_window: Duration::from_secs(120),
    access: TopicAccess { subscribe: None, publish: None },
    author: false,
};

const NOTHING: TopicPolicy = TopicPolicy { history: None, ..DEFAULT };
