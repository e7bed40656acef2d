//! The whole server: its workers, from the start to the end of the drain.

mod error;
mod reload;
mod shutdown;
#[cfg(feature = "simulation")]
pub mod simulated;
mod thread;

pub use error::{BindError, RunError};
pub use reload::{ReloadError, Reloader};
pub use shutdown::Hurry;

use crate::auth::Revocations;
use crate::config::{Config, LiveConfig, MAX_WORKERS};
use crate::encode::account::Account;
use crate::hooks::{Hook, Hooks};
use crate::http::api::Api;
use crate::http::metrics::ROUTE_COUNT;
use crate::listener::incoming::{Door, Listener};
use crate::listener::limit::ConnectionLimit;
use crate::log::warnings::Warnings;
use crate::metrics::Metrics;
use crate::pubsub::PubSub;
use crate::pubsub::shared_hub::SharedHub;
use crate::runtime::pulse::Pulse;
use crate::runtime::system;
use crate::snapshot::folder::SnapshotDir;
use crate::wall_clock::unix_now;
use crate::worker::service::Service;
use hubcast_hub::{Hub, LiveBytes, Settings};
use reload::{Asked, Reloads};
use socket2::SockRef;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::net::UnixListener;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};
use thread::{Acceptor, WorkerContext, start};
use tokio::sync::{Barrier, Notify, mpsc, watch};
use tokio::task::spawn_blocking;
use uuid::Uuid;

/// A server that is bound and not yet running: [`bind`](Server::bind) it, ask for its
/// [`local_addr`](Server::local_addr), then [`run`](Server::run) it.
#[derive(Debug)]
pub struct Server {
    config: Arc<Config>,
    settings: Arc<LiveConfig>,
    reloader: Reloader,
    asking: mpsc::UnboundedReceiver<Asked>,
    listeners: Vec<(Listener, Door)>,
    addresses: Vec<SocketAddr>,
    state: Option<SnapshotDir>,
    hooks: Arc<Hooks>,
    hurry: Hurry,
    pulse: Pulse,
    turn_every: Option<Duration>,
}

impl Server {
    /// Takes one or several listeners that the caller has bound. If the configuration has a state folder, it is locked,
    /// and the users that were sent away stay refused.
    ///
    /// # Errors
    /// When the configuration breaks a rule; when there is no listener, or one cannot be set up; when the state folder
    /// cannot be made, written to, or locked for this server alone, or the list of users that were sent away is damaged.
    pub fn bind(mut config: Config, listeners: impl IntoIterator<Item = TcpListener>) -> Result<Self, BindError> {
        config.validate()?;
        let listeners: Vec<_> = listeners.into_iter().collect();
        listeners.iter().try_for_each(set_up).map_err(BindError::Listener)?;
        let state = config.state_dir.as_deref().map(SnapshotDir::open).transpose().map_err(BindError::State)?;
        if let Some(folder) = &config.state_dir {
            let revocations = Revocations::open(folder, unix_now()).map_err(BindError::State)?;
            config.auth.revocations = Arc::new(revocations);
        }
        let addresses = listeners.iter().map(TcpListener::local_addr).collect::<io::Result<_>>();
        let addresses = addresses.map_err(BindError::Listener)?;
        let listeners = listeners.into_iter().map(|listener| (Listener::Tcp(listener), Door::Clients)).collect();
        let config = Arc::new(config);
        let settings = LiveConfig::new(Arc::clone(&config));
        let hooks = Arc::<Hooks>::default();
        let (reloader, asking) = Reloader::new(Arc::clone(&settings), Arc::clone(&hooks));
        let (hurry, pulse) = (Hurry::default(), Pulse::new(workers(&config)));
        Ok(Self {
            config,
            settings,
            reloader,
            asking,
            listeners,
            addresses,
            state,
            hooks,
            hurry,
            pulse,
            turn_every: None,
        })
    }

    /// Adds a listener where only `/metrics`, `/healthz` and `/readyz` are, for everybody who reaches it.
    ///
    /// # Errors
    /// When it cannot be set up.
    pub fn with_metrics_on(mut self, listener: TcpListener) -> Result<Self, BindError> {
        set_up(&listener).map_err(BindError::Listener)?;
        self.listeners.push((Listener::Tcp(listener), Door::Metrics));
        Ok(self)
    }

    /// Adds a Unix socket for clients. What comes by it counts as coming from this machine, and speaks no TLS.
    ///
    /// # Errors
    /// When it cannot be set up.
    pub fn with_unix(mut self, listener: UnixListener) -> Result<Self, BindError> {
        listener.set_nonblocking(true).map_err(BindError::Listener)?;
        self.listeners.push((Listener::Unix(listener), Door::Clients));
        Ok(self)
    }

