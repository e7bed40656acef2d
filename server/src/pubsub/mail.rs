//! The mail between workers: effects for connections of another worker.

use crate::connection::facts::ConnectionFacts;
use crate::encode::batch::{Batch, SharedEvent};
use hubcast_hub::{HistoryAnswer, Publication, SessionId};
use hubcast_protocol::{CloseCode, Event, RequestId, Slow};
use std::borrow::Cow;
use std::sync::Arc;
use tokio::sync::oneshot;

/// One thing that a worker's turn caused for connections of another worker.
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
    /// For a caller.
    Operated {
        slot: u32,
        id: RequestId,
        sessions: u64,
    },
    /// Tell an operator about these connections.
    Describe(Describe),
    /// Receivers of this publisher are far behind, and it sent so many bytes to them.
    Pause {
        publisher: u32,
        bytes: usize,
    },
    /// The mailbox that this connection filled has been taken, so the connection may be read again.
    Unblock(MailboxWait),
}

/// A question for facts about connections of one worker, in the order of its answer. A slot without a connection has
/// none.
#[derive(Debug)]
pub(crate) struct Describe {
    pub(crate) slots: Vec<u32>,
    pub(crate) answer: oneshot::Sender<Vec<Option<ConnectionFacts>>>,
}

/// The receivers of one output on one worker, as slots.
pub(crate) type Slots = Vec<(u32, Slow)>;

/// A connection of this worker that is not read until another worker has taken its mailbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct MailboxWait {
    pub(crate) slot: u32,
    pub(crate) mailbox: usize,
}
