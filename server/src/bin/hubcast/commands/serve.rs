//! `hubcast`: from its settings to a running server, and from a signal to its end.

mod listening;
mod reloading;
mod signals;
mod systemd;

use crate::allocator;
use crate::logging::{Format, RunningLog};
use crate::settings::endpoints::reachable;
use crate::settings::layered::Settings;
use crate::settings::resolve::{CliArgs, Resolved, Stamp};
use anyhow::Context;
use hubcast_hub::Access;
use hubcast_server::{Config, Pulse, Server};
use listening::{listen, listen_unix};
use reloading::Reloading;
use signals::Signals;
use std::convert::Infallible;
use std::fs;
use std::future::pending;
use std::io::{self, Write};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use systemd::Systemd;
use tokio::runtime;
use tokio::sync::Notify;

/// Serves until a signal comes and the connections are drained. `sockets` are listeners that are bound already; they take
/// the place of the setting `listen`.
///
/// # Errors
/// The server cannot start, or fails while it runs.
pub(crate) fn run(
    config: Config,
    given: &CliArgs,
    resolved: &Resolved,
    sockets: Vec<TcpListener>,
    log: &RunningLog,
) -> anyhow::Result<()> {
    let Resolved { settings, access, stamp, ignored, .. } = resolved;
    if !ignored.is_empty() {
        let variables = ignored.join(", ");
        tracing::warn!(variables, "ignored variables of the environment: there are no settings of these names");
    }
    for warning in &access.warnings {
        tracing::warn!("{warning}");
    }
    let signals = Signals::follow(log.clone()).context("cannot listen for signals")?;
    let listeners = Listeners::bind(settings, sockets)?;
    let runtime = runtime::Builder::new_current_thread().enable_all().build().context("cannot start a runtime")?;
    let paths = listeners.paths();
    let ended = runtime.block_on(serve(config, listeners, &signals, (given, settings, *stamp)));
    paths.iter().for_each(|path| _ = fs::remove_file(path));
    ended
}

async fn serve(
    config: Config,
    listeners: Listeners,
    signals: &Signals,
    (given, settings, seen): (&CliArgs, &Settings, Option<Stamp>),
) -> anyhow::Result<()> {
    let (max_connections, tls) = (config.max_connections, config.tls.clone());
    let advice = Advice {
        is_open: config.admission.default == Access::Anyone,
        has_console: config.console,
        has_tls: config.tls.is_some(),
    };
    let paths = listeners.paths();
    let mut server = Server::bind(config, listeners.network).context("cannot start the server")?;
    let bound = server.local_addrs()?;
    for (listener, path) in listeners.unix {
        server = server.with_unix(listener).context("cannot start the server")?;
        tracing::info!(path = %path.display(), "listening on a Unix socket");
    }
    for listener in listeners.for_metrics {
        let address = listener.local_addr()?;
        server = server.with_metrics_on(listener).context("cannot start the server")?;
        tracing::info!(%address, "listening for requests of /metrics");
    }
    // Before the address is announced: a signal from now on drains.
    let asked = Arc::<Notify>::default();
    let stop = signals.drain_on_stop(server.hurry(), Arc::clone(&asked));
    let reloading = Reloading {
        given,
        running: settings,
        in_force: settings.clone(),
        seen,
        reloader: server.reloader(),
        tls,
        asked,
    };
    for address in &bound {
        tracing::info!(%address, max_connections, "listening");
    }
    announce(&bound, &paths, settings.options.log_format, advice);
    let stop = async {
        stop.await;
        systemd::stopping();
    };
    let of_network = bound.iter().map(SocketAddr::to_string);
    let places: Vec<_> = of_network.chain(paths.iter().map(|path| unix(path))).collect();
    let status = format!("listening on {}", places.join(", "));
    let systemd = Systemd::of_environment().map(|systemd| (server.pulse(systemd.turn_every()), systemd));
    tokio::select! {
        ended = server.run(stop) => ended.context("the server failed")?,
        never = allocator::give_back_while_idle() => match never {},
        never = watch(systemd, &status) => match never {},
        never = reloading.follow() => match never {},
    }
    tracing::info!("stopped");
    Ok(())
}