    /// The address of the first listener.
    ///
    /// # Errors
    /// When the system does not return it.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.addresses.first().copied().ok_or_else(|| io::ErrorKind::AddrNotAvailable.into())
    }

    /// The addresses of the listeners for clients, in their order.
    ///
    /// # Errors
    /// When the system does not return one.
    pub fn local_addrs(&self) -> io::Result<Vec<SocketAddr>> {
        Ok(self.addresses.clone())
    }

    /// A handle that puts other settings in force while [`run`](Self::run) runs.
    pub fn reloader(&self) -> Reloader {
        self.reloader.clone()
    }

    /// A handle that shortens the drain of this server, which can otherwise take as long as
    /// [`Drain::deadline`](crate::Drain::deadline).
    pub fn hurry(&self) -> Hurry {
        self.hurry.clone()
    }

    /// The turns of the workers, for a watchdog. From the start of the server on, also a worker without work takes a turn
    /// `every` so often, so that a worker without a turn hangs.
    pub fn pulse(&mut self, every: Duration) -> Pulse {
        self.turn_every = Some(every);
        self.pulse.clone()
    }

    /// Serves publish/subscribe until `shutdown` completes and every connection is closed. With a state folder, it
    /// loads the histories and idempotency keys of the previous run, and saves them for the next one.
    ///
    /// # Errors
    /// When a worker cannot be started, or panics; when the state folder cannot be read, or the new state cannot be
    /// written. After an error all connections are lost.
    pub async fn run(mut self, shutdown: impl Future<Output = ()>) -> Result<(), RunError> {
        let (settings, wakes) = (settings(&self.config, Uuid::new_v4().as_u64_pair().0), self.wakes());
        let account = Account::new(self.config.max_waiting, wakes.clone());
        let live_bytes: Arc<dyn LiveBytes> = Arc::<Account>::clone(&account);
        let mut hub = Hub::new(Settings { live_bytes: Some(live_bytes), ..settings });
        let state = self.state.take();
        if let Some(state) = &state {
            let now = Instant::now();
            hub.await_return(now + RESUME_WINDOW);
            hub.restore(now, state.load(SystemTime::now()).map_err(RunError::Restore)?);
        }
        let metrics = Metrics::new(wakes.len(), ROUTE_COUNT);
        let counted = (Arc::clone(&account), Arc::clone(&metrics));
        let shared_hub = SharedHub::new(hub, wakes.clone(), self.config.outbox, counted);
        let started = Instant::now();
        let services = (0..wakes.len())
            .map(|worker| {
                let (settings, hooks) = (Arc::clone(&self.settings), Arc::clone(&self.hooks));
                let service = PubSub::new(Arc::clone(&shared_hub), worker, settings).reporting_to(Arc::clone(&hooks));
                let api = Api::new(Arc::clone(&self.settings), service.callers(), hooks, started);
                (service, Some(api))
            })
            .collect();
        let shutdown = async {
            shutdown.await;
            if state.is_some() {
                shared_hub.await_return(Instant::now() + RESUME_WINDOW);
            }
        };
        let (never, asking) = mpsc::unbounded_channel();
        drop(never);
        let asking = std::mem::replace(&mut self.asking, asking);
        let reloads = Some(Reloads::new(asking, Arc::clone(&shared_hub), Arc::clone(&self.hooks)));
        self.run_workers(wakes, (account, metrics, reloads), services, shutdown).await?;
        // After a panic, which is an error above, the state may be half changed and is not saved.
        match (state, shared_hub.save(Instant::now())) {
            // A disk can be slow. Saving has a thread of its own, so that the caller's tasks still run meanwhile: an
            // impatient operator may still send a signal.
            (Some(state), Some(saved)) => {
                let stored = spawn_blocking(move || state.save(SystemTime::now(), &saved)).await;
                stored.map_err(io::Error::other).flatten().map_err(RunError::Save)
            }
            _ => Ok(()),
        }
    }

    /// Serves something else than publish/subscribe, with the same accept, handshake, framing, pings and close.
    /// `service` is called once for each worker and makes its service.
    ///
    /// # Errors
    /// When a worker cannot be started, or panics. After an error all connections are lost.
    pub async fn run_service<S: Service + Send>(
        self,
        service: impl Fn() -> S,
        shutdown: impl Future<Output = ()>,
    ) -> Result<(), RunError> {
        let wakes = self.wakes();
        let services = wakes.iter().map(|_| (service(), None)).collect();
        let account = Account::new(self.config.max_waiting, wakes.clone());
        let metrics = Metrics::new(wakes.len(), ROUTE_COUNT);
        self.run_workers(wakes, (account, metrics, None), services, shutdown).await
    }

    /// What wakes each worker.
    fn wakes(&self) -> Vec<Arc<Notify>> {
        (0..self.pulse.workers()).map(|_| Arc::default()).collect()
    }

    async fn run_workers<S: Service + Send>(
        self,
        wakes: Vec<Arc<Notify>>,
        (account, metrics, reloads): (Arc<Account>, Arc<Metrics>, Option<Reloads>),
        services: Vec<(S, Option<Api>)>,
        shutdown: impl Future<Output = ()>,
    ) -> Result<(), RunError> {
        let draining = watch::Sender::new(false);
        let (exit, mut exits) = mpsc::unbounded_channel();
        let (worker_queues, assigned): (Vec<_>, Vec<_>) = wakes.iter().map(|_| mpsc::unbounded_channel()).unzip();
        let limit = ConnectionLimit::new(self.config.max_connections, self.config.max_connections_per_address);
        let mut acceptor = Some(Acceptor { listeners: self.listeners, limit, worker_queues, reloads });
        let mut running = wakes.len();
        let (drained, warnings) = (Arc::new(Barrier::new(running)), Arc::<Warnings>::default());
        for (number, ((wake, (service, api)), assigned)) in wakes.into_iter().zip(services).zip(assigned).enumerate() {
            let (config, draining, acceptor) = (Arc::clone(&self.config), draining.subscribe(), acceptor.take());
            let (drained, account, warnings) = (Arc::clone(&drained), Arc::clone(&account), Arc::clone(&warnings));
            let (hurried, turn_every) = (self.hurry.subscribe(), self.turn_every);
            let beat = self.pulse.of_worker(number);
            let (metrics, settings) = (Arc::clone(&metrics), Arc::clone(&self.settings));
            let context = WorkerContext {
                config,
                settings,
                account,
                warnings,
                metrics,
                wake,
                beat,
                turn_every,
                draining,
                hurried,
                assigned,
                drained,
                api,
                acceptor,
            };
            start(number, context, service, exit.clone())
                .map_err(|source| RunError::Start { worker: number, source })?;
        }
        tokio::select! {
            () = shutdown => {}
            Some(ended) = exits.recv() => return ended,
        }
        tracing::info!(spread = ?self.config.drain.spread, "shutting down: sending connections away");
        draining.send_replace(true);
        while running > 0
            && let Some(ended) = exits.recv().await
        {
            ended?;
            running -= 1;
        }
        Ok(())
    }
}

