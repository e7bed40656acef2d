//! What workers say to each other.

use crate::encode::batch::{Batch, SharedEvent};
use hubcast_hub::{HistoryAnswer, Publication, SessionId};
use hubcast_protocol::{CloseCode, Event, Slow};
use std::borrow::Cow;
use std::sync::Arc;

/// What one worker's turn caused for the connections of another.
#[derive(Debug)]
pub(crate) enum RemoteOutput {
    Send {
        slot: u32,
        event: Box<Event>,
    },
    Notify {
        event: Arc<SharedEvent>,
        slots: Slots,
    },
    Deliver {
        frames: Arc<Batch>,
        slots: Slots,
        publishers: Vec<SessionId>,
    },
    Close {
        slot: u32,
        code: CloseCode,
        reason: Cow<'static, str>,
    },
    Replay {
        slot: u32,
        missed: Arc<Vec<Publication>>,
    },
    History {
        slot: u32,
        answer: Box<HistoryAnswer>,
    },
    /// Receivers of this publisher are far behind, to whom it has sent so many bytes.
    Pause {
        publisher: u32,
        bytes: usize,
    },
    /// A mailbox has been taken that was too full for what this connection caused.
    Resume(MailboxWait),
}

/// The receivers of one thing on one worker.
pub(crate) type Slots = Vec<(u32, Slow)>;

/// A connection of this worker that waits until the mailbox of another one has been taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct MailboxWait {
    pub(crate) slot: u32,
    pub(crate) mailbox: usize,
}
