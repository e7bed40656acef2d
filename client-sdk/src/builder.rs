//! The settings of a client.

mod connect;

use crate::client::Client;
use crate::connector::{ByteStream, Connector};
use crate::driver::shown;
use crate::error::ConnectError;
use crate::headers::Headers;
use crate::inbox::QueueBounds;
use crate::machine::{Backoff, Config, TokenReason};
use crate::publish::encode;
#[cfg(feature = "testing")]
use crate::testing::Entrance;
#[cfg(feature = "tls")]
use crate::tls::Tls;
use crate::token::{TokenError, TokenSource};
use hubcast_protocol::request::MAX_INFO;
use hubcast_protocol::{MemberSecret, Payload};
use serde::Serialize;
use std::error::Error;
use std::fmt;
use std::io;
use std::time::Duration;

impl Client {
    /// Connects to a server, such as `ws://127.0.0.1:8080/socket` or `wss://example.org/socket`.
    ///
    /// Runs a task on the current tokio runtime for as long as the client lives.
    ///
    /// # Errors
    /// When the address is not valid, when the server refuses this client for good, or when there is no connection
    /// within ten seconds. After the first connection, the server's close code ends the client, or
    /// [`max_refusals`](ClientBuilder::max_refusals) refused handshakes.
    ///
    /// # Panics
    /// Outside of a tokio runtime, and on one whose time driver is not enabled.
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
        ClientBuilder::local(Entrance { server: self.clone(), user: None })
    }

    /// A client that is connected to this server as this user, as if its token said so.
    ///
    /// # Errors
    /// When the server stays stopped for longer than the client's connect timeout.
    pub async fn client_of(&self, user: &str) -> Result<Client, ConnectError> {
        self.builder_of(user).connect().await
    }

    /// A builder for a client that is this user, as if its token said so.
    pub fn builder_of(&self, user: &str) -> ClientBuilder {
        ClientBuilder::local(Entrance { server: self.clone(), user: Some(user.into()) })
    }
}

/// The settings of a client; [`ClientBuilder::connect`] connects it.
#[derive(Clone)]
#[must_use = "nothing is connected before `connect`"]
pub struct ClientBuilder {
    server: ServerAddress,
    config: Config,
    queue: QueueBounds,
    queues: usize,
    request_bytes: usize,
    #[cfg(feature = "tls")]
    tls: Tls,
    proxy: Option<Option<String>>,
    connector: Option<Connector>,
    headers: Headers,
    tokens: TokenSource,
    secret: Option<MemberSecret>,
    info: Result<Option<Payload>, String>,
}

#[derive(Clone)]
enum ServerAddress {
    Urls(Vec<String>),
    #[cfg(feature = "testing")]
    Local(Entrance),
}

impl ClientBuilder {
    pub(crate) fn new(url: &str) -> Self {
        Self::of(ServerAddress::Urls(vec![url.to_owned()]))
    }

    #[cfg(feature = "testing")]
    pub(crate) fn local(entrance: Entrance) -> Self {
        Self::of(ServerAddress::Local(entrance))
    }

