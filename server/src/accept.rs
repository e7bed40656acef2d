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
    let mut in_a_row = 0;
    loop {
        let accepted = listener.accept().await;
        match accepted.map(|(stream, _)| (stream, limit.admit())) {
            Ok((stream, Some(permit))) => {
                wait = SHORTEST;
                deal(stream, permit);
                in_a_row += 1;
                if in_a_row == BURST {
                    // A crowd that comes at once is let in by and by: those who are there already are served between.
                    in_a_row = 0;
                    tokio::task::yield_now().await;
                }
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

/// Connections accepted before others get their turn.
const BURST: u32 = 8;

const SHORTEST: Duration = Duration::from_millis(10);
const LONGEST: Duration = Duration::from_secs(1);
