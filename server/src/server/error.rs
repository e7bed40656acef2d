//! The errors of a server as a whole, one type for each operation.

use crate::config::ConfigError;
use std::io;

/// Why a server could not be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BindError {
    /// The configuration breaks a rule.
    #[error("the configuration does not hold")]
    Config(#[from] ConfigError),
    /// The listener could not be set up.
    #[error("cannot use the listener")]
    Listener(#[source] io::Error),
    /// The state folder could not be made, written to, or locked for this server alone.
    #[error(transparent)]
    State(io::Error),
}

/// Why a running server ended with an error.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// The thread of a worker could not be started.
    #[error("cannot start worker {worker}")]
    Start {
        /// The worker's number, from 0.
        worker: usize,
        /// The error of the system.
        source: io::Error,
    },
    /// A panic, in the server or in its [`Service`](crate::Service). All connections are lost. Nothing is saved in the
    /// state folder, because the state may be half changed. Start the server again.
    #[error("worker {worker} panicked: {message}")]
    Panicked {
        /// The worker's number, from 0.
        worker: usize,
        /// The message of the panic.
        message: String,
    },
    /// The state of the previous run could not be read from the state folder.
    #[error(transparent)]
    Restore(io::Error),
    /// The state could not be written to the state folder.
    #[error(transparent)]
    Save(io::Error),
}
