//! Hooks: programs of the operator that are told by HTTP which clients come and go, and which topics are in use. Here is
//! decided what is told and when. There is no network, and time is an argument; `hook_delivery` sends.
//!
//! ```text
//! turn ─▶ Inbox ─▶ Settling (3 s for whoever is back) ─▶ HookEvent ─▶ Dispatch of each hook (EventQueue, RetryPace) ─▶ HookMessage
//! ```

mod counters;
pub(crate) mod dispatch;
mod event;
mod hook;
pub(crate) mod inbox;
mod moment;
mod pace;
mod queue;
mod secret;
pub(crate) mod settling;

pub use counters::{DURATIONS, Dropped, HookCounters};
pub(crate) use event::HookEvent;
pub use event::{EventKind, UnknownEvent};
pub use hook::{Hook, HookLimits};
pub(crate) use pace::SendOutcome;
pub use secret::{HookSecret, InvalidHookSecret};

use arc_swap::ArcSwap;
use inbox::Inbox;
use std::sync::Arc;

/// What the threads of a server share for its hooks.
#[derive(Debug, Default)]
pub(crate) struct Hooks {
    /// Where turns put what happens.
    pub(crate) inbox: Inbox,
    counters: ArcSwap<Vec<NamedCounters>>,
}

/// The counters of a hook, with its name.
pub(crate) type NamedCounters = (String, Arc<HookCounters>);

impl Hooks {
    /// The counters of each hook in force.
    pub(crate) fn counters(&self) -> Arc<Vec<NamedCounters>> {
        self.counters.load_full()
    }

    /// Notes which hooks are in force now.
    pub(crate) fn set_counters(&self, counters: Vec<NamedCounters>) {
        self.counters.store(Arc::new(counters));
    }
}
