//! `hubcast`: from its settings to a running server, and from a signal to its end.

mod listening;
mod signals;

use crate::allocator;
use crate::settings::descriptors;
use crate::settings::endpoints::{Endpoint, reachable};
use crate::settings::resolve::{self, Resolved};
use anyhow::Context;
use hubcast_server::{Config, Server};
use listening::listen;
use signals::Signals;
use std::io::{self, Write};
use std::net::SocketAddr;
use tokio::runtime;

/// Serves until a signal comes and the connections are drained.
///
/// # Errors
/// The server cannot start, or fails while it runs.
pub(crate) fn run(resolved: &Resolved) -> anyhow::Result<()> {
    let Resolved { settings, ignored } = resolved;
    let config = resolve::config(settings)?;
    if !ignored.is_empty() {
        let variables = ignored.join(", ");
        tracing::warn!(variables, "ignored variables of the environment: there are no settings of these names");
    }
    descriptors::reserve_fds(config.max_connections);
    let runtime = runtime::Builder::new_current_thread().enable_all().build().context("cannot start a runtime")?;
    runtime.block_on(serve(config, &settings.options.listen))
}

async fn serve(config: Config, endpoint: &Endpoint) -> anyhow::Result<()> {
    // Before anyone is told that the server is there: a signal from now on drains.
    let signals = Signals::new().context("cannot listen for signals")?;
    let listeners = listen(endpoint)?;
    let max_connections = config.max_connections;
    let server = Server::bind(config, listeners).context("cannot start the server")?;
    let (bound, hurry) = (server.local_addrs()?, server.hurry());
    for address in &bound {
        tracing::info!(%address, max_connections, "listening");
    }
    announce(&bound);
    tokio::select! {
        ended = server.run(signals.stop(hurry)) => ended.context("the server failed")?,
        never = allocator::give_back_while_idle() => match never {},
    }
    tracing::info!("stopped");
    Ok(())
}

/// Says on standard output where to connect and what to try.
fn announce(bound: &[SocketAddr]) {
    let [first, others @ ..] = bound else { return };
    let version = env!("CARGO_PKG_VERSION");
    let url = format!("ws://{}/socket", reachable(*first));
    let others: String = others.iter().map(|other| format!("and on ws://{other}/socket\n")).collect();
    let text = format!(
        "hubcast {version} is listening on ws://{first}/socket\n\
         {others}\
         try it:  npx wscat -c {url}\n\
         type:    {SUBSCRIBE}\n\
         then:    {PUBLISH}\n"
    );
    // A server does its work also when nobody reads its output.
    let _ = io::stdout().write_all(text.as_bytes());
}

const SUBSCRIBE: &str = r#"{"action": "subscribe", "topic": "world"}"#;
const PUBLISH: &str = r#"{"action": "publish", "topic": "world", "message": "Hello world!"}"#;
