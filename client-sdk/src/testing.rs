//! A server for tests: the real hub inside the test's process, without sockets and in virtual time.
//!
//! A [`TestServer`] makes [`Client`](crate::Client)s that are connected to it, as many as a test needs. It can break their
//! connections, stop, crash and restart. Clients and server exchange the same text as over a real connection. Time is
//! tokio's: with `start_paused` timeouts and pauses take no real time.
//!
//! ```
//! use hubcast_client::{Event, testing::TestServer};
//!
//! #[tokio::main(flavor = "current_thread", start_paused = true)]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let server = TestServer::start();
//!     let (alice, bob) = (server.client().await?, server.client().await?);
//!     let mut heard = alice.subscribe::<String>("news").await?.events();
//!
//!     server.stop();                                       // no client is connected, and nothing is forgotten
//!     let publishing = bob.publish("news", "are you there?");
//!     let (published, ()) = tokio::join!(publishing, async { server.restart() });
//!     assert_eq!(published?.offset, Some(1));
//!
//!     let Some(Ok(Event::Resumed(resumed))) = heard.next().await else { panic!("alice did not come back") };
//!     assert!(resumed.recovered);
//!     let Some(Ok(Event::Message(message))) = heard.next().await else { panic!("alice heard nothing") };
//!     assert_eq!(message.value, "are you there?");
//!     Ok(())
//! }
//! ```

mod state;

pub use hubcast_hub::{HistoryPolicy, PresencePolicy, Retention, Settings, TopicPolicy, TopicRule, TopicRules};

use crate::CloseCode;
use crate::machine::{Disconnection, Input};
use hubcast_hub::SessionId;
use state::ServerState;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, ready};
use std::time::Instant;
use tokio::sync::{Notify, mpsc};

/// A server inside the process. Clones are the same server.
#[derive(Clone, Debug)]
pub struct TestServer {
    shared: Arc<SharedServer>,
}

#[derive(Debug)]
struct SharedServer {
    state: Mutex<ServerState>,
    /// Notified whenever the time of the hub's next timeout may have changed.
    changed: Arc<Notify>,
}

/// A client's end of its connection.
#[derive(Debug)]
pub(crate) struct Wire {
    server: TestServer,
    session: SessionId,
    incoming: mpsc::UnboundedReceiver<Input>,
}

impl TestServer {
    /// Starts a server with the default settings.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn start() -> Self {
        Self::with_settings(Settings::with_seed(1))
    }

    /// Starts a server with these settings. It never sends pings: in virtual time they would follow each other without
    /// a pause.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn with_settings(settings: Settings) -> Self {
        let (state, changed) = (ServerState::new(Settings { ping_ms: 0, ..settings }), Arc::new(Notify::new()));
        let shared = Arc::new(SharedServer { state: Mutex::new(state), changed: changed.clone() });
        tokio::spawn(keep_time(Arc::downgrade(&shared), changed));
        Self { shared }
    }

    /// Breaks every connection. The clients connect again.
    pub fn cut(&self) {
        self.state().cut(now());
        self.shared.changed.notify_one();
    }

    /// Stops orderly: the state is kept for [`TestServer::restart`]. Until then no client can connect.
    pub fn stop(&self) {
        self.state().stop(now());
    }

    /// Crashes: like [`TestServer::stop`], but no state is kept.
    pub fn crash(&self) {
        self.state().crash();
    }

    /// Starts again if it is stopped.
    pub fn restart(&self) {
        self.state().restart(now());
        self.shared.changed.notify_one();
    }

    /// The number of open connections.
    pub fn connections(&self) -> usize {
        self.state().connections()
    }

    pub(crate) fn next_seed(&self) -> u64 {
        self.state().next_seed()
    }

    pub(crate) fn open(self) -> Result<Wire, Disconnection> {
        let opened = self.state().open(now());
        match opened {
            Some((session, incoming)) => Ok(Wire { server: self, session, incoming }),
            None => Err(Disconnection::Lost { reason: "the server is stopped".to_owned(), retry_after: None }),
        }
    }

    fn state(&self) -> MutexGuard<'_, ServerState> {
        self.shared.state()
    }
}

impl SharedServer {
    fn state(&self) -> MutexGuard<'_, ServerState> {
        // If the hub panicked, it has failed its test already.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Wire {
    pub(crate) fn send(&self, text: &str) {
        self.server.state().take(now(), self.session, text);
        self.server.shared.changed.notify_one();
    }

    pub(crate) fn poll(&mut self, context: &mut Context<'_>) -> Poll<Input> {
        let lost = || Input::Disconnected(Disconnection::Lost { reason: "it was cut".to_owned(), retry_after: None });
        Poll::Ready(ready!(self.incoming.poll_recv(context)).unwrap_or_else(lost))
    }

    pub(crate) fn close(self, code: CloseCode) {
        self.server.state().leave(now(), self.session, code != CloseCode::NORMAL);
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.server.state().leave(now(), self.session, true);
        self.server.shared.changed.notify_one();
    }
}

impl Drop for SharedServer {
    fn drop(&mut self) {
        self.changed.notify_one();
    }
}

/// Calls the hub's timeouts when they are due, for as long as the server exists.
async fn keep_time(server: Weak<SharedServer>, changed: Arc<Notify>) {
    loop {
        let due = match server.upgrade() {
            Some(server) => {
                let mut state = server.state();
                state.handle_timeout(now());
                state.poll_timeout()
            }
            None => return,
        };
        match due {
            Some(due) => tokio::select! {
                () = tokio::time::sleep_until(due.into()) => {}
                () = changed.notified() => {}
            },
            None => changed.notified().await,
        }
    }
}

fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}
