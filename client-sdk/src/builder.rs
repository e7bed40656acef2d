//! Connecting a client: with the default settings, or with settings from a [`ClientBuilder`].

use crate::client::Client;
use crate::driver::{Address, Driver, Endpoint};
use crate::error::ConnectError;
use crate::handle::{Queues, Shared};
use crate::headers::Headers;
use crate::inbox::{QueueBounds, QueueTotal};
use crate::machine::{Backoff, Config};
use crate::publish::encode;
use crate::room::Room;
use hubcast_protocol::request::{Identify, MAX_INFO};
use hubcast_protocol::{MemberSecret, Payload};
use serde::Serialize;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::Duration;

impl Client {
    /// Connects to a server, such as `ws://127.0.0.1:8080/socket` or `wss://example.org/socket`.
    ///
    /// Runs a task on the current tokio runtime for as long as the client lives.
    ///
    /// # Errors
    /// When the address is not valid, when the server refuses this client for good, or when there is no connection
    /// within ten seconds. After the first connection, only the server's close code ends the client: a handshake that
    /// is refused later is tried again.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub async fn connect(url: &str) -> Result<Self, ConnectError> {
        Self::builder(url).connect().await
    }

    /// A builder for a client whose timeouts, pauses and bounds differ from the defaults.
    pub fn builder(url: &str) -> ClientBuilder {
        ClientBuilder::new(url)
    }
}

#[cfg(feature = "testing")]
impl crate::testing::TestServer {
    /// A client that is connected to this server.
    ///
    /// # Errors
    /// When the server stays stopped for longer than the client's connect timeout.
    pub async fn client(&self) -> Result<Client, ConnectError> {
        self.builder().connect().await
    }

    /// A builder for a client of this server whose timeouts, pauses and bounds differ from the defaults.
    pub fn builder(&self) -> ClientBuilder {
        ClientBuilder::local(self.clone())
    }
}

/// The settings of a client; [`ClientBuilder::connect`] connects it.
#[derive(Clone, Debug)]
#[must_use = "nothing is connected before `connect`"]
pub struct ClientBuilder {
    server: ServerAddress,
    config: Config,
    queue: QueueBounds,
    queues: usize,
    request_bytes: usize,
    tls: Option<Arc<rustls::ClientConfig>>,
    headers: Headers,
    secret: Option<MemberSecret>,
    info: Result<Option<Payload>, String>,
}

#[derive(Clone, Debug)]
enum ServerAddress {
    Url(String),
    #[cfg(feature = "testing")]
    Local(crate::testing::TestServer),
}

impl ClientBuilder {
    pub(crate) fn new(url: &str) -> Self {
        Self::of(ServerAddress::Url(url.to_owned()))
    }

    #[cfg(feature = "testing")]
    pub(crate) fn local(server: crate::testing::TestServer) -> Self {
        Self::of(ServerAddress::Local(server))
    }

    fn of(server: ServerAddress) -> Self {
        let queue = QueueBounds { items: 1024, bytes: 4 << 20 };
        Self {
            server,
            config: Config::default(),
            queue,
            queues: 64 << 20,
            request_bytes: REQUEST_BYTES,
            tls: None,
            headers: Headers::default(),
            secret: None,
            info: Ok(None),
        }
    }

