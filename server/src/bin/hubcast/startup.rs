//! From a configuration to a running server, and from a signal to its end.

use crate::allocator;
use crate::descriptors;
use crate::effective::Effective;
use crate::endpoints::{Endpoint, reachable};
use crate::signals::Signals;
use anyhow::{Context, anyhow};
use hubcast_server::{Config, Server};
use std::io::{self, ErrorKind, Write};
use std::net::{SocketAddr, TcpListener};
use tokio::runtime;

/// Serves until a signal comes and the connections are drained.
///
/// # Errors
/// The server cannot start, or fails while it runs.
pub(crate) fn serve(effective: &Effective) -> anyhow::Result<()> {
    let options = &effective.options;
    let config = effective.config()?;
    descriptors::make_room(config.max_connections);
    let runtime = runtime::Builder::new_current_thread().enable_all().build().context("cannot start a runtime")?;
    runtime.block_on(run(config, &options.listen))
}

async fn run(config: Config, endpoint: &Endpoint) -> anyhow::Result<()> {
    // Before anyone is told that the server is there: a signal from now on drains.
    let signals = Signals::new().context("cannot listen for signals")?;
    let listener = listen(endpoint)?;
    let bound = listener.local_addr()?;
    let max_connections = config.max_connections;
    let server = Server::bind(config, listener).context("cannot start the server")?;
    let hurry = server.hurry();
    tracing::info!(address = %bound, max_connections, "listening");
    announce(bound);
    tokio::select! {
        ended = server.run(signals.stop(hurry)) => ended.context("the server failed")?,
        never = allocator::give_back_while_idle() => match never {},
    }
    tracing::info!("stopped");
    Ok(())
}

fn listen(endpoint: &Endpoint) -> anyhow::Result<TcpListener> {
    TcpListener::bind(endpoint.as_str()).map_err(|error| {
        let reason = match error.kind() {
            ErrorKind::AddrInUse => "the port is taken by another program; stop it, or choose another port".to_owned(),
            ErrorKind::PermissionDenied => "this user may not; a port from 1024 up needs no privilege".to_owned(),
            ErrorKind::AddrNotAvailable => "no network interface of this machine has this address".to_owned(),
            _ => error.to_string(),
        };
        anyhow!("cannot listen on {endpoint}: {reason}")
    })
}

/// Says on standard output where to connect and what to try.
fn announce(bound: SocketAddr) {
    let version = env!("CARGO_PKG_VERSION");
    let url = format!("ws://{}/socket", reachable(bound));
    let text = format!(
        "hubcast {version} is listening on ws://{bound}/socket\n\
         try it:  npx wscat -c {url}\n\
         type:    {SUBSCRIBE}\n\
         then:    {PUBLISH}\n"
    );
    // A server does its work also when nobody reads its output.
    let _ = io::stdout().write_all(text.as_bytes());
}

const SUBSCRIBE: &str = r#"{"action": "subscribe", "topic": "world"}"#;
const PUBLISH: &str = r#"{"action": "publish", "topic": "world", "message": "Hello world!"}"#;
