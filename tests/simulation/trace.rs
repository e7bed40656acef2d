//! The last inputs and effects of each client, for the message of a failure.

use std::collections::VecDeque;
use std::time::Duration;

/// The last [`KEPT`] lines of each client. It stays empty in a run that only checks.
#[derive(Debug, Default)]
pub(crate) struct Trace {
    lines: Option<Vec<VecDeque<String>>>,
    is_over: bool,
}

impl Trace {
    /// An empty trace for `clients` clients.
    pub(crate) fn of(clients: usize) -> Self {
        Self { lines: Some(vec![VecDeque::new(); clients]), is_over: false }
    }

    /// Adds a line for a client; `what` is only called if the trace keeps lines.
    pub(crate) fn note(&mut self, client: usize, at: Duration, what: impl FnOnce() -> String) {
        let Some(lines) = self.lines.as_mut().and_then(|lines| lines.get_mut(client)) else { return };
        if self.is_over {
            return;
        }
        if lines.len() == KEPT {
            lines.pop_front();
        }
        lines.push_back(format!("{at:>12.3?}  {:.300}", what()));
    }

    /// Keeps nothing that is noted after this call.
    pub(crate) fn end(&mut self) {
        self.is_over = true;
    }

    /// The lines of one client.
    pub(crate) fn into_lines(self, client: usize) -> Vec<String> {
        let lines = self.lines.and_then(|mut lines| (client < lines.len()).then(|| lines.swap_remove(client)));
        lines.into_iter().flatten().collect()
    }
}

const KEPT: usize = 120;
