//! RFC 6455 on bytes: frames, and the messages in them. Does not use sockets or connections.

pub(crate) mod decoder;
pub mod frame;
