//! What all client commands share: their flags, the connection, the two outputs, and how they end.

pub(crate) mod connect;
pub(crate) mod exit;
pub(crate) mod lines;
pub(crate) mod moment;
pub(crate) mod options;
pub(crate) mod output;
pub(crate) mod running;
pub(crate) mod terminal;
