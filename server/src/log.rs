//! What the log tells operators: warnings, and lines about who comes and goes.

pub(crate) mod access;
pub(crate) mod warnings;
