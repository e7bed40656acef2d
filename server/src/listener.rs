//! Accepting TCP connections, and the limit of their number.

pub(crate) mod accept;
pub(crate) mod limit;
