//! Tokens of a test server.

use super::{TestServer, now};
use data_encoding::BASE64URL_NOPAD;
use hubcast_hub::{Credentials, Expiry, Grant, Grants, Identity, Login, Permission};
use hubcast_protocol::{AccessToken, ErrorCode, ErrorReply};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// The tokens that a server has made.
#[derive(Debug, Default)]
pub(super) struct Tokens {
    /// Whether a client without a token can do nothing.
    pub(super) are_required: bool,
    made: HashMap<String, Made>,
}

#[derive(Debug)]
struct Made {
    identity: Arc<Identity>,
    grants: Grants,
    ends_at: Instant,
    unix: u64,
    is_revoked: bool,
}

impl Tokens {
    /// What a token says, if it is one of this server that has not ended.
    pub(super) fn verify(&self, now: Instant, token: &AccessToken) -> Result<Login, ErrorReply> {
        let refused = |code, reason| Err(ErrorReply::new(code, reason));
        match self.made.get(token.expose()) {
            Some(made) if made.is_revoked => refused(ErrorCode::TokenInvalid, "the token is revoked"),
            Some(made) if made.ends_at <= now => refused(ErrorCode::TokenExpired, "the token has expired"),
            Some(made) => {
                let expiry = Some(Expiry { at: made.ends_at, unix: made.unix });
                let credentials = Credentials { grants: made.grants.clone(), expiry, api_key: None };
                Ok(Login { identity: made.identity.clone(), credentials: credentials.into() })
            }
            None => refused(ErrorCode::TokenInvalid, "this server has not made the token"),
        }
    }
}

/// Credentials for everything. The test itself has an API key, as a backend has.
pub(super) fn of_all(api_key: Option<&str>) -> Arc<Credentials> {
    let all = [Permission::Subscribe, Permission::Publish, Permission::Presence, Permission::History];
    let everything = [">", "@*"].map(|grant| Grant::parse(grant).expect("a grant"));
    let grants = Grants::new(all.iter().flat_map(|of| everything.iter().map(|grant| (*of, *grant))));
    Credentials { grants, expiry: None, api_key: api_key.map(Into::into) }.into()
}

/// Tokens, as a program gets them from its backend. A server takes only those that it has made itself.
impl TestServer {
    /// Makes a token for a user that lasts so long, and may do everything with the topics of these grants, such as
    /// `chat.>`. Give it to [`ClientBuilder::token_from`](crate::ClientBuilder::token_from).
    ///
    /// ```
    /// # use hubcast_client::{TokenReason, testing::TestServer};
    /// # use std::time::Duration;
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let server = TestServer::start();
    /// server.require_tokens();
    /// let login = server.clone();
    /// let client = server.builder().token_from(move |_: TokenReason| {
    ///     let token = login.make_token("ada", &["chat.>"], Duration::from_secs(60));
    ///     async move { Ok(token) }
    /// });
    /// let client = client.connect().await?;
    /// let _chat = client.subscribe::<String>("chat.lobby").await?;
    /// tokio::time::sleep(Duration::from_secs(600)).await;      // renewed ten times and more
    /// client.publish("chat.lobby", "still here").await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn make_token(&self, user: &str, grants: &[&str], lifetime: Duration) -> String {
        let each =
            grants.iter().flat_map(|grant| ["subscribe", "publish", "presence", "history"].map(|of| (of, *grant)));
        self.make_token_for(user, &each.collect::<Vec<_>>(), lifetime)
    }

    /// Makes a token as [`TestServer::make_token`] does, with grants of single permissions, such as
    /// `("subscribe", "news")`: `subscribe`, `publish`, `presence` or `history`.
    ///
    /// # Panics
    /// When a permission or a grant is none.
    pub fn make_token_for(&self, user: &str, grants: &[(&str, &str)], lifetime: Duration) -> String {
        let grants = Grants::new(grants.iter().map(|(permission, grant)| {
            let all = [Permission::Subscribe, Permission::Publish, Permission::Presence, Permission::History];
            let permission = all.into_iter().find(|known| known.to_string() == *permission);
            (permission.expect("a permission"), Grant::parse(grant).expect("a grant"))
        }));
        let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().saturating_add(lifetime);
        let tokens = &mut self.state().tokens;
        let claims = format!(r#"{{"sub":{user:?},"exp":{},"jti":{}}}"#, unix.as_secs_f64(), tokens.made.len());
        let token = format!("test.{}.unsigned", BASE64URL_NOPAD.encode(claims.as_bytes()));
        let made = Made {
            identity: Identity::user(user).into(),
            grants,
            ends_at: now() + lifetime,
            unix: unix.as_secs(),
            is_revoked: false,
        };
        tokens.made.insert(token.clone(), made);
        token
    }

    /// From now on only what a token grants is allowed. A client without a token is closed with 4501, and a handshake with
    /// a wrong one is refused with 401. [`client_of`](Self::client_of) makes clients that need no token and may do
    /// everything. All connections of before are lost.
    pub fn require_tokens(&self) {
        self.state().require_tokens();
    }

    /// Refuses every token that was made until now, as a server does that has other keys.
    pub fn revoke_tokens(&self) {
        self.state().tokens.made.values_mut().for_each(|made| made.is_revoked = true);
    }
}
