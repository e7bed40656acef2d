//! What was said last, to be read when something went wrong.

use std::collections::VecDeque;
use std::time::Duration;

/// The last words of each client and of the server; kept only when a run is made to be read.
#[derive(Debug, Default)]
pub(crate) struct Trace {
    lines: Option<Vec<VecDeque<String>>>,
    is_over: bool,
}

impl Trace {
    pub(crate) fn of(clients: usize) -> Self {
        Self { lines: Some(vec![VecDeque::new(); clients]), is_over: false }
    }

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

    /// `TopicPolicy` nothing of what comes after this.
    pub(crate) fn end(&mut self) {
        self.is_over = true;
    }

    pub(crate) fn into_lines(self, client: usize) -> Vec<String> {
        let lines = self.lines.and_then(|mut lines| (client < lines.len()).then(|| lines.swap_remove(client)));
        lines.into_iter().flatten().collect()
    }
}

const KEPT: usize = 120;
