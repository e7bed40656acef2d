//! The rows of the table: what each does to the server, and what it tells beside the bystander's wait.

mod burst;
mod crowds;
mod histories;
mod keys;
mod look_over;
mod patterns;
mod pongs;
mod resume;
mod slow_reader;
mod unread;

use crate::stage::Stage;
use anyhow::Result;

/// One way to attack a server.
pub(crate) struct Row {
    /// By which it is chosen.
    pub(crate) name: &'static str,
    /// What it does, for people who read the table.
    pub(crate) about: &'static str,
    /// Whether every server of the plain dialect can be attacked so.
    pub(crate) plain: bool,
    /// Workers, where the row needs a certain number of them.
    pub(crate) workers: Option<usize>,
    /// Settings of hubcast that are not as they come.
    pub(crate) flags: &'static [&'static str],
    /// Does it, and says what else it saw.
    pub(crate) play: fn(&mut Stage) -> Result<String>,
}

/// All rows in the order of the table.
pub(crate) fn all() -> Vec<Row> {
    [
        burst::rows(),
        patterns::rows(),
        look_over::rows(),
        unread::rows(),
        slow_reader::rows(),
        histories::rows(),
        resume::rows(),
        keys::rows(),
        pongs::rows(),
        crowds::rows(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// What most rows need.
const USUAL: Row = Row { name: "", about: "", plain: false, workers: None, flags: &[], play: |_| Ok(String::new()) };
