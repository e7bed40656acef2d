//! Publications and events as bytes that many connections share.

pub(crate) mod account;
pub(crate) mod batch;
pub(crate) mod history_reply;
pub(crate) mod replay_cache;
