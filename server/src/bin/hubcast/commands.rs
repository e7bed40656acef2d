//! The commands of the program, a file for each.

pub(crate) mod bench;
pub(crate) mod check_config;
pub(crate) mod serve;
