//! The program as those who operate it meet it: what it logs, which signals it obeys, where it listens, and what its limits
//! let pass.
//!
//! - `limits.rs`: what a limit that is set lets pass
//! - `listening.rs`: where it listens
//! - `log.rs`: every line of the log is JSON where that is asked for, and says what an operator must hear, once
//! - `signals.rs`: what a signal does, and that what is kept outlives every one of them but the last
//!
//! `run.rs` starts the program and listens to it, `client.rs` connects to it.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

mod client;
mod limits;
mod listening;
mod log;
mod run;
mod signals;
