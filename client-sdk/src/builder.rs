//! A client that is not quite the usual one.

use crate::client::Client;
use crate::driver::{Address, Driver, Endpoint};
use crate::error::ConnectError;
use crate::handle::Shared;
use crate::headers::Headers;
use crate::machine::{Backoff, Config};
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::Duration;

impl Client {
    /// Connects to a server, such as `ws://127.0.0.1:8080/socket` or `wss://example.org/socket`.
    ///
    /// Runs a task on the current tokio runtime for as long as the client lives.
    ///
    /// # Errors
    /// When the address is not one, when the server says that it does not want this client, or when there is no
    /// connection within ten seconds. Once there was a connection, only the server's close code ends the client: a
    /// handshake that is refused later is tried again.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub async fn connect(url: &str) -> Result<Self, ConnectError> {
        Self::builder(url).connect().await
    }

    /// A client with other timeouts, pauses and bounds than the usual.
    pub fn builder(url: &str) -> ClientBuilder {
        ClientBuilder::new(url)
    }
}

#[cfg(feature = "testing")]
impl crate::testing::TestServer {
    /// A client that is connected to this server.
    ///
    /// # Errors
    /// When the server is stopped for longer than a client waits.
    pub async fn client(&self) -> Result<Client, ConnectError> {
        self.builder().connect().await
    }

    /// A client of this server with other timeouts, pauses and bounds than the usual.
    pub fn builder(&self) -> ClientBuilder {
        ClientBuilder::local(self.clone())
    }
}

/// What a client should be like, then [`ClientBuilder::connect`].
#[derive(Clone, Debug)]
#[must_use = "nothing is connected before `connect`"]
pub struct ClientBuilder {
    server: ServerAddress,
    config: Config,
    subscription_queue: usize,
    tls: Option<Arc<rustls::ClientConfig>>,
    headers: Headers,
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
        Self { server, config: Config::default(), subscription_queue: 1024, tls: None, headers: Headers::default() }
    }

    /// The first connection must come within this time, whatever number of attempts that takes; ten seconds.
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.config.connect_timeout = timeout;
        self
    }

    /// One attempt, from the first packet to the welcome, may take so long; ten seconds.
    pub fn attempt_timeout(mut self, timeout: Duration) -> Self {
        self.config.attempt_timeout = timeout;
        self
    }

    /// Everything that is asked of the server is answered within this time, or fails; 30 seconds. Time without a
    /// connection counts.
    pub fn request_timeout(mut self, timeout: Duration) -> Self {
        self.config.request_timeout = timeout;
        self
    }

    /// Closing waits so long for what is unanswered; five seconds.
    pub fn close_timeout(mut self, timeout: Duration) -> Self {
        self.config.close_timeout = timeout;
        self
    }

    /// The server pings a connection that is quiet; when it is this late with that, the connection is given up; ten
    /// seconds.
    pub fn ping_grace(mut self, grace: Duration) -> Self {
        self.config.ping_grace = grace;
        self
    }

    /// How long to wait between attempts; up to 250 milliseconds at first, up to 15 seconds in the end.
    pub fn backoff(mut self, backoff: Backoff) -> Self {
        self.config.backoff = backoff;
        self
    }

    /// So many requests may wait for a connection or an answer; 1,024. One more fails at once.
    pub fn request_queue(mut self, requests: usize) -> Self {
        self.config.queue = requests;
        self
    }

    /// So many items wait in a subscription that is not read, unless it says otherwise itself; 1,024.
    pub fn subscription_queue(mut self, items: usize) -> Self {
        self.subscription_queue = items;
        self
    }

    /// Of so many topics under one pattern the position is kept, to resume them; 512. Of the others it is said, after
    /// a reconnect, that something may be missing.
    pub fn topics_per_pattern(mut self, topics: usize) -> Self {
        self.config.topics_per_pattern = topics;
        self
    }

    /// How `wss://` is spoken: other roots of trust than those of the web, or a certificate of the client's own.
    pub fn tls(mut self, config: Arc<rustls::ClientConfig>) -> Self {
        self.tls = Some(config);
        self
    }

    /// Says this in the handshake of every connection, such as an `Origin`, a `Cookie` or an `Authorization` for what
    /// stands before the server. The same name may be given again.
    ///
    /// A name or value that is none fails [`ClientBuilder::connect`], as do headers of the handshake itself.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.add(name, value);
        self
    }

    /// Connects.
    ///
    /// # Errors
    /// As [`Client::connect`], and when a [header](ClientBuilder::header) is none.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub async fn connect(self) -> Result<Client, ConnectError> {
        let (endpoint, seed) = match self.server {
            ServerAddress::Url(url) => {
                (Endpoint::Address(Address::new(url, self.tls, self.headers.checked()?)?), seed())
            }
            #[cfg(feature = "testing")]
            ServerAddress::Local(server) => {
                let seed = u128::from(server.next_seed());
                (Endpoint::Local(server), seed)
            }
        };
        let (commands, status) = Driver::spawn(endpoint, self.config, seed);
        let client = Client::new(Shared::new(commands, status, self.subscription_queue));
        client.welcome().await?;
        Ok(client)
    }
}

/// A number that nobody can guess, from the operating system. Where that has none, from what the standard library has
/// taken from it for its hash maps.
fn seed() -> u128 {
    let mut seed = [0; 16];
    if rustls::crypto::ring::default_provider().secure_random.fill(&mut seed).is_err() {
        let state = RandomState::new();
        seed[..8].copy_from_slice(&state.hash_one(1).to_le_bytes());
        seed[8..].copy_from_slice(&state.hash_one(2).to_le_bytes());
    }
    u128::from_le_bytes(seed)
}
