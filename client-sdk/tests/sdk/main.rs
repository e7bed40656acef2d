//! The client from outside.
//!
//! - `script`: a machine, a clock that stands still, and words for what the server says
//! - `connection`: connecting, backing off, silence, being sent away, closing
//! - `subscriptions`: who hears what, and how subscriptions come back
//! - `overlaps`: subscriptions that hear the same topics, and what each must not hear
//! - `publications`: acknowledged, queued, sent again, refused
//! - `pressure`: servers that limit requests, or can do something only later
//! - `random`: any inputs in any order
//! - `driver`: the whole client on a real socket, against `server`, which says and hears what a test wants
//! - `handshake`: how a connection comes about: addresses, TLS, and what servers answer
//! - `testing`: the whole client with the server that it offers to the tests of others

#![allow(clippy::unwrap_used, reason = "a test that cannot go on may panic")]

mod connection;
mod driver;
mod handshake;
mod overlaps;
mod pressure;
mod publications;
mod random;
mod script;
mod server;
mod subscriptions;
mod testing;
