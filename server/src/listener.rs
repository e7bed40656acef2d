//! Accepting TCP connections, and how many there may be.

pub(crate) mod accept;
pub(crate) mod limit;
