//! The client from outside.
//!
//! - `script`: a machine, a clock that stands still, and words for what the server says
//! - `connection`: connecting, backing off, silence, being sent away, closing
//! - `subscriptions`: who hears what, and how subscriptions come back
//! - `publications`: acknowledged, queued, sent again, refused
//! - `random`: any inputs in any order
//! - `driver`: the whole client against a scripted server on a real socket

mod connection;
mod driver;
mod publications;
mod random;
mod script;
mod subscriptions;
