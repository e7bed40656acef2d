//! The configuration of the server, with its default values.
//!
//! The binary fills a [`Config`] from flags, environment and a TOML file; a program that embeds the server fills it
//! itself. Constants elsewhere in the server are only sizes of work: how much is done at once before it is the turn of
//! others.

mod live;
mod validate;

pub(crate) use live::LiveConfig;
pub use validate::{Allowed, ConfigError, InvalidSetting};

use crate::auth::AuthConfig;
use crate::hooks::Hook;
use crate::tls::Tls;
use hubcast_hub::{Admission, Limits, TopicRules};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// The configuration of a server. Every field has a default and can be changed before [`Server::bind`], which
/// [validates](Config::validate) it.
///
/// [`Server::bind`]: crate::Server::bind
#[derive(Clone, Debug)]
pub struct Config {
    /// Threads that own connections; `None` is one for each core the process may use.
    pub workers: Option<usize>,
    /// Allowed values of `Origin`, compared as bytes; an empty list allows every origin.
    pub origins: Vec<String>,
    /// WebSockets open at once; the next one is answered 503. In all, 32 more connections than this may be open; after
    /// that the oldest connection that is not a WebSocket is closed for a new one.
    pub max_connections: usize,
    /// The most of these of one address; of an IPv6 address, a /64 is one. `None`: as many as there may be. Connections by
    /// a Unix socket have no address.
    pub max_connections_per_address: Option<u32>,
    /// Whether each connection to the listeners for clients begins with a header of the PROXY protocol. It must come from
    /// a trusted proxy.
    pub proxy_protocol: bool,
    /// Limits of one HTTP head.
    pub http: HttpLimits,
    /// Limits of one message from a client.
    pub messages: MessageLimits,
    /// How long a connection may be quiet, slow or half closed.
    pub timeouts: Timeouts,
    /// Bytes that may wait to be written to one connection; each frame counts 64 bytes more than its length. Over it
    /// the connection is closed with 4002. It must hold the largest message with its topic, escaped, and 256 bytes.
    pub outbox: usize,
    /// Bytes of memory for what waits to be written to all connections together. Over three quarters of it, the server
    /// reads more slowly from the publishers that cause it. Over it, the server takes the connections with the most
    /// waiting bytes and closes them with 4002, or leaves out publications if their subscriptions allow it.
    pub max_waiting: usize,
    /// Bytes that are read and dropped after the close handshake; over it the connection is cut.
    pub linger_bytes: usize,
    /// Limits of one session in the hub.
    pub limits: Limits,
    /// What topics keep, by their name.
    pub rules: TopicRules,
    /// Who is let in, and what may be done where no rule of a topic says otherwise.
    pub admission: Admission,
    /// Tokens and API keys.
    pub auth: AuthConfig,
    /// The certificate of the listeners for clients, which then speak TLS only; `None`: they speak it not.
    pub tls: Option<Arc<Tls>>,
    /// Bytes that all histories may take together.
    pub history_max_bytes: usize,
    /// The folder where histories and idempotency keys are saved at a clean shutdown and read at the next start;
    /// `None`: they are not saved.
    pub state_dir: Option<PathBuf>,
    /// Programs that are told which clients come and go, and which topics are in use. Each has a name of its own.
    pub hooks: Vec<Hook>,
    /// Whether hooks may reach addresses of the public internet alone. Link-local addresses are refused in any case.
    pub hooks_public_only: bool,
    /// How connections are closed when the server stops.
    pub drain: Drain,
    /// Whether there is a page at `/` with which people look at the server and try it. It can do what anybody can do who
    /// has the same tokens and API keys.
    pub console: bool,
    /// Whether the log has a line for each connection that is opened, and one for each that is closed.
    pub log_connections: bool,
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
    /// Frames that may follow the first frame of a message; one more closes with 1008.
    pub fragments: u32,
}

/// The timeouts of a connection.
#[derive(Clone, Debug)]
pub struct Timeouts {
    /// From accept, or from the answer before, to a complete HTTP head; and again from the head to the end of its body.
    pub head: Duration,
    /// From a complete head to an open WebSocket.
    pub upgrade: Duration,
    /// From the first frame of a fragmented message to its last; over it the connection is closed with 1008.
    pub message: Duration,
    /// A connection that sends nothing for so long gets a ping.
    pub ping: Duration,
    /// From the ping to any complete frame; over it the connection is closed with 4000.
    pub pong: Duration,
    /// A stream of server-sent events gets something at least this often.
    pub heartbeat: Duration,
    /// How long one write may wait for the client to read; over it the connection is cut.
    pub write: Duration,
    /// From the server's close to the client's close frame; over it the connection is cut. It starts again whenever the
    /// client takes some of the bytes that wait before the server's close frame, but the whole close takes at most ten
    /// times as long.
    pub close: Duration,
    /// How long the server still reads after the close handshake, so that the client receives its last bytes.
    pub linger: Duration,
    /// The pause before each read from a publisher whose receivers have outboxes that are more than three quarters
    /// full.
    pub publisher_pause: Duration,
}

/// How a stopping server closes its connections.
#[derive(Clone, Debug)]
pub struct Drain {
    /// Connections are closed one by one over this time.
    pub spread: Duration,
    /// After this time the connections that are left are cut.
    pub deadline: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            workers: None,
            origins: Vec::new(),
            max_connections: 10_000,
            max_connections_per_address: None,
            proxy_protocol: false,
            http: HttpLimits { head: 16 * 1024, headers: 100 },
            messages: MessageLimits { message: 64 * 1024, frame: 64 * 1024, fragments: 65_536 },
            timeouts: Timeouts::default(),
            outbox: 1024 * 1024,
            max_waiting: 64 * 1024 * 1024,
            linger_bytes: 1024 * 1024,
            limits: Limits::default(),
            admission: Admission::default(),
            auth: AuthConfig::default(),
            rules: TopicRules::default(),
            history_max_bytes: 64 * 1024 * 1024,
            state_dir: None,
            hooks: Vec::new(),
            hooks_public_only: false,
            drain: Drain { spread: Duration::from_secs(5), deadline: Duration::from_secs(10) },
            console: false,
            log_connections: true,
            tls: None,
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
            heartbeat: Duration::from_secs(15),
            write: Duration::from_secs(5),
            close: Duration::from_secs(3),
            linger: Duration::from_secs(2),
            publisher_pause: Duration::from_millis(10),
        }
    }
}

/// The largest number of workers. A session id has 8 bits for the worker and 24 for its connection there.
pub(crate) const MAX_WORKERS: usize = 256;
