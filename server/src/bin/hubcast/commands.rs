//! The commands of the program, a file for each.

pub(crate) mod answer;
pub(crate) mod bench;
pub(crate) mod check_config;
pub(crate) mod client;
pub(crate) mod completions;
pub(crate) mod explain;
pub(crate) mod health;
pub(crate) mod history;
pub(crate) mod hooks;
pub(crate) mod key;
mod listen;
pub(crate) mod man;
pub(crate) mod presence;
mod printable;
pub(crate) mod publish;
pub(crate) mod question;
pub(crate) mod record;
mod recording;
pub(crate) mod replay;
pub(crate) mod serve;
pub(crate) mod sub;
pub(crate) mod token;
pub(crate) mod top;
