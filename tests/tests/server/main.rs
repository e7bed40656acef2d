//! The whole server from outside, by hand-written bytes.
//!
//! What is promised:
//! - `plain`: the dialect of the original server, every behaviour of it
//! - `typed`: replies, ids, errors, and that both dialects hear each other
//! - `private`: the topics that are one connection's own
//! - `patterns`: subscriptions with wildcards
//!
//! How a connection comes and goes:
//! - `handshake`: every check of the upgrade with its status, and the other routes
//! - `framing`: frames right and wrong, and the code that each wrong one is closed with
//! - `bounds`: who is slow, greedy or silent, and what becomes of him
//! - `full`: as many connections as there may be, and that the server is answering all the same
//! - `patience`: who is slow and may be, and stays
//! - `presence`: who watches where others come and go all the time
//! - `crowd`: what many do at once, or one does to many, and that others are served meanwhile
//! - `whole`: what holds for all connections together
//! - `leaving`: who goes, and that nothing of him stays
//! - `drain`: how the server sends everyone away
//! - `panics`: that a fault of the server ends all of it, and is told
//! - `workers`: that nobody can tell how many threads there are
//!
//! What programs see of it:
//! - `configs`: that any configuration is refused by name or served
//! - `sdk`: the Rust client in daily use, over restarts of the server, and on a network that breaks

mod bounds;
mod configs;
mod crowd;
mod drain;
mod framing;
mod full;
mod handshake;
mod leaving;
mod panics;
mod patience;
mod patterns;
mod plain;
mod presence;
mod private;
mod sdk;
mod typed;
mod whole;
mod workers;
