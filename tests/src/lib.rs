//! A client that works on bytes, and a server for it to test.
//!
//! The tests drive the whole server from outside. A [`Server`] runs in this process on a port of its own. A [`Socket`]
//! writes any bytes to it, right or wrong, and reads what comes back. [`Plain`] and [`Typed`] are a socket with an open
//! WebSocket in one of the two dialects, and an [`EventReader`] is a stream of server-sent events. A [`Proxy`] stands
//! between a client and a server and cuts connections. [`with_tokens`] sets up a server that takes each [`token`].
//!
//! Nothing here sleeps. Every wait is for the thing itself, at most [`DEADLINE`]; if it fails, the message says what
//! the test waited for and what came before. To check that nothing comes, a test sends a later question: anything
//! unexpected would come before its answer.

mod api;
mod frame;
mod handshake;
mod peer;
mod proxy;
mod server;
mod socket;
mod stream;
mod token;

pub use api::{ApiClient, Reply, key_of, with_api_key};
pub use frame::{Frame, Heard};
pub use handshake::Handshake;
pub use peer::{Plain, Typed};
pub use proxy::Proxy;
pub use server::Server;
pub use socket::{Answer, DEADLINE, Socket};
pub use stream::{Dispatched, EventReader};
pub use token::{Place, SECRET, show, signed, token, unix_now, with_tokens};
