//! Warnings for operators in the log.

pub(crate) mod warnings;
