//! What can go wrong with a server as a whole, one type for each operation.

use crate::config::ConfigError;
use std::io;

/// Why a server could not be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BindError {
    /// The configuration cannot be run with.
    #[error("the configuration does not hold")]
    Config(#[from] ConfigError),
    /// The listener could not be set up for the server's use.
    #[error("cannot use the listener")]
    Listener(#[source] io::Error),
    /// The state folder could not be made, written to or had alone.
    #[error(transparent)]
    State(io::Error),
}

/// Why a server that ran has ended, other than by its shutdown.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// The thread of a worker could not be started.
    #[error("cannot start worker {worker}")]
    Start {
        /// The worker's number, from 0.
        worker: usize,
        /// What the system says.
        source: io::Error,
    },
    /// A panic in the server: a fault of its own, or of the [`Service`](crate::Service) that it was given. All connections are lost, and
    /// nothing is left in the state folder, because it may be half changed. Start the server anew.
    #[error("worker {worker} panicked: {message}")]
    Panicked {
        /// The worker's number, from 0.
        worker: usize,
        /// What the panic said.
        message: String,
    },
    /// What the last run left in the state folder could not be taken.
    #[error(transparent)]
    Restore(io::Error),
    /// What is to be left in the state folder could not be written.
    #[error(transparent)]
    Save(io::Error),
}
