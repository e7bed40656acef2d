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

use inbox::Inbox;
use std::sync::Arc;

/// The hooks of a server.
#[derive(Clone, Debug)]
pub(crate) struct Hooks {
    /// Each hook, with its counters.
    pub(crate) list: Arc<[(Arc<Hook>, Arc<HookCounters>)]>,
    /// Whether hooks may reach public addresses alone.
    pub(crate) public_only: bool,
    /// Where turns put what happens.
    pub(crate) inbox: Arc<Inbox>,
}

impl Hooks {
    /// The hooks of a configuration; `None` if there are none.
    pub(crate) fn new(hooks: &[Hook], public_only: bool) -> Option<Self> {
        let list: Arc<[_]> = hooks.iter().map(|hook| (Arc::new(hook.clone()), Arc::default())).collect();
        (!list.is_empty()).then(|| Self { list, public_only, inbox: Arc::default() })
    }
}
