//! What the hub is told once.

use crate::{LiveBytes, TopicRules};
use std::borrow::Cow;
use std::sync::Arc;

/// What a hub needs to know to greet and to refuse.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Name and version that the welcome tells.
    pub server: Cow<'static, str>,
    /// Milliseconds of quiet after which the caller pings, as the welcome tells.
    pub ping_ms: u64,
    /// Bytes of a whole request that the caller takes, as the welcome tells.
    pub message: usize,
    /// What one session may ask.
    pub limits: Limits,
    /// What topics keep.
    pub rules: TopicRules,
    /// Bytes that all publications kept by the embedded engine may take, and the histories that nobody is subscribed to
    /// by name. A topic's share is this divided by the number of histories, at least 64 KiB: the one furthest above its
    /// share loses its oldest first, and where none is above it, what has gone unused longest goes.
    pub history_max_bytes: usize,
    /// Who counts all publications that somebody holds, if anybody.
    pub live_bytes: Option<Arc<dyn LiveBytes>>,
    /// Nanoseconds of work, as [`Effects::work`](crate::Effects::work) counts it, after which a request is left
    /// [`Unfinished`](crate::Unfinished): some more than that is done at once.
    pub work_at_once: u64,
    /// Makes the epochs of this hub's histories its own: random, and new for every hub. With that of another hub a client
    /// of the one would be told by the other that it has missed nothing.
    pub seed: u64,
}

/// What one session may ask.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Bytes of a topic or pattern; a longer one is `invalid_topic` or `invalid_pattern`.
    pub topic: usize,
    /// Subscriptions at once; one more is `limit_exceeded`. The private topics of a session do not count.
    pub subscriptions: usize,
    /// Requests a second, with a second's worth of burst; `None` is no limit. One more is `rate_limited`, and
    /// who goes on for another second's worth is closed with 4003.
    pub requests_per_second: Option<u32>,
}

impl Settings {
    /// The defaults, and a [`seed`](Settings::seed), for which there is none.
    pub fn with_seed(seed: u64) -> Self {
        Self {
            server: concat!("hubcast/", env!("CARGO_PKG_VERSION")).into(),
            ping_ms: 25_000,
            message: 64 * 1024,
            limits: Limits::default(),
            rules: TopicRules::default(),
            history_max_bytes: 64 * 1024 * 1024,
            live_bytes: None,
            work_at_once: 250_000,
            seed,
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self { topic: 1024, subscriptions: 1000, requests_per_second: None }
    }
}
