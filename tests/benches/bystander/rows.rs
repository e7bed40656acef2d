//! The rows of the table: the attack of each, and what it reports besides the bystander's waits.

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
    /// The name on the command line and in the table.
    pub(crate) name: &'static str,
    /// What the row does, as text for the reader of the table.
    pub(crate) about: &'static str,
    /// Whether the row needs only the plain dialect, so that it can attack other servers too.
    pub(crate) plain: bool,
    /// Number of workers, if the row needs a certain number.
    pub(crate) workers: Option<usize>,
    /// Flags of hubcast that differ from the defaults.
    pub(crate) flags: &'static [&'static str],
    /// Runs the attack and returns a text with what else it measured.
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

/// The values that most rows use.
const USUAL: Row = Row { name: "", about: "", plain: false, workers: None, flags: &[], play: |_| Ok(String::new()) };
