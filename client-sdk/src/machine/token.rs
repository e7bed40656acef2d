//! Tokens, as the machine and the program exchange them.

use hubcast_protocol::AccessToken;
use std::time::Duration;

/// Why a client asks for a token. A program may answer the first with one that it has kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TokenReason {
    /// For a new connection.
    Connect,
    /// The token of the connection ends soon, or has ended.
    Expiring,
    /// The server has refused the last token. One that was kept must not be given again.
    Refused,
}

/// A token, and how long it lasts from now on, if it says so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShownToken {
    /// The token.
    pub token: AccessToken,
    /// How long it lasts from now on, if it says so.
    pub lifetime: Option<Duration>,
}

/// Why there is no token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TokenFailure {
    /// Another attempt would not change it.
    NotAllowed(String),
    /// The program is asked again.
    Failed(String),
}
