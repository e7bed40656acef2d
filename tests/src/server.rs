//! The whole server, in this process.

use crate::{DEADLINE, Handshake, Plain, Socket, Typed};
use hubcast_hub::{TopicPolicy, TopicRule};
use hubcast_server::Config;
use std::net::{SocketAddr, TcpListener};
use std::sync::mpsc;
use std::time::Duration;
use tokio::sync::oneshot;

/// A running server on a port that the system chose. When it is dropped, it is shut down, and must end.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    shutdown: Option<oneshot::Sender<()>>,
    ended: mpsc::Receiver<Result<(), hubcast_server::RunError>>,
}

impl Server {
    /// Runs one worker with the defaults, except that topics keep no history, so that events carry no positions, and
    /// that a drain is not spread over time.
    pub fn start() -> Self {
        Self::with(|_| {})
    }

    /// Runs what [`Server::start`] runs, changed.
    ///
    /// # Panics
    /// When the server cannot start.
    pub fn with(change: impl FnOnce(&mut Config)) -> Self {
        Self::on([TcpListener::bind("127.0.0.1:0").expect("a free port")], change)
    }

    /// Runs what [`Server::with`] runs, on these listeners; its address is that of the first.
    ///
    /// # Panics
    /// When the server cannot start.
    pub fn on(listeners: impl IntoIterator<Item = TcpListener>, change: impl FnOnce(&mut Config)) -> Self {
        let mut config = Config { workers: Some(1), ..Config::default() };
        let policy = TopicPolicy { history: None, ..TopicPolicy::default() };
        config.rules.list.push(TopicRule { pattern: EVERYTHING.parse().expect("a pattern"), policy });
        config.drain.spread = Duration::ZERO;
        change(&mut config);
        let server = hubcast_server::Server::bind(config, listeners).expect("listeners fit for serving");
        let address = server.local_addr().expect("a bound listener");
        let (shutdown, stop) = oneshot::channel();
        let (end, ended) = mpsc::channel();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
            // Also a server that nobody can stop any more has to end.
            let result = runtime.block_on(server.run(async { _ = stop.await }));
            // Nobody waits for it after a test has failed.
            let _ = end.send(result);
        });
        Self { address, shutdown: Some(shutdown), ended }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where a client library connects to.
    pub fn url(&self) -> String {
        format!("ws://{}/socket", self.address)
    }

    /// Connects without a word.
    #[track_caller]
    pub fn socket(&self) -> Socket {
        Socket::connect(self.address)
    }

    /// Connects without a word, with little room for what is not read.
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

    /// The status that a request line gets, with the headers of a handshake.
    #[track_caller]
    pub fn status_of(&self, request: &str) -> u16 {
        self.socket().asks(&Handshake::default().request(request)).status
    }

    /// Asks the server to stop, and does not wait for it.
    pub fn stops(&mut self) {
        if let Some(shutdown) = self.shutdown.take() {
            // Fails only where the server has ended.
            let _ = shutdown.send(());
        }
    }

    /// Waits until the server has ended, which it must do well.
    pub fn has_ended(self) {
        drop(self);
    }

    fn wait(&mut self) {
        self.stops();
        match self.ended.recv_timeout(DEADLINE) {
            Ok(Ok(())) => {}
            Ok(Err(fault)) => panic!("the server ended by a fault: {fault}"),
            Err(_) => panic!("the server did not end when it was told to, or panicked"),
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

/// The pattern of all public topics.
const EVERYTHING: &str = ">";
