//! A client of the HTTP API, on one connection that stays open.

use crate::{Answer, Server, Socket};
use hubcast_hub::{Grant, Grants, Permission};
use hubcast_server::{ApiKey, ApiKeys, Config, KeyHash};
use serde_json::Value;
use std::sync::Arc;

/// A connection on which one request is made after another.
#[derive(Debug)]
pub struct ApiClient {
    /// The connection.
    pub socket: Socket,
    key: Option<String>,
}

/// An answer of the API.
#[derive(Debug)]
pub struct Reply {
    /// The head.
    pub head: Answer,
    /// The body, which is JSON; `null` if there is none.
    pub body: Value,
}

/// The text of an API key with this id.
pub fn key_of(id: &str) -> String {
    format!("hc_{id}_{}", "k".repeat(43))
}

/// Configures one more API key. Each grant is the name of a permission and a grant. A key `manage` may manage.
///
/// # Panics
/// When a grant is none.
pub fn with_api_key(config: &mut Config, id: &str, grants: &[(Permission, &str)]) {
    let grants = grants.iter().map(|(permission, grant)| (*permission, Grant::parse(grant).expect("a grant")));
    let mut key = ApiKey::new(id, "a test", KeyHash::of(&key_of(id)), Grants::new(grants));
    key.manage = id == "manage";
    let mut keys: Vec<ApiKey> = config.auth.api_keys.keys().iter().map(|key| ApiKey::clone(key)).collect();
    keys.push(key);
    config.auth.api_keys = Arc::new(ApiKeys::new(keys).expect("keys that differ"));
}

impl Reply {
    /// The status.
    pub fn status(&self) -> u16 {
        self.head.status
    }

    /// The code of a refusal; an empty text if it is none.
    pub fn code(&self) -> &str {
        self.body["error"]["code"].as_str().unwrap_or_default()
    }
}

impl ApiClient {
    /// Connects, to use the key with this id.
    #[track_caller]
    pub fn open(server: &Server, id: &str) -> Self {
        Self { socket: server.socket(), key: Some(key_of(id)) }
    }

    /// Shows the key with this id on a socket that is connected already.
    pub fn over(socket: Socket, id: &str) -> Self {
        Self { socket, key: Some(key_of(id)) }
    }

    /// Connects, to show no key.
    #[track_caller]
    pub fn without_key(server: &Server) -> Self {
        Self { socket: server.socket(), key: None }
    }

    /// Makes a request without a body.
    #[track_caller]
    pub fn gets(&mut self, path: &str) -> Reply {
        self.asks("GET", path, &[], None)
    }

    /// Makes a request with a body.
    #[track_caller]
    pub fn posts(&mut self, path: &str, body: &Value) -> Reply {
        self.asks("POST", path, &["Content-Type: application/json"], Some(&body.to_string()))
    }

    /// Makes a request with these header lines.
    ///
    /// # Panics
    /// When no answer comes.
    #[track_caller]
    pub fn asks(&mut self, method: &str, path: &str, headers: &[&str], body: Option<&str>) -> Reply {
        let key = self.key.as_ref().map(|key| format!("Authorization: Bearer {key}"));
        let length = body.map(|body| format!("Content-Length: {}", body.len()));
        let lines = headers.iter().copied().chain(key.as_deref()).chain(length.as_deref());
        let lines: String = lines.map(|line| format!("{line}\r\n")).collect();
        let request = format!("{method} {path} HTTP/1.1\r\nHost: x\r\n{lines}\r\n{}", body.unwrap_or_default());
        // A refusal may come before all of a body is taken.
        let _ = self.socket.try_writes(request.as_bytes());
        self.hears(method)
    }

    /// Reads the next answer.
    ///
    /// # Panics
    /// When none comes, or one whose body is not JSON.
    #[track_caller]
    pub fn hears(&mut self, method: &str) -> Reply {
        let head = self.socket.answer();
        let body = match (head.header("Content-Length"), head.header("Transfer-Encoding")) {
            _ if method == "HEAD" => String::new(),
            (Some(length), _) => self.socket.reads(length.parse().expect("a length")),
            (None, Some(_)) => self.chunks(),
            (None, None) => self.socket.rest(),
        };
        let is_empty = body.is_empty();
        let body = if is_empty { Value::Null } else { serde_json::from_str(&body).expect("an answer is JSON") };
        Reply { head, body }
    }

    /// Reads a body in chunks (RFC 9112 section 7.1).
    #[track_caller]
    fn chunks(&mut self) -> String {
        let mut whole = String::new();
        loop {
            let mut size = String::new();
            while !size.ends_with("\r\n") {
                size += &self.socket.reads(1);
            }
            let length = usize::from_str_radix(size.trim(), 16).expect("the size of a chunk");
            let chunk = self.socket.reads(length + 2);
            if length == 0 {
                return whole;
            }
            whole += &chunk[..length];
        }
    }
}
