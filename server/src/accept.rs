//! Taking connections from the listener and dealing them out to the workers in turn.

use crate::limit::{ConnectionLimit, Permit};
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};

/// Accepts until dropped. When the process has no more descriptors, or too many are being refused at once, waits
/// a little longer each time; what is not accepted waits in the listener's queue.
pub(crate) async fn accept_all(
    listener: TcpListener,
    limit: Arc<ConnectionLimit>,
    mut deal: impl FnMut(TcpStream, Permit),
) {
    let mut wait = SHORTEST;
    loop {
        let accepted = listener.accept().await;
        match accepted.map(|(stream, _)| (stream, limit.admit())) {
            Ok((stream, Some(permit))) => {
                wait = SHORTEST;
                deal(stream, permit);
                continue;
            }
            Ok((stream, None)) => drop(stream),
            Err(fault) if concerns_one_peer(&fault) => continue,
            Err(fault) => tracing::warn!(%fault, retry_in_ms = wait.as_millis(), "cannot accept connections"),
        }
        tokio::time::sleep(wait).await;
        wait = (wait * 2).min(LONGEST);
    }
}

/// Whether the fault is of a connection that was gone before it was accepted.
fn concerns_one_peer(fault: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted};
    matches!(fault.kind(), ConnectionAborted | ConnectionReset | Interrupted)
}

const SHORTEST: Duration = Duration::from_millis(10);
const LONGEST: Duration = Duration::from_secs(1);
