//! Tokens, as the machine and the program exchange them.

use hubcast_protocol::AccessToken;
use std::time::Duration;

/// Why a client asks the program for a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TokenReason {
    /// The client has none yet. The program may answer with one that it has kept.
    First,
    /// The client's token ends soon, or has ended.
    Expiring,
    /// The server has refused the client's token. One that was kept must not be given again.
    Refused,
}

/// A token as the program has given it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GivenToken {
    /// The token.
    pub token: AccessToken,
    /// How long it lasts from now on, as far as it says so.
    pub lifetime: Option<Duration>,
    /// What this computer's clock says now, in seconds since 1970-01-01 UTC.
    pub clock: u64,
}

/// Why there is no token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TokenFailure {
    /// Another attempt would not change it.
    NotAllowed(String),
    /// The program is asked again.
    Failed(String),
}
