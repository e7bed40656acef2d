//! The settings of the program: their sources, their syntax, and the rules between them.

pub(crate) mod access;
pub(crate) mod activation;
mod admission;
mod checks;
pub(crate) mod descriptors;
pub(crate) mod endpoints;
mod environment;
pub(crate) mod excerpt;
mod file;
pub(crate) mod file_mode;
mod file_text;
pub(crate) mod hooks;
pub(crate) mod layered;
mod lines;
mod lists;
pub(crate) mod options;
mod paths;
pub(crate) mod resolve;
mod spelling;
mod tables;
mod threads;
pub(crate) mod tokens;
mod topics;
pub(crate) mod units;
