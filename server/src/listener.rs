//! Accepting TCP connections, and the limit of their number.

pub(crate) mod accept;
pub(crate) mod limit;

/// Which listener a connection came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Door {
    /// One for clients.
    Clients,
    /// One where only metrics and health checks are.
    Metrics,
}
