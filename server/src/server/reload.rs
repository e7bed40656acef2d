//! Other settings for a server that runs.

use crate::config::{Config, ConfigError, LiveConfig};
use crate::hook_delivery::HookDelivery;
use crate::hooks::{HookCounters, Hooks};
use crate::jwks_refresh::Refreshing;
use crate::listener::limit::ConnectionLimit;
use crate::pubsub::shared_hub::SharedHub;
use crate::runtime::tasks::Tasks;
use std::rc::Rc;
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot};

/// Replaces the settings of a running server; see [`Server::reloader`](crate::Server::reloader).
#[derive(Clone, Debug)]
pub struct Reloader {
    settings: Arc<LiveConfig>,
    hooks: Arc<Hooks>,
    asked: mpsc::UnboundedSender<Asked>,
}

/// Settings to put in force, and who waits for that.
#[derive(Debug)]
pub(super) struct Asked {
    config: Arc<Config>,
    done: oneshot::Sender<()>,
}

/// Why settings were not put in force.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReloadError {
    /// They break rules.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The server has ended.
    #[error("the server has ended")]
    Ended,
}

impl Reloader {
    pub(super) fn new(settings: Arc<LiveConfig>, hooks: Arc<Hooks>) -> (Self, mpsc::UnboundedReceiver<Asked>) {
        let (asked, asking) = mpsc::unbounded_channel();
        (Self { settings, hooks, asked }, asking)
    }

    /// The counters of each hook in force, by its name; none before the server runs.
    pub fn hook_counters(&self) -> Vec<(String, Arc<HookCounters>)> {
        self.hooks.counters().to_vec()
    }

    /// Puts what of these settings can change in a running server in force, all at once: origins, hosts, trusted proxies,
    /// the console, the lines about connections, rules of topics, limits of sessions, users and addresses, tokens, API
    /// keys, grants, and hooks. Subscriptions that are not granted any more end. Everything else stays as it was.
    ///
    /// Before, the key sets of new login services are fetched, for some seconds at most.
    ///
    /// # Errors
    /// When the settings break a rule, or the server has ended. Then nothing changes.
    pub async fn reload(&self, config: Config) -> Result<(), ReloadError> {
        let running = self.settings.get();
        let mut auth = config.auth;
        // What the server itself remembers and counts goes on.
        auth.revocations = Arc::clone(&running.auth.revocations);
        auth.failures = Arc::clone(&running.auth.failures);
        auth.tokens = Arc::clone(&running.auth.tokens);
        let config = Config {
            origins: config.origins,
            limits: config.limits,
            rules: config.rules,
            admission: config.admission,
            console: config.console,
            log_connections: config.log_connections,
            max_connections_per_address: config.max_connections_per_address,
            hooks: config.hooks,
            hooks_public_only: config.hooks_public_only,
            auth,
            ..Config::clone(&running)
        };
        config.validate().inspect_err(|_| self.settings.note_refused())?;
        let (done, waiting) = oneshot::channel();
        self.asked.send(Asked { config: Arc::new(config), done }).map_err(|_| ReloadError::Ended)?;
        waiting.await.map_err(|_| ReloadError::Ended)
    }

    /// Counts settings that were wrong before they came here.
    pub fn note_refused(&self) {
        self.settings.note_refused();
    }
}

/// The side of the server.
#[derive(Debug)]
pub(crate) struct Reloads {
    asking: mpsc::UnboundedReceiver<Asked>,
    shared_hub: Arc<SharedHub>,
    hooks: Arc<Hooks>,
}

/// What of a running server follows its settings, besides the hub.
pub(super) struct Running {
    pub(super) settings: Arc<LiveConfig>,
    pub(super) refreshing: Refreshing,
    pub(super) hooks: Rc<HookDelivery>,
    pub(super) limit: Arc<ConnectionLimit>,
}

impl Reloads {
    pub(super) fn new(asking: mpsc::UnboundedReceiver<Asked>, shared_hub: Arc<SharedHub>, hooks: Arc<Hooks>) -> Self {
        Self { asking, shared_hub, hooks }
    }

    /// The hooks of the server.
    pub(super) fn hooks(&self) -> Arc<Hooks> {
        Arc::clone(&self.hooks)
    }

    /// Puts settings in force when somebody asks for it, on the first worker, without end.
    pub(super) async fn follow(mut self, running: Running, tasks: Tasks) {
        let Running { settings, mut refreshing, hooks, limit } = running;
        while let Some(Asked { config, done }) = self.asking.recv().await {
            let next = refreshing.continued(&config.auth, &tasks);
            next.first_attempt().wait().await;
            // The hub first: who connects by the new settings finds the new rules.
            self.shared_hub.reload(&config);
            hooks.reload(&config);
            limit.set_most_per_address(config.max_connections_per_address);
            settings.replace(config);
            refreshing = next;
            // Nobody waits any more if the program gave up.
            let _ = done.send(());
        }
        // The keys are still refreshed when nobody can ask any more.
        std::future::pending::<()>().await;
    }
}
