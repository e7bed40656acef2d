//! The messages that were not published.

use crate::commands::client::exit::{FAILED, Failure};
use crate::commands::client::terminal::Terminal;
use hubcast_client::PublishError;
use std::fmt::Display;

/// What was not published.
#[derive(Debug)]
pub(crate) struct Faults {
    terminal: Terminal,
    count: u64,
}

impl Faults {
    pub(crate) fn new(terminal: Terminal) -> Self {
        Self { terminal, count: 0 }
    }

    /// How many messages were not published.
    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    /// Tells about a message that was not published. Fails if the others would fare the same.
    pub(crate) fn take(&mut self, which: &impl Display, why: PublishError) -> Result<(), Failure> {
        let is_over = matches!(why, PublishError::Closed { .. });
        let failure = Failure::from(why);
        self.count += 1;
        if failure.code != FAILED || is_over {
            return Err(failure);
        }
        if self.count <= MOST_TOLD {
            self.terminal.error(&format!("{which}: {}", failure.why));
        }
        Ok(())
    }

    /// The outcome at the end.
    pub(crate) fn verdict(&self) -> Result<(), Failure> {
        match self.count {
            0 => Ok(()),
            1..=MOST_TOLD => Err(Failure::failed("")),
            count => Err(Failure::failed(format!("{count} messages were not published"))),
        }
    }
}

/// So many faults are told one by one.
const MOST_TOLD: u64 = 10;
