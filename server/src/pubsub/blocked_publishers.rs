//! Connections that are not read until other workers have taken the mail that these connections caused.

use super::mail::MailboxWait;
use std::collections::BTreeSet;

/// The connections of this worker that wait, each with every mailbox that it waits for. Some of them may be gone.
#[derive(Debug, Default)]
pub(super) struct BlockedPublishers {
    by_slot: BTreeSet<(u32, usize)>,
}

impl BlockedPublishers {
    pub(super) fn add(&mut self, wait: MailboxWait) {
        self.by_slot.insert((wait.slot, wait.mailbox));
    }

    pub(super) fn remove(&mut self, wait: MailboxWait) {
        self.by_slot.remove(&(wait.slot, wait.mailbox));
    }

    /// Removes what the slot's previous connection waited for.
    pub(super) fn forget(&mut self, slot: u32) {
        while let Some(&of_slot) = self.by_slot.range((slot, 0)..=(slot, usize::MAX)).next() {
            self.by_slot.remove(&of_slot);
        }
    }

    /// Whether a connection waits for any mailbox.
    pub(super) fn has(&self, slot: u32) -> bool {
        self.by_slot.range((slot, 0)..=(slot, usize::MAX)).next().is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_waits_until_the_last_of_its_mailboxes_is_taken() {
        let mut blocked = BlockedPublishers::default();
        let [first, second] = [1, 2].map(|mailbox| MailboxWait { slot: 7, mailbox });
        [first, second, second].into_iter().for_each(|wait| blocked.add(wait));
        blocked.remove(second);
        assert!(blocked.has(7) && !blocked.has(6) && !blocked.has(8));
        blocked.remove(first);
        assert!(!blocked.has(7));
        blocked.add(first);
        blocked.forget(7);
        assert!(blocked.by_slot.is_empty());
    }
}
