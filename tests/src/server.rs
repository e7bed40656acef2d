//! The whole server, in the process of the test.

use crate::{DEADLINE, Handshake, Plain, Socket, Typed};
use hubcast_hub::{TopicPolicy, TopicRule};
use hubcast_server::{Config, Reloader};
use std::cell::RefCell;
use std::net::{SocketAddr, TcpListener};
use std::sync::mpsc;
use std::time::Duration;
use tokio::sync::oneshot;

/// A running server on a port that the operating system chose. Dropping it shuts it down and waits for its end; a
/// server that ends with an error or not before the [`DEADLINE`] fails the test.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    /// The configuration in force.
    config: RefCell<Config>,
    reloader: Reloader,
    shutdown: Option<oneshot::Sender<()>>,
    ended: mpsc::Receiver<Result<(), hubcast_server::RunError>>,
}

impl Server {
    /// Starts a server with one worker and the defaults, except for two settings: topics keep no history, so that
    /// events carry no positions; and a drain closes all connections at once.
    pub fn start() -> Self {
        Self::with(|_| {})
    }

    /// Starts a server like [`Server::start`] with a changed configuration.
    ///
    /// # Panics
    /// If the server cannot start.
    pub fn with(change: impl FnOnce(&mut Config)) -> Self {
        Self::on([TcpListener::bind("127.0.0.1:0").expect("a free port")], change)
    }

    /// Starts a server like [`Server::with`] on these listeners. Its address is that of the first.
    ///
    /// # Panics
    /// If the server cannot start.
    pub fn on(listeners: impl IntoIterator<Item = TcpListener>, change: impl FnOnce(&mut Config)) -> Self {
        Self::made(|config| hubcast_server::Server::bind(config, listeners).expect("listeners fit for serving"), change)
    }

    /// Starts a server like [`Server::with`], made by `make`.
    ///
    /// # Panics
    /// If the server cannot start.
    pub fn made(make: impl FnOnce(Config) -> hubcast_server::Server, change: impl FnOnce(&mut Config)) -> Self {
        let mut config = Config { workers: Some(1), ..Config::default() };
        let policy = TopicPolicy { history: None, ..TopicPolicy::default() };
        config.rules.list.push(TopicRule { pattern: EVERYTHING.parse().expect("a pattern"), policy });
        config.drain.spread = Duration::ZERO;
        change(&mut config);
        let config = RefCell::new(config);
        let server = make(config.borrow().clone());
        let reloader = server.reloader();
        let address = server.local_addr().expect("a bound listener");
        let (shutdown, stop) = oneshot::channel();
        let (end, ended) = mpsc::channel();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
            // The stop channel also ends when its sender is dropped, so the server always ends.
            let result = runtime.block_on(server.run(async { _ = stop.await }));
            // This fails if a test has failed and no longer waits.
            let _ = end.send(result);
        });
        Self { address, config, reloader, shutdown: Some(shutdown), ended }
    }

    /// Puts a changed configuration in force while the server runs.
    ///
    /// # Panics
    /// If the server refuses it.
    #[track_caller]
    pub fn reloads(&self, change: impl FnOnce(&mut Config)) {
        change(&mut self.config.borrow_mut());
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        let reloaded = runtime.block_on(self.reloader.reload(self.config.borrow().clone()));
        reloaded.expect("a right configuration");
    }

    /// The address on which the server listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The URL for a client library.
    pub fn url(&self) -> String {
        format!("ws://{}/socket", self.address)
    }

    /// Opens a TCP connection and sends nothing.
    #[track_caller]
    pub fn socket(&self) -> Socket {
        Socket::connect(self.address)
    }

    /// Opens a TCP connection with a small receive buffer and sends nothing.
    #[track_caller]
    pub fn narrow_socket(&self) -> Socket {
        Socket::connect_narrow(self.address)
    }

    /// Opens a WebSocket in the plain dialect and reads the welcome.
    #[track_caller]
    pub fn plain(&self) -> Plain {
        Plain::open(self.socket())
    }

    /// Opens a WebSocket in the typed dialect and reads the welcome.
    #[track_caller]
    pub fn typed(&self) -> Typed {
        Typed::open(self.socket())
    }

    /// Sends the default handshake with this request line on a new connection and returns the status of the answer.
    #[track_caller]
    pub fn status_of(&self, request: &str) -> u16 {
        self.socket().asks(&Handshake::default().request(request)).status
    }

    /// Asks the server to stop, and does not wait for its end.
    pub fn stops(&mut self) {
        if let Some(shutdown) = self.shutdown.take() {
            // This fails only if the server has already ended.
            let _ = shutdown.send(());
        }
    }

    /// Stops the server and waits until it has ended, which must happen without an error.
    pub fn has_ended(self) {
        drop(self);
    }

    /// Stops the server and waits for its end; panics on an error or at the [`DEADLINE`].
    fn wait(&mut self) {
        self.stops();
        match self.ended.recv_timeout(DEADLINE) {
            Ok(Ok(())) => {}
            Ok(Err(fault)) => panic!("the server ended by a fault: {fault}"),
            Err(_) => panic!("the server did not end when it was asked to, or panicked"),
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.stops();
        } else {
            self.wait();
        }
    }
}

/// The pattern that matches all public topics.
const EVERYTHING: &str = ">";
