//! The end of an HTTP connection.

use crate::connection::Socket;
use crate::listener::limit::Permit;
use crate::runtime::patience::PatientSleep;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

/// Ends the sending direction, and drops what the client still sends: at most so many bytes, and for so long. Without
/// this, what lies unread would cause a reset, and the client could lose the answer (RFC 9112 section 9.6).
pub(super) async fn linger(mut socket: Socket, permit: &Permit, most: usize, time: Duration) {
    if socket.shutdown().await.is_err() {
        return;
    }
    let dropping = async {
        let (mut left, mut chunk) = (most, [0; 1024]);
        while left > 0 {
            match socket.read(&mut chunk).await {
                Ok(0) | Err(_) => return,
                Ok(length) => left = left.saturating_sub(length),
            }
        }
    };
    tokio::select! {
        biased;
        () = dropping => {}
        () = permit.asked_to_leave() => {}
        () = PatientSleep::new(time) => {}
    }
}
