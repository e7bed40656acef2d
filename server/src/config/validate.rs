//! The rules for a [`Config`], for programs that embed the server and for the binary.

use super::{Config, MAX_WORKERS};
use crate::hooks::Hook;
use std::collections::HashSet;
use std::fmt;
use std::time::Duration;

/// Every rule that a [`Config`] breaks.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConfigError {
    /// At least one, in the order of the fields.
    pub invalid: Vec<InvalidSetting>,
}

/// One field with a value that is not allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct InvalidSetting {
    /// The field's path, such as `timeouts.ping`.
    pub field: &'static str,
    /// What the field must be.
    pub allowed: Allowed,
}

/// The allowed values of a field of a [`Config`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Allowed {
    /// In words that follow "must be".
    Words(&'static str),
    /// No larger or longer than this other field.
    AtMost(&'static str),
    /// No smaller than this other field.
    AtLeast(&'static str),
}

impl Config {
    /// The largest value of [`max_connections`](Self::max_connections): as many as the hub can distinguish on one
    /// worker.
    pub const MAX_CONNECTIONS: usize = 1 << 24;

    /// Checks whether a server can run with this configuration.
    ///
    /// # Errors
    /// Every rule that is broken.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let rules = [numbers(self), sizes(self), waits(self), kept(self), beside_each_other(self)];
        let invalid: Vec<_> = rules.iter().flatten().filter(|(_, holds, _)| !holds).collect();
        let invalid: Vec<_> =
            invalid.into_iter().map(|(field, _, allowed)| InvalidSetting { field, allowed: *allowed }).collect();
        if invalid.is_empty() { Ok(()) } else { Err(ConfigError { invalid }) }
    }
}

/// A field, whether its value is allowed, and what is allowed.
type Rule = (&'static str, bool, Allowed);

fn numbers(config: &Config) -> Vec<Rule> {
    let workers = config.workers.is_none_or(|workers| (1..=MAX_WORKERS).contains(&workers));
    let connections = (1..=Config::MAX_CONNECTIONS).contains(&config.max_connections);
    let rate = config.limits.requests_per_second != Some(0);
    vec![
        ("workers", workers, Allowed::Words("1 to 256")),
        ("max_connections", connections, Allowed::Words("at least 1 and at most 16777216")),
        (
            "http.headers",
            (1..=MAX_HEADERS).contains(&config.http.headers),
            Allowed::Words("at least 1 and at most 10000"),
        ),
        ("hooks", are_hooks(&config.hooks), Allowed::Words("hooks with different names, each with a secret")),
        ("messages.fragments", config.messages.fragments > 0, Allowed::Words("at least 1")),
        ("limits.subscriptions", config.limits.subscriptions > 0, Allowed::Words("at least 1")),
        ("limits.requests_per_second", rate, Allowed::Words("at least 1, or no limit")),
    ]
}

fn are_hooks(hooks: &[Hook]) -> bool {
    let names: HashSet<_> = hooks.iter().map(|hook| &*hook.name).collect();
    names.len() == hooks.len() && hooks.iter().all(|hook| Hook::is_name(&hook.name) && !hook.secrets.is_empty())
}

fn sizes(config: &Config) -> Vec<Rule> {
    let topic = Allowed::Words("at least 36, the length of a connection's own topic");
    let mut rules = vec![
        ("http.head", config.http.head >= MIN_HEAD_BYTES, Allowed::Words("at least 8KiB")),
        ("messages.frame", config.messages.frame > 0, Allowed::Words("at least 1")),
        ("limits.topic", config.limits.topic >= UUID, topic),
    ];
    let all = [
        ("http.head", config.http.head),
        ("messages.message", config.messages.message),
        ("outbox", config.outbox),
        ("max_waiting", config.max_waiting),
        ("linger_bytes", config.linger_bytes),
        ("history_max_bytes", config.history_max_bytes),
    ];
    rules.extend(all.map(|(field, bytes)| (field, bytes as u64 <= MAX_BYTES, Allowed::Words("at most 1024GiB"))));
    rules
}

fn waits(config: &Config) -> Vec<Rule> {
    let times = &config.timeouts;
    let needed = [
        ("timeouts.head", times.head),
        ("timeouts.upgrade", times.upgrade),
        ("timeouts.message", times.message),
        ("timeouts.ping", times.ping),
        ("timeouts.pong", times.pong),
        ("timeouts.heartbeat", times.heartbeat),
        ("timeouts.write", times.write),
        ("timeouts.close", times.close),
    ];
    let optional = [
        ("timeouts.linger", times.linger),
        ("timeouts.publisher_pause", times.publisher_pause),
        ("drain.spread", config.drain.spread),
        ("drain.deadline", config.drain.deadline),
    ];
    let is_something = needed.map(|(field, wait)| (field, !wait.is_zero(), Allowed::Words("longer than nothing")));
    let ends = needed.into_iter().chain(optional).map(|(field, wait)| (field, wait <= MAX_DURATION, AN_END));
    is_something.into_iter().chain(ends).collect()
}

fn kept(config: &Config) -> Vec<Rule> {
    let policy = config.rules.list.iter().map(|rule| &rule.policy);
    policy
        .flat_map(|policy| {
            let (size, ttl) =
                policy.history.as_ref().map_or((1, Duration::ZERO), |history| (history.size, history.ttl));
            let grace = policy.presence.as_ref().map_or(Duration::ZERO, |presence| presence.grace);
            [
                ("rules.history.size", size > 0, Allowed::Words("at least 1")),
                ("rules.history.ttl", ttl <= MAX_DURATION, AN_END),
                ("rules.presence.grace", grace <= MAX_DURATION, AN_END),
                ("rules.key_window", policy.key_window <= MAX_DURATION, AN_END),
            ]
        })
        .collect()
}

fn beside_each_other(config: &Config) -> Vec<Rule> {
    let message = config.messages.message;
    vec![
        ("messages.frame", config.messages.frame <= message, Allowed::AtMost("messages.message")),
        ("limits.topic", config.limits.topic <= message, Allowed::AtMost("messages.message")),
        ("outbox", config.outbox >= message, Allowed::AtLeast("messages.message")),
        ("max_waiting", config.max_waiting >= config.outbox, Allowed::AtLeast("outbox")),
        ("drain.spread", config.drain.spread <= config.drain.deadline, Allowed::AtMost("drain.deadline")),
    ]
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, InvalidSetting { field, allowed }) in self.invalid.iter().enumerate() {
            let separator = if number == 0 { "" } else { "; " };
            write!(f, "{separator}{field} must be {allowed}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Allowed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Words(words) => f.write_str(words),
            Self::AtMost(other) => write!(f, "at most {other}"),
            Self::AtLeast(other) => write!(f, "at least {other}"),
        }
    }
}

impl std::error::Error for ConfigError {}

/// The memory for this many is allocated while a head is read.
const MAX_HEADERS: usize = 10_000;

/// The smallest value that hyper accepts.
const MIN_HEAD_BYTES: usize = 8 * 1024;

/// Bytes of a UUID as text, which is the name of a private topic.
const UUID: usize = 36;

/// More memory than any machine has, and small enough that sums of sizes do not overflow.
const MAX_BYTES: u64 = 1 << 40;

/// A longer wait is a mistake; the end of an unlimited one could not be written as a time.
const MAX_DURATION: Duration = Duration::from_secs(30 * 24 * 3600);
const AN_END: Allowed = Allowed::Words("30 days at most");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_is_named_at_once_with_what_is_allowed() {
        let mut config = Config { max_connections: usize::MAX, outbox: 1, ..Config::default() };
        (config.http.head, config.timeouts.ping, config.timeouts.pong) = (4096, Duration::MAX, Duration::ZERO);
        let expected = "max_connections must be at least 1 and at most 16777216; http.head must be at least 8KiB; \
                        timeouts.pong must be longer than nothing; timeouts.ping must be 30 days at most; \
                        outbox must be at least messages.message";
        assert_eq!(config.validate().unwrap_err().to_string(), expected);
    }

    #[test]
    fn the_defaults_hold() {
        assert_eq!(Config::default().validate(), Ok(()));
    }
}
