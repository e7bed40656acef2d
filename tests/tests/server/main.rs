//! Tests of the whole server from outside, with hand-written bytes.
//!
//! The protocol:
//! - `plain`: every behaviour of the original server's dialect
//! - `typed`: replies, ids, errors, and messages between the two dialects
//! - `private`: topics that belong to one connection
//! - `patterns`: subscriptions with wildcards
//! - `events`: server-sent events, for readers that have only HTTP
//!
//! The life of a connection:
//! - `handshake`: every check of the upgrade with its status, and the other routes
//! - `files`: the client of browsers and the console, with their headers
//! - `api`: every route of the HTTP API, with its answers and its refusals
//! - `tokens`: who gets in with which token, what is granted, and when that ends
//! - `framing`: correct and wrong frames, and the close code for each wrong one
//! - `sources`: proxies, Unix sockets, and how many connections one address may have
//! - `tls`: the same server behind a certificate, which is exchanged while it runs
//! - `bounds`: slow, greedy and silent clients, and how the server closes them
//! - `full`: a server with as many connections as it may have still answers health checks
//! - `patience`: slow readers that the server must not close
//! - `presence`: a watcher of a topic that other clients join and leave all the time
//! - `crowd`: many clients act at once, or one acts on many, and the others are served meanwhile
//! - `whole`: limits for all connections together
//! - `leaving`: connections that close or break, and that nothing of them is left in the server
//! - `metrics`: what the server counts, and who may read it
//! - `drain`: how the server closes all connections when it stops
//! - `hooks`: a program that is told by HTTP who comes and goes, also if it fails, hangs or is gone
//! - `panics`: a panic ends the server and is reported
//! - `pulse`: a worker that hangs is told from one that is idle
//! - `workers`: clients cannot see how many workers there are
//!
//! What programs see:
//! - `configs`: every configuration is refused by name, or the server runs with it
//! - `sdk`: the Rust client in daily use, over restarts of the server, and on a network that breaks

mod api;
mod bounds;
mod configs;
mod crowd;
mod drain;
mod events;
mod files;
mod framing;
mod full;
mod handshake;
mod hooks;
mod leaving;
mod metrics;
mod panics;
mod patience;
mod patterns;
mod plain;
mod presence;
mod private;
mod pulse;
mod sdk;
mod sources;
mod tls;
mod tokens;
mod typed;
mod whole;
mod workers;
