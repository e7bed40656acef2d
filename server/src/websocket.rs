//! RFC 6455 on bytes: frames, and the messages that they carry. Knows no socket and no connection.

pub(crate) mod decoder;
pub mod frame;
