//! A server for tests: the real hub inside the test's process, without sockets and in virtual time.
//!
//! A [`TestServer`] makes [`Client`](crate::Client)s that are connected to it, as many as a test needs. Clients and
//! server exchange the same text as over a real connection. Time is tokio's: with `start_paused` timeouts and pauses
//! take no real time.
//!
//! | a test wants | it calls |
//! |---|---|
//! | connections that break | [`cut`](TestServer::cut), [`cut_client`](TestServer::cut_client) |
//! | what an operator does | [`kick`](TestServer::kick), [`unsubscribe_client`](TestServer::unsubscribe_client) |
//! | a request that takes effect and is not confirmed | [`lose_answer`](TestServer::lose_answer) |
//! | a slow network | [`delay`](TestServer::delay) |
//! | a network that swallows all | [`blackhole`](TestServer::blackhole), [`blackhole_client`](TestServer::blackhole_client), [`release`](TestServer::release) |
//! | a server that refuses new connections | [`refuse`](TestServer::refuse), [`accept`](TestServer::accept) |
//! | a server that restarts, or crashes | [`stop`](TestServer::stop), [`crash`](TestServer::crash), [`restart`](TestServer::restart) |
//! | pings | [`with_pings`](TestServer::with_pings) |
//! | users | [`client_of`](TestServer::client_of), [`builder_of`](TestServer::builder_of) |
//! | tokens that grant something, end, or are refused | [`make_token`](TestServer::make_token), [`make_token_for`](TestServer::make_token_for), [`require_tokens`](TestServer::require_tokens), [`revoke_tokens`](TestServer::revoke_tokens) |
//! | to look, or to publish, without a client | [`publish`](TestServer::publish), [`history`](TestServer::history), [`presence`](TestServer::presence), [`subscribers`](TestServer::subscribers), [`connections`](TestServer::connections) |
//!
//! What it does not do: limits of a whole server, such as on its memory, and leaving out publications for slow
//! connections.
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

mod faults;
mod inspect;
mod line;
mod state;
mod tokens;

pub(crate) use state::Refusal;

pub use hubcast_hub::{
    HistoryPolicy, Limits, LiveBytes, PresencePolicy, Retention, Settings, TopicPolicy, TopicRule, TopicRules,
};
pub use hubcast_protocol::Pattern;

use crate::CloseCode;
use crate::machine::{Disconnection, Input};
use hubcast_hub::SessionId;
use hubcast_protocol::AccessToken;
use line::ToServer;
use state::{Handshake, ServerState};
use std::future::pending;
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
    /// Notified whenever the time of the next timeout may have changed.
    changed: Arc<Notify>,
}

/// Where clients connect: a server, and the user that they are there.
#[derive(Clone, Debug)]
pub(crate) struct Entrance {
    pub(crate) server: TestServer,
    pub(crate) user: Option<Box<str>>,
}

/// Why a connection was not made.
#[derive(Debug)]
pub(crate) enum NotOpened {
    Stopped,
    Refused(Refusal),
}

/// A client's end of its connection.
#[derive(Debug)]
pub(crate) struct Wire {
    server: TestServer,
    session: SessionId,
    incoming: mpsc::UnboundedReceiver<Input>,
}

