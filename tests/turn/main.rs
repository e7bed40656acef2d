//! The turn of the shipped workers, one poll of a task at a time: whose request is next, and what waits for whom.
//!
//! The server is the real one but for its sockets, threads and clock, so that a test decides which worker does something
//! next, how much room a socket has, and what time it is.
//!
//! - `stage`: a server with its clients, and how to move them
//! - `order`: whatever many do, everybody hears everything in one order and is answered in the order of his requests,
//!   and nothing is left in the end
//! - `fairness`: whatever many do, who asks for little is answered within so many turns
//! - `deadlines`: when a quiet connection is pinged, and what does not count against whom
//! - `waiting`: who has to wait for his own requests, for his readers, and for another worker
//! - `due`: who wakes up for what the hub does by itself
//! - `presence`: what is told of those who come and go within one turn
//! - `memory`: what waits in the whole server, and what is kept for those who come back

mod deadlines;
mod due;
mod fairness;
mod memory;
mod order;
mod presence;
mod stage;
mod waiting;
