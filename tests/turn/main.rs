//! The turn of the shipped workers, one poll of a task at a time: whose request is next, and what waits for whom.
//!
//! The server is the real one except for its sockets, threads and clock. So a test decides which worker runs next, how
//! many bytes a socket takes, and what time it is.
//!
//! - `stage`: a server with its clients, and methods that drive them
//! - `order`: all clients receive all publications in one order, each gets its answers in the order of its requests,
//!   and nothing is left in the end
//! - `fairness`: a client that asks for little is answered within a few turns, whatever the others do
//! - `deadlines`: when a quiet connection is pinged, and which waits count as its own delay
//! - `waiting`: which connection waits for its own requests, for slow receivers, or for another worker
//! - `due`: which worker wakes up when the hub has something to do by itself
//! - `presence`: what watchers receive about clients that join and leave within one turn
//! - `memory`: the limit on what waits in the whole server, and the cache of replays

mod deadlines;
mod due;
mod fairness;
mod memory;
mod order;
mod presence;
mod stage;
mod waiting;
