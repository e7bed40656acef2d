//! Tokens: how a program gives them, and how long they last.

use crate::machine::{ShownToken, TokenFailure, TokenReason};
use data_encoding::BASE64URL_NOPAD;
use hubcast_protocol::AccessToken;
use serde::Deserialize;
use std::error::Error;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Why a program gives no token.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TokenError {
    /// This user may not connect. The client is closed with [`Closed::NotAllowed`](crate::Closed::NotAllowed).
    #[error("not allowed: {0}")]
    NotAllowed(String),
    /// It did not work now. The client asks again after a pause.
    #[error(transparent)]
    Failed(#[from] Box<dyn Error + Send + Sync>),
}

impl TokenError {
    /// It did not work now: the client asks again after a pause.
    pub fn failed(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Failed(error.into())
    }
}

/// The function of the program that gives tokens, if there is one.
#[derive(Clone, Default)]
pub(crate) struct TokenSource(Option<Arc<dyn Fn(TokenReason) -> Asking + Send + Sync>>);

type Asking = Pin<Box<dyn Future<Output = Result<String, TokenError>> + Send>>;

impl TokenSource {
    pub(crate) fn new<F, C>(ask: F) -> Self
    where
        F: Fn(TokenReason) -> C + Send + Sync + 'static,
        C: Future<Output = Result<String, TokenError>> + Send + 'static,
    {
        Self(Some(Arc::new(move |reason| Box::pin(ask(reason)))))
    }

    /// Whether there is a function that gives tokens.
    pub(crate) fn is_there(&self) -> bool {
        self.0.is_some()
    }

    /// Asks the program, which has ten seconds; `None` without a function.
    pub(crate) async fn ask(&self, reason: TokenReason) -> Result<Option<ShownToken>, TokenFailure> {
        let Some(ask) = &self.0 else { return Ok(None) };
        let token = match tokio::time::timeout(TIME_TO_ANSWER, ask(reason)).await {
            Ok(Ok(token)) => token,
            Ok(Err(TokenError::NotAllowed(reason))) => return Err(TokenFailure::NotAllowed(reason)),
            Ok(Err(TokenError::Failed(error))) => return Err(TokenFailure::Failed(format!("no token: {error}"))),
            Err(_) => return Err(TokenFailure::Failed("the program gave no token within ten seconds".to_owned())),
        };
        let lifetime = lifetime(&token, SystemTime::now());
        match AccessToken::new(token) {
            Ok(token) => Ok(Some(ShownToken { token, lifetime })),
            Err(fault) => Err(TokenFailure::Failed(format!("the program's token cannot be sent: {fault}"))),
        }
    }
}

/// How long a token lasts, if it is a JWT that says when it ends (RFC 7519 section 4.1.4). The server verifies it; here
/// it only says when to ask for the next one.
fn lifetime(token: &str, now: SystemTime) -> Option<Duration> {
    #[derive(Deserialize)]
    struct Claims {
        exp: f64,
    }
    let payload = BASE64URL_NOPAD.decode(token.split('.').nth(1)?.as_bytes()).ok()?;
    let Claims { exp } = serde_json::from_slice(&payload).ok()?;
    let end = UNIX_EPOCH.checked_add(Duration::try_from_secs_f64(exp).ok()?)?;
    Some(end.duration_since(now).unwrap_or_default())
}

impl fmt::Debug for TokenSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_there() { "TokenSource(a function)" } else { "TokenSource(none)" })
    }
}

/// The time in which the program must give a token.
const TIME_TO_ANSWER: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lifetime_of_a_token_is_what_it_says() {
        let now = UNIX_EPOCH + Duration::from_secs(1_000);
        let token = |claims: &str| format!("x.{}.y", BASE64URL_NOPAD.encode(claims.as_bytes()));
        for (claims, expected) in [
            (r#"{"exp":1060,"sub":"ada"}"#, Some(60)),
            (r#"{"exp":900}"#, Some(0)),
            (r#"{"sub":"ada"}"#, None),
            (r#"{"exp":"soon"}"#, None),
            (r#"{"exp":1e300}"#, None),
        ] {
            assert_eq!(lifetime(&token(claims), now), expected.map(Duration::from_secs), "{claims}");
        }
        for opaque in ["", "abc", "a.b.c", "..", "x.!!.y"] {
            assert_eq!(lifetime(opaque, now), None, "{opaque}");
        }
    }
}
