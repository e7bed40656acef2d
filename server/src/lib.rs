//! hubcast's server: sockets, threads and HTTP around the hub.
//!
//! What a subscriber can observe is decided in the hub; what is about a socket is decided here. A
//! [`Server`] runs one worker thread a core, each with its own connections; bytes become messages, messages become
//! inputs of the hub, and the hub's effects become frames that all receivers share.
//!
//! ```no_run
//! use hubcast_server::{Config, Server};
//! use std::net::TcpListener;
//!
//! # async fn serve() -> Result<(), Box<dyn std::error::Error>> {
//! let server = Server::bind(Config::default(), [TcpListener::bind("127.0.0.1:8080")?])?;
//! server.run(async { /* until this completes */ }).await?;
//! # Ok(())
//! # }
//! ```

pub mod frame;

mod accept;
mod account;
mod config;
mod connection;
mod deadlines;
mod decoder;
mod error;
mod exchange;
mod frames;
mod handshake;
mod held;
mod history_frame;
mod http;
mod hurry;
mod lag;
mod limit;
mod outbox;
mod paced;
mod pubsub;
mod replays;
mod runtime;
mod schedule;
mod server;
mod service;
#[cfg(feature = "simulation")]
#[doc(hidden)]
pub mod simulated;
mod state;
mod system;
mod tasks;
mod thread;
mod turnstile;
mod worker;

pub use config::{Allowed, Config, ConfigError, Drain, Fault, HttpLimits, MessageLimits, Timeouts};
pub use error::{BindError, RunError};
pub use hurry::Hurry;
pub use server::Server;
pub use service::{Ending, Farewell, Message, Parting, Peer, Service};
pub use worker::Outbound;