    /// The time within which the first connection must be made, over all attempts; by default ten seconds.
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.config.connect_timeout = timeout;
        self
    }

    /// The longest time for one attempt, from the first packet to the welcome; by default ten seconds.
    pub fn attempt_timeout(mut self, timeout: Duration) -> Self {
        self.config.attempt_timeout = timeout;
        self
    }

    /// The time within which the server must answer a request, or the request fails; by default 30 seconds. Time
    /// without a connection counts.
    pub fn request_timeout(mut self, timeout: Duration) -> Self {
        self.config.request_timeout = timeout;
        self
    }

    /// The longest time that [`Client::close`] waits for unanswered requests; by default five seconds.
    pub fn close_timeout(mut self, timeout: Duration) -> Self {
        self.config.close_timeout = timeout;
        self
    }

    /// How late the server's ping on a quiet connection may be; after that, the client closes the connection and makes
    /// a new one. By default ten seconds.
    pub fn ping_grace(mut self, grace: Duration) -> Self {
        self.config.ping_grace = grace;
        self
    }

    /// The pauses between attempts; by default at most 250 milliseconds at first, and at most 15 seconds later.
    pub fn backoff(mut self, backoff: Backoff) -> Self {
        self.config.backoff = backoff;
        self
    }

    /// The most requests that wait for a connection or an answer; by default 1,024, and at least one. One more fails
    /// at once with `QueueFull`; a [`Publisher`](crate::Publisher) waits instead.
    pub fn request_queue(mut self, requests: usize) -> Self {
        self.config.queue = requests.max(1);
        self
    }

    /// The most bytes of all requests that wait for a connection or an answer, together: the texts of each request, and
    /// 256 bytes for what belongs to it. By default 16 MiB, and at most 4 GiB. A request that would exceed it fails at
    /// once with `QueueFull`; a [`Publisher`](crate::Publisher) waits instead. A request that is larger than this bound
    /// is sent when no other one waits.
    pub fn request_queue_bytes(mut self, bytes: usize) -> Self {
        self.request_bytes = bytes;
        self
    }

    /// The most items that wait in a subscription that is not read, unless
    /// [`Subscribe::queue`](crate::Subscribe::queue) sets another bound; by default 1,024.
    pub fn subscription_queue(mut self, items: usize) -> Self {
        self.queue.items = items.max(1);
        self
    }

    /// The most bytes that wait in a subscription that is not read, unless
    /// [`Subscribe::queue_bytes`](crate::Subscribe::queue_bytes) sets another bound; by default 4 MiB. A message counts
    /// with its payload, its topic, and some 300 bytes for itself.
    pub fn subscription_queue_bytes(mut self, bytes: usize) -> Self {
        self.queue.bytes = bytes;
        self
    }

    /// The most bytes that wait in all subscriptions of the client together; by default 64 MiB. Over it, the
    /// subscription for which most waits loses its oldest items, with a gap.
    pub fn all_queues_bytes(mut self, bytes: usize) -> Self {
        self.queues = bytes;
        self
    }

    /// The most topics under one pattern whose positions are kept, to resume them; by default 512. For the other
    /// topics, a [`Gap`](crate::Gap) after a reconnect says that publications may be missing.
    pub fn topics_per_pattern(mut self, topics: usize) -> Self {
        self.config.topics_per_pattern = topics;
        self
    }

    /// The TLS configuration for `wss://`, such as other root certificates than those of the web, or a certificate of
    /// the client. By default the client trusts the roots of the web.
    pub fn tls(mut self, config: Arc<rustls::ClientConfig>) -> Self {
        self.tls = Some(config);
        self
    }

    /// What presence shows of this client to others, such as its name: any value whose JSON has at most 1 KiB. It is
    /// marked as unverified there, because a client may say what it likes. If the client has a token with a user, the
    /// server shows what the token says instead.
    ///
    /// An info that cannot be sent makes [`ClientBuilder::connect`] fail.
    pub fn info<T: Serialize + ?Sized>(mut self, info: &T) -> Self {
        self.info = encode(info).map_err(|error| error.to_string()).and_then(|info| match info.as_plain().len() {
            ..=MAX_INFO => Ok(Some(info)),
            size => Err(format!("its JSON has {size} bytes, and {MAX_INFO} are allowed")),
        });
        self
    }

    /// The secret by which presence recognises this client when it comes back. By default each client makes its own,
    /// and keeps it over reconnects. A program that stores [`Client::member_secret`] and gives it here is the same
    /// member after its own restart too. Two clients with the same secret are two connections of one member.
    pub fn member_secret(mut self, secret: MemberSecret) -> Self {
        self.secret = Some(secret);
        self
    }

    /// Adds a header to the handshake of every connection, such as an `Origin`, a `Cookie` or an `Authorization` for a
    /// proxy in front of the server. The same name may be added several times.
    ///
    /// An invalid name or value makes [`ClientBuilder::connect`] fail, as does a header that the handshake sets itself.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.add(name, value);
        self
    }

    /// Connects.
    ///
    /// # Errors
    /// As [`Client::connect`], and when a [header](ClientBuilder::header) is not valid.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub async fn connect(mut self) -> Result<Client, ConnectError> {
        let (endpoint, seed) = match self.server {
            ServerAddress::Url(url) => {
                (Endpoint::Address(Address::new(url, self.tls, self.headers.checked()?)?), random())
            }
            #[cfg(feature = "testing")]
            ServerAddress::Local(server) => {
                let seed = u128::from(server.next_seed());
                (Endpoint::Local(server), seed)
            }
        };
        let secret = self.secret.unwrap_or_else(|| MemberSecret::from_random(random()));
        let info = self.info.map_err(|reason| ConnectError::InvalidInfo { reason })?;
        self.config.identity = Some(Identify { secret: secret.clone(), info });
        let room = Room::new(self.config.queue, self.request_bytes);
        let (all, topics) = (Arc::new(QueueTotal::new(self.queues)), self.config.topics_per_pattern);
        let queues = Queues { each: self.queue, all: all.clone(), topics };
        let (commands, status) = Driver::spawn(endpoint, self.config, seed, all);
        let client = Client::new(Shared::new(commands, status, queues, room, secret));
        client.welcome().await?;
        Ok(client)
    }
}

/// Bits that others cannot guess, from the random source of the operating system. If that fails, from the random keys
/// that the standard library has taken from it for its hash maps.
fn random() -> u128 {
    let mut seed = [0; 16];
    if rustls::crypto::ring::default_provider().secure_random.fill(&mut seed).is_err() {
        let state = RandomState::new();
        seed[..8].copy_from_slice(&state.hash_one(1).to_le_bytes());
        seed[8..].copy_from_slice(&state.hash_one(2).to_le_bytes());
    }
    u128::from_le_bytes(seed)
}

/// The default of [`ClientBuilder::request_queue_bytes`]: as much as 256 of the largest messages of a server with the
/// usual limit of 64 KiB.
const REQUEST_BYTES: usize = 16 * 1024 * 1024;