    fn of(server: ServerAddress) -> Self {
        let queue = QueueBounds { items: 1024, bytes: 4 << 20 };
        Self {
            server,
            config: Config::default(),
            queue,
            queues: 64 << 20,
            request_bytes: REQUEST_BYTES,
            #[cfg(feature = "tls")]
            tls: Tls::default(),
            proxy: None,
            connector: None,
            headers: Headers::default(),
            tokens: TokenSource::default(),
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

    /// The most attempts in a row, for the first connection and for each later one. When all of them have failed, the
    /// client is closed with [`Closed::GivenUp`](crate::Closed::GivenUp). By default the client tries for ever, and the
    /// first connection has only its [`connect_timeout`](Self::connect_timeout).
    pub fn max_attempts(mut self, attempts: u32) -> Self {
        self.config.max_attempts = Some(attempts.max(1));
        self
    }

    /// The most times that the handshake may be refused after a first connection, such as with 401 or 404, until the
    /// client is closed with [`Closed::Rejected`](crate::Closed::Rejected); by default 8. The pauses before these
    /// attempts double from one second to the cap of the [`backoff`](Self::backoff): altogether about a minute. The
    /// count begins again with each connection. The first connection fails with the first refusal.
    pub fn max_refusals(mut self, refusals: u32) -> Self {
        self.config.max_refusals = refusals.max(1);
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

    /// Adds another address of the same server, or of another node of the same cluster. Each attempt takes the next
    /// address, and the first attempt after a connection the one that worked. A refusal, such as a 401, counts when all
    /// addresses have refused, one after the other. Until the first connection, each attempt has at most its share of the
    /// [`connect_timeout`](Self::connect_timeout), so that an address that is silent leaves time for the others.
    pub fn address(mut self, url: &str) -> Self {
        match &mut self.server {
            ServerAddress::Urls(urls) => urls.push(url.to_owned()),
            #[cfg(feature = "testing")]
            ServerAddress::Local(_) => {}
        }
        self
    }

    /// The settings of TLS for `wss://`, such as other root certificates than those of the web, or a certificate of the
    /// client. By default the client trusts the roots of the web.
    #[cfg(feature = "tls")]
    pub fn tls(mut self, tls: Tls) -> Self {
        self.tls = tls;
        self
    }

    /// Connects through an HTTP proxy, such as `http://user:password@proxy.example:3128`, for `wss://` and `ws://`, by
    /// the method `CONNECT`.
    ///
    /// Without this option the environment decides, as for curl: `https_proxy` or `HTTPS_PROXY` for `wss://`,
    /// `http_proxy` for `ws://`, else `all_proxy` or `ALL_PROXY`. Servers on this machine are
    /// reached directly, as are those in `no_proxy` or `NO_PROXY`: names, domains, addresses, and ranges such as
    /// `10.0.0.0/8`, separated by commas, each with a port or without; `*` stands for all.
    pub fn proxy(mut self, url: &str) -> Self {
        self.proxy = Some(Some(url.to_owned()));
        self
    }

    /// Connects directly, whatever the environment says about proxies.
    pub fn no_proxy(mut self) -> Self {
        self.proxy = Some(None);
        self
    }

    /// Makes the connections by a function of the program, which gets the host and the port of the address, and returns
    /// a byte stream: a Unix socket, a tunnel, or something in memory. No proxy is used then. If the address has
    /// `wss://`, the client speaks TLS on that stream.
    ///
    /// ```no_run
    /// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
    /// use hubcast_client::Client;
    /// use tokio::net::UnixStream;
    ///
    /// let client = Client::builder("ws://hub/socket").connector(|_, _| UnixStream::connect("/run/hub.sock"));
    /// let client = client.connect().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn connector<F, C, S>(mut self, connect: F) -> Self
    where
        F: Fn(String, u16) -> C + Send + Sync + 'static,
        C: Future<Output = io::Result<S>> + Send + 'static,
        S: ByteStream + 'static,
    {
        self.connector = Some(Connector::new(connect));
        self
    }

    /// Adds headers that a function of the program makes anew for each attempt, such as a key of a proxy that changes. For
    /// tokens of the server see [`token_from`](Self::token_from). They are
    /// pairs of name and value. If it fails, so does the attempt, and the status says why; the next attempt asks it
    /// again. Its time counts for the [`attempt_timeout`](Self::attempt_timeout).
    ///
    /// ```no_run
    /// # async fn fresh_key() -> Result<String, std::io::Error> { Ok(String::new()) }
    /// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
    /// use hubcast_client::Client;
    ///
    /// let client = Client::builder("wss://hub.example/socket").headers(|| async {
    ///     Ok(vec![("X-Proxy-Key".to_owned(), fresh_key().await?)])
    /// });
    /// let client = client.connect().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn headers<F, C>(mut self, make: F) -> Self
    where
        F: Fn() -> C + Send + Sync + 'static,
        C: Future<Output = Result<Vec<(String, String)>, Box<dyn Error + Send + Sync>>> + Send + 'static,
    {
        self.headers.make(make);
        self
    }

    /// Shows the server tokens that a function of the program gives. The client keeps a token over reconnects. It asks
    /// for the next one after 70 to 90 percent of the lifetime, if the token is a JWT that says when it ends, and when the
    /// server says that it has ended or refuses it. The new one is shown on the connection that there is: subscriptions go
    /// on. Requests that the server refuses because the token has ended wait for the next one.
    ///
    /// The function has ten seconds, and its first answer must come within the
    /// [`connect_timeout`](Self::connect_timeout). If it answers [`TokenError::NotAllowed`], the client is closed; after
    /// any other error it is asked again, after a pause. If the server refuses three tokens in a row, the client is closed
    /// with [`Closed::TokenRefused`](crate::Closed::TokenRefused).
    ///
    /// The token replaces any other `Authorization`. This crate does not print it. What `tungstenite` logs at the level
    /// trace contains it: see [`header`](Self::header).
    ///
    /// ```no_run
    /// # async fn login(_: bool) -> Result<Option<String>, std::io::Error> { Ok(None) }
    /// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
    /// use hubcast_client::{Client, TokenError, TokenReason};
    ///
    /// let client = Client::builder("wss://hub.example/socket").token_from(|reason| async move {
    ///     let is_fresh = reason == TokenReason::Refused;
    ///     match login(is_fresh).await.map_err(TokenError::failed)? {
    ///         Some(token) => Ok(token),
    ///         None => Err(TokenError::NotAllowed("the account is closed".to_owned())),
    ///     }
    /// });
    /// let client = client.connect().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn token_from<F, C>(mut self, ask: F) -> Self
    where
        F: Fn(TokenReason) -> C + Send + Sync + 'static,
        C: Future<Output = Result<String, TokenError>> + Send + 'static,
    {
        self.tokens = TokenSource::new(ask);
        self
    }

    /// Shows the server this token on every connection. It cannot be renewed: when it ends, or when the server refuses
    /// it, the client is closed with [`Closed::NotAllowed`](crate::Closed::NotAllowed). See
    /// [`token_from`](Self::token_from) for tokens that are renewed.
    pub fn token(mut self, token: &str) -> Self {
        self.tokens = TokenSource::Fixed(token.into());
        self
    }

    /// What presence shows of this client to others, such as its name: any value whose JSON has at most 1 KiB. It is
    /// marked as unverified there, because a client may say what it likes. If the client has a token with a user, the
    /// server shows what the token says instead.
    ///
    /// An info that cannot be sent makes [`ClientBuilder::connect`] fail.
    pub fn info<T: Serialize + ?Sized>(mut self, info: &T) -> Self {
        let json = |info: &Payload| serde_json::to_string(info).map_or(0, |json| json.len());
        self.info = encode(info).map_err(|error| error.to_string()).and_then(|info| match json(&info) {
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
    ///
    /// This crate prints no values. But the crate `tungstenite` logs the whole handshake, with all headers and so with
    /// passwords, through the crate `log` at the level trace: keep that level off for the target `tungstenite`.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.add(name, value);
        self
    }
}

impl fmt::Debug for ClientBuilder {
    /// Prints neither secrets nor the users and passwords of addresses.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let urls: Vec<String> = match &self.server {
            ServerAddress::Urls(urls) => urls.iter().map(|url| shown(url)).collect(),
            #[cfg(feature = "testing")]
            ServerAddress::Local(_) => vec!["a test server".to_owned()],
        };
        let mut builder = f.debug_struct("ClientBuilder");
        builder.field("urls", &urls).field("headers", &self.headers).field("config", &self.config);
        builder.finish_non_exhaustive()
    }
}

/// The default of [`ClientBuilder::request_queue_bytes`]: as much as 256 of the largest messages of a server with the
/// usual limit of 64 KiB.
const REQUEST_BYTES: usize = 16 * 1024 * 1024;
