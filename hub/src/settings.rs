//! The settings of a hub, given when it is made.

use crate::{LiveBytes, TopicRules};
use std::borrow::Cow;
use std::sync::Arc;

/// Everything that a hub has to know from its caller.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Name and version of the server, for the welcome.
    pub server: Cow<'static, str>,
    /// Milliseconds without traffic after which the caller sends a ping, for the welcome.
    pub ping_ms: u64,
    /// Largest request that the caller accepts, in bytes, for the welcome.
    pub message: usize,
    /// The limits of one session.
    pub limits: Limits,
    /// What each topic keeps.
    pub rules: TopicRules,
    /// Most bytes of all publications that the embedded engine keeps, together with the histories that have no
    /// subscriber by name. A topic's share is this divided by the number of histories, at least 64 KiB. The history
    /// furthest above its share loses its oldest publications first. If none is above its share, the one that was
    /// unused longest is dropped.
    pub history_max_bytes: usize,
    /// The counter of all publications in memory, if the caller wants one.
    pub live_bytes: Option<Arc<dyn LiveBytes>>,
    /// Nanoseconds of work, as [`Effects::work`](crate::Effects::work) counts it, after which a request is left
    /// [`Unfinished`](crate::Unfinished). One call may do somewhat more than that.
    pub work_at_once: u64,
    /// The seed of the epochs of this hub's histories. It must be random and new for every hub. If two hubs had the
    /// same seed, a client of one could resume at the other, which would wrongly answer that nothing was missed.
    pub seed: u64,
}

/// The limits of one session.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Most bytes of a topic or pattern. A longer one is refused as `invalid_topic` or `invalid_pattern`.
    pub topic: usize,
    /// Most subscriptions at once. One more is refused as `limit_exceeded`. A session's private topics do not count.
    pub subscriptions: usize,
    /// Most requests a second, with a burst of one second's worth; `None` is no limit. More are refused as
    /// `rate_limited`. After another second's worth of refused requests the session is closed with 4003.
    pub requests_per_second: Option<u32>,
}

impl Settings {
    /// The default settings, with a [`seed`](Settings::seed), which has no default.
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
