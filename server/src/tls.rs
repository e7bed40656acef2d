//! TLS: the layer between a socket and everything that reads and writes it (RFC 8446, RFC 5246).
//!
//! The layer keeps no buffer while a connection is at rest: records are opened and sealed in buffers of the thread, and
//! only what the socket does not take, or what is half a record, stays with the connection.

mod certificate;
mod expiry;
mod session;
mod stream;
pub(crate) mod watch;

pub use certificate::{Tls, TlsFault};
pub(crate) use stream::{HandshakeFault, TlsStream};
