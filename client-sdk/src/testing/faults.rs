//! What may go wrong between clients and a server, when a test wants it.

use super::state::Refusal;
use super::{TestServer, now};
use crate::{ClientId, CloseCode, TopicName};
use hubcast_hub::Operation;
use hubcast_protocol::Target;
use std::time::Duration;

/// Faults of single connections. Each takes the [id](crate::Client::id) of a client's current connection, and returns
/// whether there is such a connection.
impl TestServer {
    /// Breaks the connection of one client. It connects again.
    pub fn cut_client(&self, client: ClientId) -> bool {
        self.with_line(client, |state, session| state.cut(now(), session))
    }

    /// Closes the connection of one client, as the operator of a server may do. The code says whether it comes back:
    /// [`CloseCode::MOVED`] lets it, [`CloseCode::DISCONNECTED`] closes the client for good.
    ///
    /// ```
    /// # use hubcast_client::{Closed, CloseCode, State, testing::TestServer};
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let server = TestServer::start();
    /// let client = server.client().await?;
    /// server.kick(client.id().ok_or("connected")?, CloseCode::DISCONNECTED, "spam");
    /// client.statuses().wait_for(|status| matches!(status.state, State::Closed(_))).await;
    /// assert!(matches!(client.status().state, State::Closed(Closed::ByServer { reason, .. }) if reason == "spam"));
    /// # Ok(())
    /// # }
    /// ```
    pub fn kick(&self, client: ClientId, code: CloseCode, reason: &str) -> bool {
        self.with_line(client, |state, session| state.kick(now(), session, code, reason.to_owned()))
    }

    /// The next request of this client takes effect; then the connection breaks, and the answer is lost. What the
    /// client sends again must not take effect twice.
    ///
    /// ```
    /// # use hubcast_client::testing::TestServer;
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let server = TestServer::start();
    /// let (kitchen, client) = (server.client().await?, server.client().await?);
    /// let _orders = kitchen.subscribe::<String>("orders").await?;
    /// server.lose_answer(client.id().ok_or("connected")?);
    /// client.publish("orders", "one coffee").await?;             // sent twice
    /// assert_eq!(server.history::<String>("orders")?.len(), 1);
    /// # Ok(())
    /// # }
    /// ```
    pub fn lose_answer(&self, client: ClientId) -> bool {
        self.with_line(client, |state, session| {
            if let Some(line) = state.line_of(session) {
                line.loses_answer = true;
            }
        })
    }

    /// Lets nothing arrive on the connection of one client, in either direction, and tells nobody: see
    /// [`TestServer::blackhole`].
    pub fn blackhole_client(&self, client: ClientId) -> bool {
        self.with_line(client, |state, session| {
            if let Some(line) = state.line_of(session) {
                line.is_held = true;
            }
        })
    }

    /// Ends the subscription of one client to this topic, as the operator of a server may do.
    ///
    /// ```
    /// # use hubcast_client::{Ended, ItemError, testing::TestServer};
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let server = TestServer::start();
    /// let client = server.client().await?;
    /// let mut news = client.subscribe::<String>("news").await?;
    /// server.unsubscribe_client(client.id().ok_or("connected")?, "news");
    /// assert!(matches!(news.next().await, Some(Err(ItemError::Ended(Ended::Operator)))));
    /// # Ok(())
    /// # }
    /// ```
    pub fn unsubscribe_client(&self, client: ClientId, topic: impl Into<TopicName>) -> bool {
        let topic = Target::Topic(topic.into());
        self.with_line(client, |state, _| state.operate(now(), client, Operation::Unsubscribe(topic)))
    }

    fn with_line(
        &self,
        client: ClientId,
        fault: impl FnOnce(&mut super::state::ServerState, hubcast_hub::SessionId),
    ) -> bool {
        let mut state = self.state();
        let Some(session) = state.session_of(client) else { return false };
        fault(&mut state, session);
        drop(state);
        self.wake();
        true
    }
}

/// Faults of the network and of all connections.
impl TestServer {
    /// Breaks every connection. The clients connect again.
    pub fn cut(&self) {
        let mut state = self.state();
        state.sessions().into_iter().for_each(|session| state.cut(now(), session));
        drop(state);
        self.wake();
    }

    /// From now on everything takes this long to arrive: requests at the server, and answers and publications at the
    /// clients. The order stays. A handshake takes one way there and back. At first there is no delay.
    ///
    /// At most 1 MiB may be on its way to one client, apart from replays and histories: then the server closes the
    /// connection with 4002, whatever the subscription's [`Slow`](crate::Slow) says.
    ///
    /// ```
    /// # use hubcast_client::testing::TestServer;
    /// # use std::time::Duration;
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let server = TestServer::start();
    /// let client = server.client().await?;
    /// server.delay(Duration::from_millis(80), Duration::from_millis(120));
    /// let began = tokio::time::Instant::now();
    /// client.publish("news", "slow").await?;
    /// assert_eq!(began.elapsed().as_millis() / 10, 20);          // tokio rounds up to whole milliseconds
    /// # Ok(())
    /// # }
    /// ```
    pub fn delay(&self, to_server: Duration, to_client: Duration) {
        let mut state = self.state();
        (state.to_server, state.to_client) = (to_server, to_client);
    }

    /// Lets nothing arrive any more, in either direction and on any connection, and tells nobody, as a router does that
    /// has failed. New connections get no answer. After [`TestServer::release`] all that was sent arrives, on the
    /// connections that still exist.
    ///
    /// Clients notice it by a missing [ping](TestServer::with_pings), or because requests get no answer.
    pub fn blackhole(&self) {
        self.state().hold();
    }

    /// Ends [`TestServer::blackhole`] and [`TestServer::blackhole_client`].
    pub fn release(&self) {
        self.state().release();
        self.wake();
    }

    /// Answers every handshake with this HTTP status until [`TestServer::accept`]: 503 as a full server does, with the
    /// pause after which clients may come back, or 401 as for a token that is not valid. Connections that exist go on.
    ///
    /// ```
    /// # use hubcast_client::{ConnectError, testing::TestServer};
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() {
    /// let server = TestServer::start();
    /// server.refuse(401, None);
    /// assert!(matches!(server.client().await, Err(ConnectError::Closed(_))));
    /// server.accept();
    /// assert!(server.client().await.is_ok());
    /// # }
    /// ```
    ///
    /// # Panics
    /// When `status` is not between 300 and 599.
    pub fn refuse(&self, status: u16, retry_after: Option<Duration>) {
        assert!((300..600).contains(&status), "{status} is not a status of a refusal");
        // The header is in whole seconds.
        let retry_after = retry_after.map(|pause| pause.as_secs());
        self.state().refusal = Some(Refusal { status, retry_after, reason: None });
    }

    /// Ends [`TestServer::refuse`].
    pub fn accept(&self) {
        self.state().refusal = None;
    }

    /// Stops orderly: the state is kept for [`TestServer::restart`]. Until then no client can connect.
    pub fn stop(&self) {
        self.state().stop(now());
        self.wake();
    }

    /// Crashes: like [`TestServer::stop`], but no state is kept.
    pub fn crash(&self) {
        self.state().crash();
    }

    /// Starts again if it is stopped.
    pub fn restart(&self) {
        self.state().restart(now());
        self.wake();
    }
}
