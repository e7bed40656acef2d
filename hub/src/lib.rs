//! The hub: hubcast's state machine. It decides everything that a subscriber can observe.
//!
//! A [`Hub`] takes [`Input`]s (a session connected, sent a request, closed) and gives [`Effect`]s (send this event,
//! deliver this publication to these sessions, close that session) in the order in which they must reach the sessions.
//! It keeps sessions, subscriptions, patterns, private topics and limits; an [`Engine`] keeps what outlives a
//! subscription. The hub knows no socket, no thread, no clock and no randomness: time is an argument, and the same
//! inputs give the same effects.
//!
//! ```
//! use hubcast_hub::{Effect, Effects, Hub, Input, SessionId, Settings};
//! use hubcast_protocol::{ClientId, plain};
//! use std::time::Instant;
//!
//! let (mut hub, mut effects, now) = (Hub::new(Settings::with_seed(1)), Effects::default(), Instant::now());
//! let session = SessionId(1);
//! hub.handle(now, Input::connect(session, ClientId::from_random([1; 16])), &mut effects);
//! for text in [r#"{"action":"subscribe","topic":"t"}"#, r#"{"action":"publish","topic":"t","message":"hi"}"#] {
//!     hub.handle(now, Input::Request { session, request: plain::decode(text) }, &mut effects);
//! }
//! let delivered = effects.iter().any(|effect| matches!(effect, Effect::Deliver { .. }));
//! assert!(delivered);
//! ```

pub mod engine;

mod counters;
mod effect;
mod hub;
mod input;
mod lifecycle;
mod patterns;
mod permission;
mod publication;
mod rate;
mod rules;
mod session;
mod settings;
mod sparse;
mod subscriptions;

pub use counters::{Counters, EvictionReason, PerKind, RECEIVER_BOUNDS, RequestKind, ResumeOutcome, Source};
pub use effect::{Effect, Effects, HistoryAnswer, Receiver};
pub use engine::{
    Engine, EntrySnapshot, Evicted, HistorySnapshot, KeySnapshot, Memory, NumberSnapshot, ProducerSnapshot, Publisher,
    Snapshot,
};
pub use hub::{Hub, Page, SessionInfo, TopicInfo};
pub use input::{Credentials, Expiry, Identity, Input, Login, MemberName, Operation, SessionId, Unfinished, Whom};
pub use lifecycle::{Lifecycle, Reporting, Who};
pub use permission::{
    Access, Because, Decision, Grant, Grants, InvalidGrant, Permission, Permissions, Requester, TopicAccess,
};
pub use publication::{LiveBytes, Publication};
pub use rules::{HistoryPolicy, PresencePolicy, Retention, TopicPolicy, TopicRule, TopicRules};
pub use settings::{Admission, Limits, Settings, UserLimits};
