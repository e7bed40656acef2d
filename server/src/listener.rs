//! Accepting connections, where they come from, and how many there may be.

pub(crate) mod accept;
pub(crate) mod incoming;
pub(crate) mod limit;
pub(crate) mod proxy_header;
