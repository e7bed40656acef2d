//! Every number the server lives by, with its default.
//!
//! The binary fills a [`Config`] from flags, environment and a TOML file; a program that embeds the server fills
//! it by hand. What the rest of the server holds of its own are sizes of work: how much is done at once before it is
//! others' turn.

mod validate;

pub use validate::{Allowed, ConfigError, InvalidSetting};

use hubcast_hub::{Limits, TopicRules};
use std::path::PathBuf;
use std::time::Duration;

/// What the server does when nobody says otherwise; every field can be changed before [`Server::bind`], which
/// [validates](Config::validate) it.
///
/// [`Server::bind`]: crate::Server::bind
#[derive(Clone, Debug)]
pub struct Config {
    /// Threads that own connections; `None` is one for each core the process may use.
    pub workers: Option<usize>,
    /// Values of `Origin` that are let in, compared as bytes; empty lets every origin in.
    pub origins: Vec<String>,
    /// WebSockets open at once; the next one is answered 503. So many connections, and 32 more, may be open in all; then the
    /// oldest that is no WebSocket is closed for a newcomer.
    pub max_connections: usize,
    /// What one HTTP head may take.
    pub http: HttpLimits,
    /// What one message from a client may take.
    pub messages: MessageLimits,
    /// How long a connection may be quiet, slow or half closed.
    pub timeouts: Timeouts,
    /// Bytes that may wait to be written to one connection, each frame with 64 besides; one that is over is closed with
    /// 4002. It has to hold the largest message with its topic, escaped, and 256 bytes.
    pub outbox: usize,
    /// Bytes of memory for what waits to be written to all connections together. Over three quarters of it those who cause it
    /// are read more slowly; over it the connections for which most waits are closed with 4002, or miss something where
    /// their subscriptions allow it.
    pub max_waiting: usize,
    /// Bytes that are read and dropped after the close handshake; over it the connection is cut.
    pub linger_bytes: usize,
    /// What one session may ask of the hub.
    pub limits: Limits,
    /// What topics keep, by their name.
    pub rules: TopicRules,
    /// Bytes that all histories may take together.
    pub history_max_bytes: usize,
    /// Where histories and idempotency keys go at a clean shutdown, to be read at the next start; `None`: nowhere.
    pub state_dir: Option<PathBuf>,
    /// How connections are sent away when the server stops.
    pub drain: Drain,
}

/// Bounds of an HTTP head, before a connection is a WebSocket.
#[derive(Clone, Debug)]
pub struct HttpLimits {
    /// Bytes of the request line and all headers; over it the answer is 431. At least 8 KiB.
    pub head: usize,
    /// Header lines; over it the answer is 431.
    pub headers: usize,
}

/// Bounds of a WebSocket message from a client.
#[derive(Clone, Debug)]
pub struct MessageLimits {
    /// Bytes of a message, all fragments together; one more closes with 1009.
    pub message: usize,
    /// Bytes of one frame's payload; one more closes with 1009.
    pub frame: usize,
    /// Batch that may continue the first one of a message; one more closes with 1008.
    pub fragments: u32,
}

/// Every wait that has an end.
#[derive(Clone, Debug)]
pub struct Timeouts {
    /// From accept to a complete HTTP head.
    pub head: Duration,
    /// From a complete head to an open WebSocket.
    pub upgrade: Duration,
    /// From the first frame of a fragmented message to its last; over it closes with 1008.
    pub message: Duration,
    /// Quiet for so long, a connection is pinged.
    pub ping: Duration,
    /// From the ping to any complete frame; over it closes with 4000.
    pub pong: Duration,
    /// One write may wait for the peer to read; over it the connection is cut.
    pub write: Duration,
    /// From the close to the peer's close frame. It begins anew whenever the peer takes some of what waits to be written before
    /// ours, and is ten times as long in all at most; over it the connection is cut.
    pub close: Duration,
    /// Reading on after the close handshake, so that the peer gets to read our last bytes.
    pub linger: Duration,
    /// How long a publisher is not read whose receivers' outboxes are over three quarters full, before each of its reads.
    pub publisher_pause: Duration,
}

/// How a stopping server parts with its connections.
#[derive(Clone, Debug)]
pub struct Drain {
    /// Connections are sent away one by one over this time.
    pub spread: Duration,
    /// After this time those still there are cut.
    pub deadline: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            workers: None,
            origins: Vec::new(),
            max_connections: 10_000,
            http: HttpLimits { head: 16 * 1024, headers: 100 },
            messages: MessageLimits { message: 64 * 1024, frame: 64 * 1024, fragments: 65_536 },
            timeouts: Timeouts::default(),
            outbox: 1024 * 1024,
            max_waiting: 64 * 1024 * 1024,
            linger_bytes: 1024 * 1024,
            limits: Limits::default(),
            rules: TopicRules::default(),
            history_max_bytes: 64 * 1024 * 1024,
            state_dir: None,
            drain: Drain { spread: Duration::from_secs(5), deadline: Duration::from_secs(10) },
        }
    }
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            head: Duration::from_secs(10),
            upgrade: Duration::from_secs(10),
            message: Duration::from_secs(60),
            ping: Duration::from_secs(25),
            pong: Duration::from_secs(10),
            write: Duration::from_secs(5),
            close: Duration::from_secs(3),
            linger: Duration::from_secs(2),
            publisher_pause: Duration::from_millis(10),
        }
    }
}

/// The most workers that there may be: a session is named by its worker in 8 bits and its connection there in 24.
pub(crate) const MAX_WORKERS: usize = 256;
