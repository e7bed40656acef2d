//! Asks the HTTP API of the server.

use super::answers::{Page, Snapshot};
use crate::commands::client::connect::tls;
use crate::commands::client::exit::{FAILED, Failure, REFUSED, UNREACHED};
use crate::commands::client::options::ServerOptions;
use crate::commands::client::terminal::Terminal;
use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Limited};
use hubcast_client::{ByteStream, Tls};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{AUTHORIZATION, HOST, HeaderValue, USER_AGENT};
use hyper::{Request, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::timeout;

/// The HTTP API of one server. It keeps a connection for the next question.
pub(super) struct Api {
    address: Address,
    /// The settings of TLS; `None` for plain HTTP.
    tls: Option<Tls>,
    key: Option<HeaderValue>,
    patience: Duration,
    sender: Option<SendRequest<Empty<Bytes>>>,
}

/// Why there is no answer.
#[derive(Debug)]
pub(super) struct Fault {
    /// The exit code for it.
    pub(super) code: u8,
    /// For people. It may hold what the server says.
    pub(super) why: String,
}

/// Where the API is.
#[derive(Debug, PartialEq)]
struct Address {
    is_secure: bool,
    host: String,
    port: u16,
    authority: String,
    /// The path before `/api`.
    base: String,
}

/// The answer of a server that refuses.
#[derive(Deserialize)]
struct Refusal {
    error: Reason,
}

#[derive(Deserialize)]
struct Reason {
    reason: String,
}

impl Api {
    /// # Errors
    /// When the address, the key or the settings of TLS cannot be used.
    pub(super) fn new(options: &ServerOptions, key: Option<&str>, terminal: Terminal) -> Result<Self, Failure> {
        let address = Address::of_socket(&options.url).map_err(Failure::misused)?;
        let settings = tls(options, terminal)?;
        let key = key.map(|key| HeaderValue::try_from(format!("Bearer {}", key.trim()))).transpose();
        let mut key = key.map_err(|_| Failure::misused("the API key has characters that no key has"))?;
        if let Some(key) = &mut key {
            key.set_sensitive(true);
        }
        let tls = address.is_secure.then(|| settings.unwrap_or_default());
        Ok(Self { address, tls, key, patience: options.connect_timeout.0, sender: None })
    }

    /// Asks for everything that is shown.
    pub(super) async fn look(&mut self) -> Result<Snapshot, Fault> {
        let stats = self.ask("/api/stats").await?;
        let (topics, has_all_topics) = self.list("/api/topics?limit=1000").await?;
        let (clients, has_all_clients) = self.list("/api/clients?slow=true&limit=1000").await?;
        Ok(Snapshot { stats, topics, clients, is_complete: has_all_topics && has_all_clients })
    }

    /// Reads a list page by page. Returns whether it is the whole list, too.
    async fn list<T: DeserializeOwned>(&mut self, path: &str) -> Result<(Vec<T>, bool), Fault> {
        let (mut items, mut cursor) = (Vec::new(), None);
        for _ in 0..MOST_PAGES {
            let read: Page<T> = self.ask(&page(path, cursor.as_deref())).await?;
            items.extend(read.items);
            cursor = read.cursor;
            if cursor.is_none() {
                return Ok((items, true));
            }
        }
        Ok((items, false))
    }

    /// Sends a question on the connection that there is. If that one is over, on a new one.
    async fn ask<T: DeserializeOwned>(&mut self, path: &str) -> Result<T, Fault> {
        let waited = timeout(self.patience, async {
            if let Some(sender) = self.sender.take()
                && let Ok(answer) = self.exchange(sender, path).await
            {
                return Ok(answer);
            }
            let sender = self.connect().await?;
            self.exchange(sender, path).await.map_err(|error| unreached(error.to_string()))
        });
        let (status, body) =
            waited.await.unwrap_or_else(|_| Err(unreached(format!("no answer within {:?}", self.patience))))?;
        if status != StatusCode::OK {
            return Err(refused(status, &body));
        }
        serde_json::from_slice(&body).map_err(|error| Fault {
            code: FAILED,
            why: format!("this is not the answer of a hubcast server: {error}"),
        })
    }

    async fn connect(&self) -> Result<SendRequest<Empty<Bytes>>, Fault> {
        let Address { host, port, .. } = &self.address;
        let stream = TcpStream::connect((host.as_str(), *port)).await.map_err(|error| unreached(error.to_string()))?;
        let stream: Box<dyn ByteStream> = match &self.tls {
            Some(tls) => tls.handshake(host, stream).await.map_err(|error| unreached(error.to_string()))?,
            None => Box::new(stream),
        };
        let (sender, connection) =
            http1::handshake(TokioIo::new(stream)).await.map_err(|error| unreached(error.to_string()))?;
        // An error of the connection is also one of the answer.
        tokio::spawn(connection);
        Ok(sender)
    }

    /// Sends a question and reads its answer, and keeps the connection if it can be used again.
    async fn exchange(
        &mut self,
        mut sender: SendRequest<Empty<Bytes>>,
        path: &str,
    ) -> Result<(StatusCode, Bytes), Box<dyn std::error::Error + Send + Sync>> {
        let mut request = Request::new(Empty::new());
        *request.uri_mut() = format!("{}{path}", self.address.base).parse()?;
        let headers = request.headers_mut();
        headers.insert(HOST, self.address.authority.parse()?);
        headers.insert(USER_AGENT, HeaderValue::from_static(concat!("hubcast/", env!("CARGO_PKG_VERSION"))));
        if let Some(key) = &self.key {
            headers.insert(AUTHORIZATION, key.clone());
        }
        sender.ready().await?;
        let response = sender.send_request(request).await?;
        let status = response.status();
        let body = Limited::new(response.into_body(), MAX_ANSWER).collect().await?.to_bytes();
        self.sender = Some(sender);
        Ok((status, body))
    }
}

impl Address {
    /// Where the API of a WebSocket's server is: beside it.
    fn of_socket(url: &str) -> Result<Self, String> {
        let (scheme, rest) = url.split_once("://").ok_or("an address begins with ws:// or wss://")?;
        let (is_secure, usual) = match scheme.to_ascii_lowercase().as_str() {
            "ws" | "http" => (false, 80),
            "wss" | "https" => (true, 443),
            _ => return Err("an address begins with ws:// or wss://".to_owned()),
        };
        let rest = rest.split(['?', '#']).next().unwrap_or_default();
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        // A user and a password are for a proxy in front of the WebSocket; the API has its key.
        let authority = authority.rsplit_once('@').map_or(authority, |(_, authority)| authority);
        let uri: Uri = format!("http://{authority}/").parse().map_err(|error| format!("the address: {error}"))?;
        let host = uri.host().filter(|host| !host.is_empty()).ok_or("the address names no host")?;
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let base = path.rsplit_once('/').map_or("", |(base, _)| base).to_owned();
        Ok(Self { is_secure, host, port: uri.port_u16().unwrap_or(usual), authority: authority.to_owned(), base })
    }
}

fn page(path: &str, cursor: Option<&str>) -> String {
    match cursor {
        // The cursor is a number. A server that says something else gets no other request for it.
        Some(cursor) => path.to_owned() + "&cursor=" + &cursor.chars().filter(char::is_ascii_digit).collect::<String>(),
        None => path.to_owned(),
    }
}

fn unreached(why: String) -> Fault {
    Fault { code: UNREACHED, why }
}

fn refused(status: StatusCode, body: &[u8]) -> Fault {
    let code = match status {
        // The last one says that there were too many wrong keys.
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::TOO_MANY_REQUESTS => REFUSED,
        _ => FAILED,
    };
    let refusal: Option<Refusal> = serde_json::from_slice(body).ok();
    let reason = refusal.map(|refusal| refusal.error.reason.chars().take(200).collect::<String>());
    let reason = reason.map_or_else(String::new, |reason| format!(": {reason}"));
    Fault { code, why: format!("the server answers {}{reason}", status.as_u16()) }
}

/// Pages that are read in one look: with more topics or connections, the rest is not shown.
const MOST_PAGES: usize = 50;
/// The largest answer that is read, in bytes: a page of topics with long names.
const MAX_ANSWER: usize = 16 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_api_is_beside_the_socket() {
        let address = |url| Address::of_socket(url).map(|a| (a.is_secure, a.host, a.port, a.authority, a.base));
        let expected = |secure, host: &str, port, authority: &str, base: &str| {
            Ok((secure, host.to_owned(), port, authority.to_owned(), base.to_owned()))
        };
        assert_eq!(address("ws://127.0.0.1:8080/socket"), expected(false, "127.0.0.1", 8080, "127.0.0.1:8080", ""));
        assert_eq!(
            address("wss://ada:pw@a.example/hub/socket?x=/y"),
            expected(true, "a.example", 443, "a.example", "/hub")
        );
        assert_eq!(address("ws://[::1]:9"), expected(false, "::1", 9, "[::1]:9", ""));
        for wrong in ["127.0.0.1:8080", "ftp://a", "ws://", "ws:///socket"] {
            assert!(address(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_refusal_says_why() {
        let fault =
            refused(StatusCode::UNAUTHORIZED, b"{\"error\":{\"code\":\"unauthenticated\",\"reason\":\"no key\"}}");
        assert_eq!((fault.code, fault.why.as_str()), (REFUSED, "the server answers 401: no key"));
        assert_eq!(refused(StatusCode::BAD_GATEWAY, b"<html>").why, "the server answers 502");
    }
}
