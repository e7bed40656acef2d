//! How a client command ends: its exit code, and what it says.

use hubcast_client::{Closed, ConnectError, Ended, ErrorCode, PublishError, Refused, RequestError, SubscribeError};
use std::io;

/// Why a client command did not do what it was asked for.
#[derive(Debug)]
pub(crate) struct Failure {
    /// The exit code of the process.
    pub(crate) code: u8,
    /// For people. It may hold what a server says, so it is escaped before it is printed. If it is empty, there is
    /// nothing to say.
    pub(crate) why: String,
}

impl Failure {
    /// The connection was lost for good, the server made an error, or something could not be published.
    pub(crate) fn failed(why: impl Into<String>) -> Self {
        Self { code: FAILED, why: why.into() }
    }

    /// The command line, or a file that it names, is wrong.
    pub(crate) fn misused(why: impl Into<String>) -> Self {
        Self { code: MISUSED, why: why.into() }
    }

    /// The time is over, and no message came.
    pub(crate) fn silent() -> Self {
        Self { code: SILENT, why: String::new() }
    }

    /// Whoever read standard output is gone. That is no failure: a reader such as `head` has read what it wanted.
    pub(crate) fn output(error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self { code: 0, why: String::new() },
            _ => Self::failed(format!("cannot write to standard output: {error}")),
        }
    }
}

impl From<ConnectError> for Failure {
    fn from(error: ConnectError) -> Self {
        let why = error.to_string();
        match error {
            ConnectError::Timeout { .. } => Self { code: UNREACHED, why },
            ConnectError::Closed(closed) => match &closed {
                Closed::Rejected { status, .. } if !is_about_permission(*status) => Self { code: UNREACHED, why },
                Closed::GivenUp { .. } | Closed::NoConnection { .. } => Self { code: UNREACHED, why },
                _ => closed.into(),
            },
            _ => Self { code: MISUSED, why },
        }
    }
}

impl From<Closed> for Failure {
    fn from(closed: Closed) -> Self {
        let why = closed.to_string();
        let code = match &closed {
            Closed::NotAllowed { .. } | Closed::TokenRefused { .. } => REFUSED,
            Closed::Rejected { status, .. } if is_about_permission(*status) => REFUSED,
            Closed::ByServer { code, .. } if OF_TOKENS.contains(&code.0) => REFUSED,
            _ => FAILED,
        };
        Self { code, why }
    }
}

impl From<Refused> for Failure {
    fn from(refused: Refused) -> Self {
        Self { code: code_of(&refused), why: format!("refused: {refused}") }
    }
}

impl From<Ended> for Failure {
    fn from(ended: Ended) -> Self {
        let why = ended.to_string();
        match ended {
            Ended::Closed(closed) => closed.into(),
            Ended::Refused(refused) => Self { code: code_of(&refused), why },
            Ended::Forbidden => Self { code: REFUSED, why },
            _ => Self { code: FAILED, why },
        }
    }
}

impl From<SubscribeError> for Failure {
    fn from(error: SubscribeError) -> Self {
        match error {
            SubscribeError::InvalidPattern(_) => Self::misused(error.to_string()),
            SubscribeError::Refused(refused) => refused.into(),
            SubscribeError::Closed(closed) => closed.into(),
            error => Self::failed(error.to_string()),
        }
    }
}

impl From<RequestError> for Failure {
    fn from(error: RequestError) -> Self {
        match error {
            RequestError::Refused(refused) => refused.into(),
            RequestError::Closed(closed) => closed.into(),
            error => Self::failed(error.to_string()),
        }
    }
}

impl From<PublishError> for Failure {
    fn from(error: PublishError) -> Self {
        match error {
            PublishError::Refused(refused) => refused.into(),
            PublishError::Closed { why, .. } => why.into(),
            PublishError::Uncertain { ref why, .. } => Self::failed(format!("{error}: {why}")),
            error => Self::failed(error.to_string()),
        }
    }
}

fn code_of(refused: &Refused) -> u8 {
    use ErrorCode::{Forbidden, TokenExpired, TokenInvalid, Unauthenticated};
    match refused.code {
        Forbidden | TokenExpired | TokenInvalid | Unauthenticated => REFUSED,
        _ => FAILED,
    }
}

/// Whether the handshake was refused because of who the client is.
fn is_about_permission(status: Option<u16>) -> bool {
    matches!(status, Some(401 | 403))
}

/// Close codes that say that a token is over, wrong or missing.
const OF_TOKENS: [u16; 3] = [4001, 4500, 4501];

/// The connection was lost for good, the server made an error, or a publication was refused.
pub(crate) const FAILED: u8 = 1;
/// Wrong usage.
pub(crate) const MISUSED: u8 = 2;
/// There was no connection in time.
pub(crate) const UNREACHED: u8 = 3;
/// The server refused the token, or a grant is missing.
pub(crate) const REFUSED: u8 = 4;
/// The time was over before a message came.
pub(crate) const SILENT: u8 = 5;

/// The part of each help about exit codes.
macro_rules! exit_codes {
    () => {
        "\
\x1b[1;4mExit codes:\x1b[0m
  0         done; also if the reader of standard output has closed it
  1         failed: the connection was lost for good, the server made an error,
            or a message was not published
  2         wrong usage
  3         no connection in time
  4         refused: the token, or a grant is missing
  5         --wait or --timeout was over before a message came
  130, 143  ended by SIGINT or SIGTERM; a second signal ends at once"
    };
}
pub(crate) use exit_codes;
