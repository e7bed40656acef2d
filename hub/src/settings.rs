//! The settings of a hub, given when it is made.

use crate::{Access, Grants, LiveBytes, Reporting, TopicRules};
use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

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
    /// What each topic keeps, and who may use it.
    pub rules: TopicRules,
    /// Who is let in, and what may be done where no rule of a topic says otherwise.
    pub admission: Admission,
    /// Most bytes of all publications that the embedded engine keeps, together with the histories that have no
    /// subscriber by name. A topic's share is this divided by the number of histories, at least 64 KiB. The history
    /// furthest above its share loses its oldest publications first. If none is above its share, the one that was
    /// unused longest is dropped.
    pub history_max_bytes: usize,
    /// The counter of all publications in memory, if the caller wants one.
    pub live_bytes: Option<Arc<dyn LiveBytes>>,
    /// What the hub tells of sessions and topics beside what it tells the sessions themselves.
    pub reporting: Reporting,
    /// Nanoseconds of work, as [`Effects::work`](crate::Effects::work) counts it, after which a request is left
    /// [`Unfinished`](crate::Unfinished). One call may do somewhat more than that.
    pub work_at_once: u64,
    /// The seed of the epochs of this hub's histories. It must be random and new for every hub. If two hubs had the
    /// same seed, a client of one could resume at the other, which would wrongly answer that nothing was missed.
    pub seed: u64,
}

/// Who is let in, and what may be done where no rule of a topic says otherwise.
#[derive(Clone, Debug)]
pub struct Admission {
    /// What counts where no rule says otherwise: `Anyone` for an open server, `Granted` for one with tokens.
    pub default: Access,
    /// What a session without a token is granted.
    pub anonymous: Grants,
    /// Whether a session without a token can do nothing but authenticate. It is closed with 4501 if it does anything
    /// else, or if it has not authenticated within [`authenticate_within`](Admission::authenticate_within).
    pub token_required: bool,
    /// The time for the first `authenticate` of a session that needs a token.
    pub authenticate_within: Duration,
    /// Most sessions that may wait to authenticate. One more is closed with 1013.
    pub max_waiting: usize,
    /// The time from the end of a token to the close with 4001, in which the client can renew it.
    pub renew_within: Duration,
    /// The limits of all sessions of one user, or of one API key, together.
    pub each_user: UserLimits,
}

/// The limits of all sessions of one user together. `None` is no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UserLimits {
    /// Most connections at once. One more is closed with 1013.
    pub connections: Option<u32>,
    /// Most subscriptions at once. One more is refused as `limit_exceeded`.
    pub subscriptions: Option<u32>,
    /// Most publications a second, with a burst of one second's worth. More are refused as `rate_limited`.
    pub publications_per_second: Option<u32>,
}

/// The limits of one session.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Most bytes of a topic or pattern. A longer one is refused as `invalid_topic` or `invalid_pattern`.
    pub topic: usize,
    /// Most subscriptions at once. One more is refused as `limit_exceeded`. A session's private topics do not count.
    pub subscriptions: usize,
    /// Most requests a second, with a burst of one second's worth; `None` is no limit. More are refused as
    /// `rate_limited`. After another second's worth of refused requests the session is closed with 4003. It does not
    /// count for API keys, whose batches are many requests at once: for them there is [`Admission::each_user`].
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
            admission: Admission::default(),
            history_max_bytes: 64 * 1024 * 1024,
            live_bytes: None,
            reporting: Reporting::default(),
            work_at_once: 250_000,
            seed,
        }
    }
}

impl Default for Admission {
    /// A server that is open to everybody.
    fn default() -> Self {
        Self {
            default: Access::Anyone,
            anonymous: Grants::default(),
            token_required: false,
            authenticate_within: Duration::from_secs(10),
            max_waiting: usize::MAX,
            renew_within: Duration::from_secs(25),
            each_user: UserLimits::default(),
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self { topic: 1024, subscriptions: 1000, requests_per_second: None }
    }
}