impl TestServer {
    /// Starts a server with the default settings, without pings.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn start() -> Self {
        Self::with_settings(Settings::with_seed(1))
    }

    /// Starts a server with these settings, but without pings. Nothing happens by itself then: a test that waits for
    /// something else than time, such as another thread, does not see virtual time fly by.
    ///
    /// ```
    /// use hubcast_client::testing::{Pattern, PresencePolicy, Settings, TestServer, TopicPolicy, TopicRule, TopicRules};
    /// use std::time::Duration;
    ///
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let presence = Some(PresencePolicy { events: true, grace: Duration::from_secs(5) });
    /// let policy = TopicPolicy { presence, ..TopicPolicy::default() };
    /// let list = vec![TopicRule { pattern: "room.*".parse::<Pattern>()?, policy }];
    /// let server = TestServer::with_settings(Settings { rules: TopicRules { list }, ..Settings::with_seed(1) });
    ///
    /// let ada = server.client_of("ada").await?;
    /// let _room = ada.subscribe::<String>("room.7").await?;
    /// assert_eq!(server.presence("room.7")?.clients[0].user.as_deref(), Some("ada"));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn with_settings(settings: Settings) -> Self {
        Self::with_pings(Settings { ping_ms: 0, ..settings })
    }

    /// Starts a server with these settings that also sends pings, as [`Settings::ping_ms`] says. So a client notices
    /// that its network is dead, and the server closes a connection whose pong does not come within ten seconds.
    ///
    /// Pings never end. With `start_paused`, time passes without a pause while a test waits for something that is not
    /// a timer of tokio, such as another thread.
    ///
    /// ```
    /// # use hubcast_client::{State, testing::{Settings, TestServer}};
    /// # use std::time::Duration;
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let server = TestServer::with_pings(Settings::with_seed(1));     // every 25 seconds
    /// let client = server.client().await?;
    /// let began = tokio::time::Instant::now();
    /// server.blackhole();
    /// client.statuses().wait_for(|status| status.state != State::Connected).await;
    /// assert_eq!(began.elapsed().as_secs(), 35);                       // and the client's grace of ten
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn with_pings(settings: Settings) -> Self {
        let (state, changed) = (ServerState::new(settings), Arc::new(Notify::new()));
        let shared = Arc::new(SharedServer { state: Mutex::new(state), changed: changed.clone() });
        tokio::spawn(keep_time(Arc::downgrade(&shared), changed));
        Self { shared }
    }

    pub(crate) fn next_seed(&self) -> u64 {
        self.state().next_seed()
    }

    fn state(&self) -> MutexGuard<'_, ServerState> {
        self.shared.state()
    }

    /// Lets the time of the next timeout be looked at again.
    fn wake(&self) {
        self.shared.changed.notify_one();
    }
}

impl Entrance {
    /// Opens a connection, after one way there and back.
    pub(crate) async fn open(self, token: Option<&AccessToken>) -> Result<Wire, NotOpened> {
        let round_trip = {
            let state = self.server.state();
            state.to_server + state.to_client
        };
        if !round_trip.is_zero() {
            tokio::time::sleep(round_trip).await;
        }
        let answer = self.server.state().open(now(), self.user.as_deref(), token);
        self.server.wake();
        match answer {
            Handshake::Done(session, incoming) => Ok(Wire { server: self.server, session, incoming }),
            Handshake::Refused(refusal) => Err(NotOpened::Refused(refusal)),
            Handshake::Stopped => Err(NotOpened::Stopped),
            Handshake::Silent => pending().await,
        }
    }
}

impl SharedServer {
    fn state(&self) -> MutexGuard<'_, ServerState> {
        // If the hub panicked, it has failed its test already.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Wire {
    pub(crate) fn send(&self, text: String) {
        self.pass(ToServer::Request(text));
    }

    pub(crate) fn poll(&mut self, context: &mut Context<'_>) -> Poll<Input> {
        let lost = || Input::Disconnected(Disconnection::Lost { reason: "it was cut".to_owned(), retry_after: None });
        let input = ready!(self.incoming.poll_recv(context)).unwrap_or_else(lost);
        if input == Input::Heard {
            self.pass(ToServer::Pong);
        }
        Poll::Ready(input)
    }

    pub(crate) fn close(self, code: CloseCode) {
        self.pass(ToServer::Closed { lost: code != CloseCode::NORMAL });
    }

    fn pass(&self, content: ToServer) {
        self.server.state().send(now(), self.session, content);
        self.server.wake();
    }
}

impl Drop for Wire {
    /// After [`Wire::close`] this has no effect: the server has forgotten the connection when it arrives.
    fn drop(&mut self) {
        self.pass(ToServer::Closed { lost: true });
    }
}

impl Drop for SharedServer {
    fn drop(&mut self) {
        self.changed.notify_one();
    }
}

/// Does what is due at a server, for as long as it exists.
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
