//! What happens to sessions and topics, for programs that are told of it: hooks.

use crate::{Identity, SessionId};
use hubcast_protocol::{ClientId, Target, Topic};
use std::sync::Arc;

/// What a hub tells by [`Effect::Lifecycle`](crate::Effect::Lifecycle). Each value tells what the ones before it tell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reporting {
    /// Nothing.
    #[default]
    Nothing,
    /// Which clients are connected.
    Sessions,
    /// Also what they are subscribed to, and which topics have subscribers.
    Topics,
}

/// One thing that happened. Callers with an API key and private topics are left out.
///
/// A session is told by `Connected` before anything else about it, and by `Disconnected` after all else. One that must
/// authenticate is not told before it has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lifecycle {
    /// A client is connected.
    Connected(Who),
    /// A connected client has said who it is.
    Identified(Who),
    /// A client is gone.
    Disconnected {
        /// The client.
        who: Who,
        /// Whether the connection was lost, so that the client may soon be back.
        lost: bool,
    },
    /// A client has subscribed.
    Subscribed(Who, Target),
    /// A subscription has ended.
    Unsubscribed {
        /// The client.
        who: Who,
        /// What it was subscribed to.
        target: Target,
        /// Whether it ended because the connection was lost.
        lost: bool,
    },
    /// A topic without subscribers by its name has got one.
    Occupied(Topic),
    /// The last subscriber to a topic by its name is gone.
    Vacant(Topic),
}

/// A client, as it is told to others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Who {
    /// The caller's number for its session.
    pub session: SessionId,
    /// Its id.
    pub client: ClientId,
    /// Its user, or what it has said of itself.
    pub identity: Option<Arc<Identity>>,
}
