//! The program from outside: its command line, log, signals, addresses, limits and state.
//!
//! - `command_line.rs`: what it prints, which arguments it refuses, and its exit codes
//! - `history_presence.rs`: the commands `history` and `presence`
//! - `hooks.rs`: programs that it tells what happens, and the command `hooks test`
//! - `jwks.rs`: keys of tokens that it fetches from a login service
//! - `limits.rs`: what a configured limit lets through
//! - `listening.rs`: the addresses on which it listens
//! - `log.rs`: every line of a JSON log is JSON, and each warning to the operator comes once
//! - `packaged.rs`: the health check, the manual pages and the completions
//! - `publish.rs`: the command `pub`
//! - `questions.rs`: keys, tokens and permissions that it makes, shows and explains
//! - `record_replay.rs`: the commands `record` and `replay`
//! - `reloading.rs`: other settings for a running server
//! - `secrets.rs`: no token, key or secret comes out of it
//! - `stalls.rs`: a connection does not suffer when the process itself was stopped
//! - `sub.rs`: the command `sub`
//! - `state.rs`: what it keeps, by its rules for topics and in its state folder
//! - `signals.rs`: what each signal does, and that only the third one in a row loses what the server keeps
//! - `systemd.rs`: what a service manager is told, and the sockets that it gives
//! - `top.rs`: the command `top`
//!
//! `run.rs` starts the program and reads its output. `client.rs` connects to it, and `commands.rs` runs its client commands.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

mod access_log;
mod client;
mod command_line;
mod commands;
mod history_presence;
mod hooks;
mod jwks;
mod limits;
mod listening;
mod log;
mod packaged;
mod publish;
mod questions;
mod record_replay;
mod reloading;
mod run;
mod secrets;
mod shortage;
mod signals;
mod stalls;
mod state;
mod sub;
mod systemd;
mod top;
