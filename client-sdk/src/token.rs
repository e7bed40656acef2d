//! Tokens: how a program gives them, and how long they last.

use crate::machine::{GivenToken, TokenFailure, TokenReason};
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
    /// It did not work now. The client asks again after a pause. The text of the error gets into the client's status and
    /// into the log, so it must not contain a token.
    #[error(transparent)]
    Failed(#[from] Box<dyn Error + Send + Sync>),
}

impl TokenError {
    /// It did not work now: the client asks again after a pause.
    pub fn failed(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Failed(error.into())
    }
}

/// Where the client's tokens come from.
#[derive(Clone, Default)]
pub(crate) enum TokenSource {
    /// The client shows no token.
    #[default]
    None,
    /// There is one, and no other.
    Fixed(Arc<str>),
    /// A function of the program gives them.
    Function(Arc<dyn Fn(TokenReason) -> Asking + Send + Sync>),
}

type Asking = Pin<Box<dyn Future<Output = Result<String, TokenError>> + Send>>;

impl TokenSource {
    pub(crate) fn new<F, C>(ask: F) -> Self
    where
        F: Fn(TokenReason) -> C + Send + Sync + 'static,
        C: Future<Output = Result<String, TokenError>> + Send + 'static,
    {
        Self::Function(Arc::new(move |reason| Box::pin(ask(reason))))
    }

    /// Whether the client shows tokens.
    pub(crate) fn is_there(&self) -> bool {
        !matches!(self, Self::None)
    }

    /// Asks for a token. A function of the program has ten seconds.
    pub(crate) async fn ask(self, reason: TokenReason) -> Result<GivenToken, TokenFailure> {
        let ask = match self {
            // A token that has no successor lasts until the server says that it is over.
            Self::Fixed(token) if reason == TokenReason::First => return given(String::from(&*token), None),
            Self::None | Self::Fixed(_) => {
                let reason = "the token has ended or is refused, and there is no other";
                return Err(TokenFailure::NotAllowed(reason.to_owned()));
            }
            Self::Function(ask) => ask,
        };
        match tokio::time::timeout(TIME_TO_ANSWER, ask(reason)).await {
            Ok(Ok(token)) => {
                let lifetime = lifetime(&token, clock());
                given(token, lifetime)
            }
            Ok(Err(TokenError::NotAllowed(reason))) => Err(TokenFailure::NotAllowed(reason)),
            Ok(Err(TokenError::Failed(error))) => Err(TokenFailure::Failed(format!("no token: {error}"))),
            Err(_) => Err(TokenFailure::Failed("the program gave no token within ten seconds".to_owned())),
        }
    }
}

fn given(token: String, lifetime: Option<Duration>) -> Result<GivenToken, TokenFailure> {
    let refused = |why: String| TokenFailure::Failed(format!("the program's token cannot be sent: {why}"));
    if token.bytes().any(|byte| !byte.is_ascii_graphic()) {
        return Err(refused("it is not visible ASCII without blanks".to_owned()));
    }
    let token = AccessToken::new(token).map_err(|fault| refused(fault.to_string()))?;
    Ok(GivenToken { token, lifetime, clock: clock().as_secs() })
}

/// How long a token lasts from now on, if it is a JWT that says when it ends (RFC 7519 section 4.1.4). The server
/// verifies it; here it only says when to ask for the next one.
///
/// `now` is the time since 1970-01-01 UTC by the clock of this computer, which may be wrong. By a token that says when it
/// was made, it is known to last no longer than from then on, and at least a tenth of that is assumed. The lifetime of a
/// token that seems to be over, and does not say when it was made, is not known: the server may have another clock.
fn lifetime(token: &str, now: Duration) -> Option<Duration> {
    #[derive(Deserialize)]
    struct Claims {
        exp: f64,
        #[serde(default)]
        iat: Option<f64>,
    }
    let payload = BASE64URL_NOPAD.decode(token.split('.').nth(1)?.as_bytes()).ok()?;
    let Claims { exp, iat } = serde_json::from_slice(&payload).ok()?;
    let time = |seconds: f64| Duration::try_from_secs_f64(seconds).ok();
    let exp = time(exp)?;
    let left = exp.checked_sub(now).filter(|left| !left.is_zero());
    match iat.and_then(time).and_then(|iat| exp.checked_sub(iat)) {
        Some(whole) => Some(left.unwrap_or_default().clamp(whole / 10, whole)),
        None => left,
    }
}

/// The time since 1970-01-01 UTC, by the clock of this computer.
fn clock() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

impl fmt::Debug for TokenSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "None",
            Self::Fixed(_) => "Fixed(***)",
            Self::Function(_) => "Function",
        })
    }
}

/// The time in which the program must give a token.
const TIME_TO_ANSWER: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;

    fn token(claims: &str) -> String {
        format!("x.{}.y", BASE64URL_NOPAD.encode(claims.as_bytes()))
    }

    #[test]
    fn the_lifetime_of_a_token_is_what_it_says() {
        for (claims, expected) in [
            (r#"{"exp":1060,"sub":"ada"}"#, Some(60)),
            (r#"{"exp":1060,"iat":null}"#, Some(60)),
            (r#"{"exp":1060,"iat":900}"#, Some(60)),
            (r#"{"sub":"ada"}"#, None),
            (r#"{"exp":"soon"}"#, None),
            (r#"{"exp":1e300}"#, None),
            (r#"{"exp":-1}"#, None),
        ] {
            let expected = expected.map(Duration::from_secs);
            assert_eq!(lifetime(&token(claims), Duration::from_secs(1_000)), expected, "{claims}");
        }
        for opaque in ["", "abc", "a.b.c", "..", "x.!!.y"] {
            assert_eq!(lifetime(opaque, Duration::from_secs(1_000)), None, "{opaque}");
        }
    }

    #[test]
    fn a_wrong_clock_neither_makes_a_token_last_for_ever_nor_asks_without_a_pause() {
        let an_hour = r#"{"exp":13600,"iat":10000}"#;
        for (clock, expected) in [(10_000, 3_600), (12_000, 1_600), (0, 3_600), (13_590, 360), (1_000_000, 360)] {
            let known = lifetime(&token(an_hour), Duration::from_secs(clock));
            assert_eq!(known, Some(Duration::from_secs(expected)), "{clock}");
        }
        assert_eq!(lifetime(&token(r#"{"exp":900}"#), Duration::from_secs(1_000)), None);
        assert_eq!(lifetime(&token(r#"{"exp":1000}"#), Duration::from_secs(1_000)), None);
    }

    #[test]
    fn sources_are_printed_without_their_tokens() {
        let shown = format!("{:?} {:?}", TokenSource::Fixed("secret".into()), given("secret".to_owned(), None));
        assert!(!shown.contains("secret"), "{shown}");
        let refused = given("secret\n".to_owned(), None).unwrap_err();
        assert!(!format!("{refused:?}").contains("secret"), "{refused:?}");
    }
}