/// Everything that the server listens on.
struct Listeners {
    network: Vec<TcpListener>,
    unix: Vec<(UnixListener, PathBuf)>,
    for_metrics: Vec<TcpListener>,
}

impl Listeners {
    fn bind(settings: &Settings, sockets: Vec<TcpListener>) -> anyhow::Result<Self> {
        let endpoints = settings.options.listen.list();
        let network = if sockets.is_empty() { listen(&endpoints)? } else { sockets };
        let unix = listen_unix(&endpoints, settings.options.unix_mode)?;
        let for_metrics = listen(&settings.options.metrics_listen.list())?;
        Ok(Self { network, unix, for_metrics })
    }

    /// The files of the Unix sockets, which are removed at the end.
    fn paths(&self) -> Vec<PathBuf> {
        self.unix.iter().map(|(_, path)| path.clone()).collect()
    }
}

/// Tells the service manager, if there is one, how the server is.
async fn watch(systemd: Option<(Pulse, Systemd)>, status: &str) -> Infallible {
    match systemd {
        Some((pulse, systemd)) => systemd.watch(pulse, status).await,
        None => pending().await,
    }
}

/// Says on standard output where to connect and what to try. A thread of its own writes it, because its reader can
/// stand still.
fn announce(bound: &[SocketAddr], paths: &[PathBuf], log_format: Format, advice: Advice) {
    let text = match log_format {
        Format::Text => for_people(bound, advice) + &of_unix(paths),
        Format::Json => bound.iter().map(|address| for_machines(address, advice)).collect(),
    };
    // A server does its work also when nothing reads its output.
    let write = move || _ = io::stdout().write_all(text.as_bytes());
    let _ = thread::Builder::new().name("announce".to_owned()).spawn(write);
}

/// What a person who has started the server can do next.
#[derive(Clone, Copy)]
struct Advice {
    is_open: bool,
    has_console: bool,
    has_tls: bool,
}

fn for_people(bound: &[SocketAddr], Advice { is_open, has_console, has_tls }: Advice) -> String {
    let (ws, http) = if has_tls { ("wss", "https") } else { ("ws", "http") };
    let [first, others @ ..] = bound else { return String::new() };
    let host = reachable(*first);
    let url = format!("{ws}://{host}/socket");
    let others: String = others.iter().map(|other| format!("and on {ws}://{other}/socket\n")).collect();
    let console = if has_console { format!("look at: {http}://{host}/\n") } else { String::new() };
    let listening = format!("hubcast {VERSION} is listening on {ws}://{first}/socket\n{others}{console}");
    match is_open {
        true => {
            format!("{listening}try it:  npx wscat -c {url}\ntype:    {SUBSCRIBE}\nthen:    {PUBLISH}\n")
        }
        false => format!("{listening}clients do what they are granted; `hubcast explain --help` says how to look\n"),
    }
}

/// Where programs on this machine can connect.
fn of_unix(paths: &[PathBuf]) -> String {
    let lines = paths.iter().map(|path| {
        let place = unix(path);
        format!(
            "hubcast {VERSION} is listening on {place}\ntry it:  curl --unix-socket {} http://localhost/healthz\n",
            path.display()
        )
    });
    lines.collect()
}

fn unix(path: &Path) -> String {
    format!("unix:{}", path.display())
}

/// A line like those of the log: what runs a server often puts both streams into one.
fn for_machines(address: &SocketAddr, Advice { has_tls, .. }: Advice) -> String {
    let ws = if has_tls { "wss" } else { "ws" };
    let message = format!("hubcast {VERSION} is listening on {ws}://{address}/socket");
    format!("{}\n", serde_json::json!({ "level": "INFO", "message": message }))
}

const VERSION: &str = env!("CARGO_PKG_VERSION");
const SUBSCRIBE: &str = r#"{"action": "subscribe", "topic": "world"}"#;
const PUBLISH: &str = r#"{"action": "publish", "topic": "world", "message": "Hello world!"}"#;
