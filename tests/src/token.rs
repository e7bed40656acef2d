//! Tokens: a server that takes them, and what makes them.

use crate::{Answer, Frame, Handshake, Server, Typed};
use hubcast_hub::Access;
use hubcast_server::Config;
use hubcast_server::auth::{KeySet, TokenKey, TokenRules, TokenVerifier};
use jsonwebtoken::{EncodingKey, Header, encode};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

/// The places in which a client can show a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// In `Authorization`.
    Header,
    /// In a subprotocol.
    Subprotocol,
    /// In the address.
    Query,
    /// In the first frame.
    FirstFrame,
}

impl Place {
    /// Each of them.
    pub const ALL: [Self; 4] = [Self::Header, Self::Subprotocol, Self::Query, Self::FirstFrame];
}

/// Makes a server need tokens. What no rule allows must be granted.
///
/// # Panics
/// Never: the key is a right one.
pub fn with_tokens(config: &mut Config) {
    let keys = KeySet::new(vec![TokenKey::secret(SECRET.as_bytes()).expect("a long secret")]).expect("a key");
    config.auth.verifier = Some(Arc::new(TokenVerifier::new(keys, TokenRules::default())));
    config.auth.query_tokens = true;
    (config.admission.default, config.admission.token_required) = (Access::Granted, true);
}

/// A right token of this user for ten minutes, with these other claims.
pub fn token(user: &str, claims: Value) -> String {
    let mut all = json!({"sub": user, "exp": unix_now() + 600});
    if let (Some(all), Value::Object(claims)) = (all.as_object_mut(), claims) {
        all.extend(claims);
    }
    signed(&all, SECRET)
}

/// A token of these claims, signed with this secret.
///
/// # Panics
/// Never: each value can be signed.
pub fn signed(claims: &Value, secret: &str) -> String {
    encode(&Header::default(), claims, &EncodingKey::from_secret(secret.as_bytes())).expect("claims can be signed")
}

/// Seconds since 1970.
pub fn unix_now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

/// Shows a token in one of the places.
///
/// # Errors
/// The answer and the body of a handshake that is refused; or the close code, as a status, and the whole answer to a
/// first frame.
#[track_caller]
pub fn show(server: &Server, token: &str, place: Place) -> Result<Typed, (u16, String)> {
    let mut socket = server.socket();
    let plain = Handshake::default();
    let typed = "Sec-WebSocket-Protocol: hubcast.v1";
    let handshake = match place {
        Place::Header => plain.with(typed).with(&format!("Authorization: Bearer {token}")),
        Place::Subprotocol => plain.with(&format!("{typed}, hubcast.token.{token}")),
        Place::Query => plain.with(typed).request(&format!("GET /socket?token={token} HTTP/1.1")),
        Place::FirstFrame => plain.with(typed),
    };
    let answer: Answer = socket.asks(&handshake);
    if answer.status != 101 {
        let length = answer.header("Content-Length").and_then(|length| length.parse().ok()).unwrap_or(0);
        return Err((answer.status, socket.reads(length)));
    }
    let welcome: Value = serde_json::from_str(&socket.hears_text()).expect("a welcome is JSON");
    if place == Place::FirstFrame {
        socket.sends([&Frame::text(json!({"id": 1, "action": "authenticate", "token": token}).to_string())]);
        let mut told = String::new();
        loop {
            match socket.next_frame() {
                crate::Heard::Text(text) if text.contains("\"authenticated\"") => break,
                crate::Heard::Text(text) => told += &text,
                crate::Heard::Close(code, reason) => return Err((code, told + &reason)),
                _ => socket.fail("an answer to the first frame was to come"),
            }
        }
    }
    let id = welcome["client"].as_str().unwrap_or_default().to_owned();
    Ok(Typed { id, socket, welcome })
}

/// The secret of the server that [`with_tokens`] sets up.
pub const SECRET: &str = "a test secret that is long enough";
