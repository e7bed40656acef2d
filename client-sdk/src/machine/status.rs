//! The status of a client: the state of its connection, and why it was lost or is closed.

use super::input::Disconnection;
use hubcast_protocol::{ClientId, CloseCode};
use std::time::{Duration, Instant};

/// Why a client is closed for good.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Closed {
    /// The program closed it.
    #[error("the client was closed")]
    ByUser,
    /// The server closed the connection with a code that means: do not reconnect.
    #[error("the server closed the connection for good: {reason} ({code})")]
    ByServer {
        /// The code of the close frame.
        code: CloseCode,
        /// The reason in the close frame, for people.
        reason: String,
    },
    /// The server refused the handshake in a way that another attempt would not change.
    #[error("the server refused the connection: {reason}")]
    Rejected {
        /// What the server refused.
        reason: String,
        /// The status of its answer (RFC 9110 section 15), such as 403, if it answered by HTTP.
        status: Option<u16>,
    },
    /// The program said that this user may not connect: its token function answered
    /// [`TokenError::NotAllowed`](crate::TokenError::NotAllowed).
    #[error("not allowed: {reason}")]
    NotAllowed {
        /// What the program said.
        reason: String,
    },
    /// The server refused three fresh tokens in a row.
    #[error("the server refused the token: {reason}")]
    TokenRefused {
        /// What the server said of the last one.
        reason: String,
    },
    /// The attempts that [`ClientBuilder::max_attempts`](crate::ClientBuilder::max_attempts) allows have failed.
    #[error("no connection after {attempts} attempts: {reason}")]
    GivenUp {
        /// The number of attempts.
        attempts: u32,
        /// How the last one failed.
        reason: String,
    },
    /// The tokio runtime on which the client was connected has shut down.
    #[error("the runtime that the client ran on is gone")]
    RuntimeGone,
    /// The task of the client has panicked. That is a fault of this crate, unless the runtime has no I/O driver (see
    /// tokio's `Builder::enable_all`), or a callback of the program panicked.
    #[error("the task of the client panicked; the runtime needs tokio's I/O and time drivers (enable_all)")]
    Panicked,
    /// There was no first connection within the connect timeout.
    #[error("no connection within {within:?}: {reason}")]
    NoConnection {
        /// The connect timeout.
        within: Duration,
        /// How the last attempt failed.
        reason: String,
    },
}

/// The status of a client.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Status {
    /// The state of its connection.
    pub state: State,
    /// The id of the latest session; every connection has another one. `None` before the first welcome.
    pub client: Option<ClientId>,
    /// The user that the token of the latest session names.
    pub user: Option<Box<str>>,
    /// How the last connection was lost, or why the last attempt failed; `None` if neither has happened.
    pub last_loss: Option<Loss>,
    /// The number of the current attempt, or of the last one if the client waits. It begins at 1 for each lost
    /// connection, and is 0 while there is a connection.
    pub attempt: u32,
    /// The time of the next attempt, while the client waits for it.
    pub retry_at: Option<Instant>,
}

/// How a connection was lost, or why an attempt to make one failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
#[non_exhaustive]
pub struct Loss {
    /// The reason, for people.
    pub reason: String,
    /// The code of the server's close frame, if it sent one.
    pub code: Option<CloseCode>,
    /// Whether the server, or a proxy in front of it, refused the handshake in a way that another attempt would hardly
    /// change, such as with 401 or 404. After [`max_refusals`](crate::ClientBuilder::max_refusals) of them in a row the
    /// client is closed.
    pub is_refusal: bool,
}

/// The state of a client's connection.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum State {
    /// The client is making a connection.
    Connecting,
    /// There is a connection.
    Connected,
    /// There is no connection; the client waits before the next attempt.
    Waiting,
    /// The client is closed, for this reason.
    Closed(Closed),
}

impl From<&Disconnection> for Loss {
    fn from(why: &Disconnection) -> Self {
        let of = |reason: String, code, is_refusal| Self { reason, code, is_refusal };
        match why {
            Disconnection::Closed { code, reason } => {
                of(format!("the server closed the connection: {reason} ({code})"), Some(*code), false)
            }
            Disconnection::Lost { reason, .. } | Disconnection::TooLarge { reason } => of(reason.clone(), None, false),
            Disconnection::Rejected { reason, .. } | Disconnection::TokenRefused { reason } => {
                of(reason.clone(), None, true)
            }
        }
    }
}
