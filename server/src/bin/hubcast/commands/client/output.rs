//! Notices that nobody reads standard output any more, also while there is nothing to write.

use super::exit::Failure;
use std::fs::File;
use std::future::pending;
use std::io::{self, ErrorKind};
use std::os::fd::AsFd;
use tokio::io::Interest;
use tokio::net::unix::pipe::Sender;

/// Waits until whoever read standard output is gone. Only a pipe, a socket or a terminal tells that; for a file this
/// waits for ever.
pub(crate) async fn closed() -> Failure {
    let Ok(output) = watched() else { return pending().await };
    match output.ready(Interest::ERROR).await {
        Ok(_) => Failure::output(&ErrorKind::BrokenPipe.into()),
        Err(_) => pending().await,
    }
}

/// Nothing is written to it, and it is not made non-blocking: it shares that with the output itself.
fn watched() -> io::Result<Sender> {
    let output = io::stdout().as_fd().try_clone_to_owned()?;
    Sender::from_file_unchecked(File::from(output))
}
