//! An axum application beside hubcast: it signs in its users, and gives each a token. hubcast only verifies tokens.
//!
//! ```sh
//! TOKEN_SECRET="$(cat token.secret)" cargo run
//! ```
//!
//! The secret is the one in the configuration of hubcast: see `../hub.toml`.

use axum::Router;
use axum::extract::Path;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{Html, IntoResponse};
use axum::routing::get;
use jsonwebtoken::{EncodingKey, Header, encode};
use serde::Serialize;
use std::env;
use std::time::{SystemTime, UNIX_EPOCH};

#[derive(Serialize)]
struct Claims {
    sub: String,
    aud: &'static str,
    exp: u64,
    subscribe: Vec<&'static str>,
}

/// Stands for the login that an application has. A real one signs its cookie, or keeps sessions.
async fn sign_in(Path(user): Path<String>) -> impl IntoResponse {
    let cookie = format!("user={user}; HttpOnly; SameSite=Strict; Path=/");
    ([(header::SET_COOKIE, cookie)], Html(include_str!("../../application.html").replace("HUB", &hub())))
}

/// The token of who is signed in: it says who that is, and what it may do, for a quarter of an hour.
async fn token(headers: HeaderMap) -> Result<String, (StatusCode, &'static str)> {
    let cookie = headers.get(header::COOKIE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let user = cookie.split("; ").find_map(|pair| pair.strip_prefix("user="));
    let user = user.ok_or((StatusCode::FORBIDDEN, "sign in first"))?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let claims = Claims { sub: user.to_owned(), aud: "hub", exp: now + 900, subscribe: vec!["news", "room.{user}.>"] };
    let secret =
        env::var("TOKEN_SECRET").map_err(|_| (StatusCode::INTERNAL_SERVER_ERROR, "TOKEN_SECRET is not set"))?;
    let key = EncodingKey::from_secret(secret.trim().as_bytes());
    encode(&Header::default(), &claims, &key).map_err(|_| (StatusCode::INTERNAL_SERVER_ERROR, "no token could be made"))
}

fn hub() -> String {
    env::var("HUBCAST_URL").unwrap_or_else(|_| "http://127.0.0.1:8080".to_owned())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> std::io::Result<()> {
    let application = Router::new().route("/as/{user}", get(sign_in)).route("/token", get(token));
    let address = env::var("LISTEN").unwrap_or_else(|_| "127.0.0.1:8000".to_owned());
    axum::serve(tokio::net::TcpListener::bind(address).await?, application).await
}