/// The number of workers.
fn workers(config: &Config) -> usize {
    let cores = || std::thread::available_parallelism().map_or(1, usize::from);
    config.workers.unwrap_or_else(cores).clamp(1, MAX_WORKERS)
}

/// Sets up a listener. All accepted sockets inherit its options.
fn set_up(listener: &TcpListener) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    let socket = SockRef::from(listener);
    socket.listen(ACCEPT_BACKLOG)?;
    // Accepted sockets inherit it. Frames that belong together are written together in any case.
    socket.set_tcp_nodelay(true)?;
    // By default the system reports that a socket takes more when a third of its buffer is free, and the buffer grows
    // to megabytes. A client that reads slowly but steadily would look as if it did not read at all.
    system::bound_unsent(&socket, NOTSENT_LOWAT_BYTES)
}

/// The settings of the hub, from the configuration.
pub(crate) fn settings(config: &Config, seed: u64) -> Settings {
    Settings {
        ping_ms: u64::try_from(config.timeouts.ping.as_millis()).unwrap_or(u64::MAX),
        message: config.messages.message,
        limits: config.limits.clone(),
        rules: config.rules.clone(),
        admission: config.admission.clone(),
        history_max_bytes: config.history_max_bytes,
        reporting: Hook::reporting(&config.hooks),
        ..Settings::with_seed(seed)
    }
}

/// How soon all clients should be back, after the drain and after the next start.
pub(crate) const RESUME_WINDOW: Duration = Duration::from_secs(60);

/// Bytes that the system keeps for a socket beyond those it has sent. The rest waits in the outbox.
const NOTSENT_LOWAT_BYTES: u32 = 512 * 1024;

/// Connections that the system queues before they are accepted; the system may queue fewer.
const ACCEPT_BACKLOG: i32 = 4096;
