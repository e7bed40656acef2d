//! One hook, as the configuration says it: where its events go, and which ones.

use super::event::{EventKind, HookEvent};
use super::secret::HookSecret;
use crate::http_url::HttpUrl;
use hubcast_hub::Reporting;
use hubcast_protocol::Pattern;
use std::fmt;
use std::time::Duration;

/// A program of the operator that is told by HTTP what happens.
#[derive(Clone)]
pub struct Hook {
    /// Its name in the log and in metrics.
    pub name: String,
    /// Where its events are sent.
    pub url: HttpUrl,
    /// The secrets by which its events are signed, at least one.
    pub secrets: Vec<HookSecret>,
    /// The root certificates that the receiver must have its own from, as a text in PEM; `None`: those of the operating
    /// system.
    pub roots: Option<String>,
    /// The kinds of events that it gets; `None`: all.
    pub events: Option<Vec<EventKind>>,
    /// The topics whose events it gets; `None`: all. Events that are about no topic do not depend on it.
    pub topics: Option<Vec<Pattern>>,
    /// How much waits for it, and for how long.
    pub limits: HookLimits,
}

/// The limits of a hook.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HookLimits {
    /// Events that may wait to be sent. One more is dropped.
    pub events: usize,
    /// Bytes that may wait to be sent. What does not fit is dropped.
    pub bytes: usize,
    /// The time for one request, up to its answer.
    pub timeout: Duration,
    /// An event that could not be delivered within this time is dropped.
    pub give_up_after: Duration,
}

impl Default for HookLimits {
    fn default() -> Self {
        Self {
            events: 10_000,
            bytes: 8 * 1024 * 1024,
            timeout: Duration::from_secs(15),
            give_up_after: Duration::from_secs(300),
        }
    }
}

impl Hook {
    /// A hook that gets all events, with the usual limits.
    pub fn new(name: impl Into<String>, url: HttpUrl, secret: HookSecret) -> Self {
        let (name, secrets, limits) = (name.into(), vec![secret], HookLimits::default());
        Self { name, url, secrets, roots: None, events: None, topics: None, limits }
    }

    /// Whether a text can be the name of a hook: 1 to 32 small letters, digits, hyphens and underscores.
    pub fn is_name(text: &str) -> bool {
        let is_right = |byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_');
        (1..=32).contains(&text.len()) && text.bytes().all(is_right)
    }

    /// Whether it gets this event.
    pub(super) fn wants(&self, event: &HookEvent) -> bool {
        self.wants_kind(event.kind)
            && match (&self.topics, &event.topic, &event.pattern) {
                (Some(wanted), Some(topic), _) => wanted.iter().any(|pattern| pattern.matches(topic)),
                (Some(wanted), None, Some(other)) => wanted.iter().any(|pattern| pattern.covers(other)),
                _ => true,
            }
    }

    fn wants_kind(&self, kind: EventKind) -> bool {
        self.events.as_ref().is_none_or(|wanted| wanted.contains(&kind))
    }

    /// What the hub has to tell for these hooks.
    pub(crate) fn reporting(hooks: &[Self]) -> Reporting {
        let wanted = |kinds: &[EventKind]| kinds.iter().any(|kind| hooks.iter().any(|hook| hook.wants_kind(*kind)));
        if wanted(&EventKind::ALL[4..]) {
            Reporting::Topics
        } else if wanted(&EventKind::ALL[2..4]) {
            Reporting::Sessions
        } else {
            Reporting::Nothing
        }
    }
}

/// Shows no secret, and no more of the address than its host.
impl fmt::Debug for Hook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, url, secrets, events, topics, limits, roots } = self;
        f.debug_struct("Hook")
            .field("name", name)
            .field("host", &url.host())
            .field("secrets", &secrets.len())
            .field("has_roots", &roots.is_some())
            .field("events", events)
            .field("topics", topics)
            .field("limits", limits)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hubcast_protocol::Target;

    fn hook() -> Hook {
        let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".parse().unwrap();
        Hook::new("a", "https://me.example/canary?canary".parse().unwrap(), secret)
    }

    #[test]
    fn a_hook_gets_the_events_and_topics_that_it_asks_for() {
        let all = hook();
        let some = Hook {
            events: Some(vec![EventKind::ServerStarted, EventKind::TopicOccupied, EventKind::TopicSubscribed]),
            topics: Some(vec!["orders.>".parse().unwrap()]),
            ..hook()
        };
        let of = |kind| HookEvent::new(kind, 0);
        let topic = |name: &str| Target::Topic(name.into());
        let pattern = |text: &str| Target::Pattern(text.parse().unwrap());
        for (event, wanted) in [
            (of(EventKind::ServerStarted), true),
            (of(EventKind::ServerDraining), false),
            (of(EventKind::TopicOccupied).about(topic("orders.1")), true),
            (of(EventKind::TopicOccupied).about(topic("news")), false),
            (of(EventKind::TopicVacant).about(topic("orders.1")), false),
            (of(EventKind::TopicSubscribed).about(pattern("orders.*")), true),
            (of(EventKind::TopicSubscribed).about(pattern(">")), false),
        ] {
            assert!(all.wants(&event));
            assert_eq!(some.wants(&event), wanted, "{event:?}");
        }
    }

    #[test]
    fn the_hub_tells_no_more_than_some_hook_wants() {
        let with = |events: &[EventKind]| Hook { events: Some(events.to_vec()), ..hook() };
        let (server, client) = (with(&[EventKind::ServerStarted]), with(&[EventKind::ClientDisconnected]));
        let topic = with(&[EventKind::TopicVacant]);
        assert_eq!(Hook::reporting(&[]), Reporting::Nothing);
        assert_eq!(Hook::reporting(std::slice::from_ref(&server)), Reporting::Nothing);
        assert_eq!(Hook::reporting(&[server.clone(), client.clone()]), Reporting::Sessions);
        assert_eq!(Hook::reporting(&[topic, client, server]), Reporting::Topics);
        assert_eq!(Hook::reporting(&[hook()]), Reporting::Topics);
    }

    #[test]
    fn a_hook_shows_no_secret_and_no_path() {
        let shown = format!("{:?}", hook());
        assert!(shown.contains("me.example") && !shown.contains("canary") && !shown.contains("MfKQ"), "{shown}");
    }
}
