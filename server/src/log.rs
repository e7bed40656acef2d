//! What an operator is told in the log.

pub(crate) mod warnings;
