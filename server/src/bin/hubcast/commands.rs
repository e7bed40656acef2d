//! What the program can be asked to do, a file for each command.

pub(crate) mod bench;
pub(crate) mod check_config;
pub(crate) mod serve;
