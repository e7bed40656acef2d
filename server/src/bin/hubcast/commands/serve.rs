//! `hubcast`: from its settings to a running server, and from a signal to its end.

mod listening;
mod signals;
mod systemd;

use crate::allocator;
use crate::logging::{Format, RunningLog};
use crate::settings::endpoints::reachable;
use crate::settings::resolve::Resolved;
use anyhow::Context;
use hubcast_hub::Access;
use hubcast_server::{Config, Pulse, Server};
use listening::listen;
use signals::Signals;
use std::convert::Infallible;
use std::future::pending;
use std::io::{self, Write};
use std::net::{SocketAddr, TcpListener};
use std::thread;
use systemd::Systemd;
use tokio::runtime;

/// Serves until a signal comes and the connections are drained. `sockets` are listeners that are bound already; they take
/// the place of the setting `listen`.
///
/// # Errors
/// The server cannot start, or fails while it runs.
pub(crate) fn run(
    config: Config,
    resolved: &Resolved,
    sockets: Vec<TcpListener>,
    log: &RunningLog,
) -> anyhow::Result<()> {
    let Resolved { settings, access, ignored } = resolved;
    if !ignored.is_empty() {
        let variables = ignored.join(", ");
        tracing::warn!(variables, "ignored variables of the environment: there are no settings of these names");
    }
    for warning in &access.warnings {
        tracing::warn!("{warning}");
    }
    let signals = Signals::follow(log.clone()).context("cannot listen for signals")?;
    let listeners = if sockets.is_empty() { listen(&settings.options.listen)? } else { sockets };
    let runtime = runtime::Builder::new_current_thread().enable_all().build().context("cannot start a runtime")?;
    runtime.block_on(serve(config, listeners, &signals, settings.options.log_format))
}

async fn serve(
    config: Config,
    listeners: Vec<TcpListener>,
    signals: &Signals,
    log_format: Format,
) -> anyhow::Result<()> {
    let max_connections = config.max_connections;
    let advice = Advice { is_open: config.admission.default == Access::Anyone, has_console: config.console };
    let mut server = Server::bind(config, listeners).context("cannot start the server")?;
    let bound = server.local_addrs()?;
    // Before the address is announced: a signal from now on drains.
    let stop = signals.drain_on_stop(server.hurry());
    for address in &bound {
        tracing::info!(%address, max_connections, "listening");
    }
    announce(&bound, log_format, advice);
    let stop = async {
        stop.await;
        systemd::stopping();
    };
    let status = format!("listening on {}", bound.iter().map(SocketAddr::to_string).collect::<Vec<_>>().join(", "));
    let systemd = Systemd::of_environment().map(|systemd| (server.pulse(systemd.turn_every()), systemd));
    tokio::select! {
        ended = server.run(stop) => ended.context("the server failed")?,
        never = allocator::give_back_while_idle() => match never {},
        never = watch(systemd, &status) => match never {},
    }
    tracing::info!("stopped");
    Ok(())
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
fn announce(bound: &[SocketAddr], log_format: Format, advice: Advice) {
    let text = match log_format {
        Format::Text => for_people(bound, advice),
        Format::Json => bound.iter().map(for_machines).collect(),
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
}

fn for_people(bound: &[SocketAddr], Advice { is_open, has_console }: Advice) -> String {
    let [first, others @ ..] = bound else { return String::new() };
    let host = reachable(*first);
    let url = format!("ws://{host}/socket");
    let others: String = others.iter().map(|other| format!("and on ws://{other}/socket\n")).collect();
    let console = if has_console { format!("look at: http://{host}/\n") } else { String::new() };
    let listening = format!("hubcast {VERSION} is listening on ws://{first}/socket\n{others}{console}");
    match is_open {
        true => {
            format!("{listening}try it:  npx wscat -c {url}\ntype:    {SUBSCRIBE}\nthen:    {PUBLISH}\n")
        }
        false => format!("{listening}clients do what they are granted; `hubcast explain --help` says how to look\n"),
    }
}

/// A line like those of the log: what runs a server often puts both streams into one.
fn for_machines(address: &SocketAddr) -> String {
    let message = format!("hubcast {VERSION} is listening on ws://{address}/socket");
    format!("{}\n", serde_json::json!({ "level": "INFO", "message": message }))
}

const VERSION: &str = env!("CARGO_PKG_VERSION");
const SUBSCRIBE: &str = r#"{"action": "subscribe", "topic": "world"}"#;
const PUBLISH: &str = r#"{"action": "publish", "topic": "world", "message": "Hello world!"}"#;
