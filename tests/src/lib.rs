//! A client that knows nothing but bytes, and a server to point it at.
//!
//! The tests drive the whole server from outside: a [`Server`] runs in this process on a port of its own, and a
//! [`Socket`] writes to it whatever a test wants, right or wrong, and reads what comes back. [`Plain`] and [`Typed`]
//! are a socket with a WebSocket open on it, in one dialect or the other. A [`Proxy`] is a way to the server that
//! breaks.
//!
//! Nothing here sleeps: every wait is for the thing itself, up to [`DEADLINE`], and one that ends in vain says what
//! was waited for and all that came before. That nothing comes is not waited for either: what would have come is
//! behind the answer to a later question.

mod frame;
mod handshake;
mod peer;
mod proxy;
mod server;
mod socket;

pub use frame::{Frame, Heard};
pub use handshake::Handshake;
pub use peer::{Plain, Typed};
pub use proxy::Proxy;
pub use server::Server;
pub use socket::{Answer, DEADLINE, Socket};
