//! The program as those who operate it meet it: what it logs, which signals it obeys, where it listens, and what its limits
//! let pass.
//!
//! - `command_line.rs`: what it prints, what it refuses and how, and how it ends
//! - `limits.rs`: what a limit that is set lets pass
//! - `listening.rs`: where it listens
//! - `log.rs`: every line of the log is JSON where that is asked for, and says what an operator must hear, once
//! - `stalls.rs`: a stop of the process is not blamed on a connection
//! - `state.rs`: what it keeps, by its rules for topics and in its state folder
//! - `signals.rs`: what a signal does, and that what is kept outlives every one of them but the last
//!
//! `run.rs` starts the program and listens to it, `client.rs` connects to it.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

mod client;
mod command_line;
mod limits;
mod listening;
mod log;
mod run;
mod signals;
mod stalls;
mod state;
