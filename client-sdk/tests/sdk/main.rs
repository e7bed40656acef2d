//! The client library from outside.
//!
//! - `script`: a machine with a clock that only the test moves, and functions that play the server
//! - `connection`: connecting, pauses between attempts, a silent server, close codes, closing
//! - `subscriptions`: which subscription receives what, and how subscriptions resume
//! - `endings`: subscriptions that the server refuses or ends
//! - `overlaps`: subscriptions that share topics, and what each must not receive
//! - `log`: the events for `tracing`
//! - `losses`: one loss is told once, whatever was lost and by whom
//! - `identity`: who a client without a user says it is
//! - `renewal`: tokens, as the machine sees them: asked for, kept and renewed
//! - `token_ends`: tokens that end, are refused or do not come, and what waits for them
//! - `tokens`: tokens of the test server, over hours of virtual time
//! - `token_hour`: an hour of tokens that end, fail and are revoked, with cuts and restarts, in virtual time
//! - `members`: the list of the members of a topic
//! - `publications`: acknowledged, queued, sent again, refused
//! - `publisher`: many publications in order, with a window and errors that hand values back
//! - `pressure`: servers that limit requests, or cannot do something for a while
//! - `random`: any inputs in any order
//! - `driver`: the whole client on a real socket, against the scripted server of `server`
//! - `gone`: a runtime that is dropped while something is under way
//! - `handshake`: addresses, headers, and what the server answers
//! - `reach`: several addresses, users, headers for each attempt, proxies, and own connections
//! - `tls`: whom the client trusts, what it shows, and addresses whose scheme is the wrong one
//! - `testing`: the whole client with the test server that the library offers to programs
//! - `faults`: the faults that this test server can make
//! - `scenes`: what any client does, from a file that clients in other languages play too

#![allow(clippy::unwrap_used, reason = "a test that cannot go on may panic")]

mod connection;
mod driver;
mod endings;
mod faults;
mod gone;
mod handshake;
mod identity;
mod log;
mod losses;
mod members;
mod overlaps;
mod pressure;
mod publications;
mod publisher;
mod random;
mod reach;
mod renewal;
mod scenes;
mod script;
mod server;
mod subscriptions;
mod testing;
mod tls;
mod token_ends;
mod token_hour;
mod tokens;
