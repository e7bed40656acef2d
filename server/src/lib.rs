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

pub mod auth;
mod config;
mod connection;
mod encode;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod hook_delivery;
pub mod hooks;
mod http;
mod http_client;
mod http_url;
mod jwks_refresh;
mod listener;
mod log;
mod metrics;
mod outbox;
mod pubsub;
mod runtime;
mod schedule;
mod server;
mod snapshot;
mod tls;
mod trace_context;
mod wall_clock;
mod websocket;
mod worker;

#[doc(hidden)]
pub use auth::{ApiKey, ApiKeys, KeyHash};
pub use config::{Allowed, Config, ConfigError, Drain, HttpLimits, InvalidSetting, MessageLimits, Timeouts};
pub use connection::peer::{Arrival, CloseReason, Closed, Disconnect, Ending, Message, Peer};
#[doc(hidden)]
pub use hook_delivery::{HookAnswer, HookSendError, send_test};
pub use http_url::{HttpUrl, InvalidHttpUrl};
pub use runtime::pulse::Pulse;
#[cfg(feature = "simulation")]
#[doc(hidden)]
pub use server::simulated;
pub use server::{BindError, Hurry, ReloadError, Reloader, RunError, Server};
pub use tls::{Tls, TlsFault};
pub use trace_context::TraceContext;
pub use websocket::frame;
pub use worker::outbound::Outbound;
pub use worker::service::Service;
