//! The publications that one subscriber has received from one publisher.

use std::collections::BTreeSet;

/// Decides for each sequence number whether it arrived in order, late, or again.
///
/// Without faults it is a single counter; only missing numbers need memory.
#[derive(Clone, Debug, Default)]
pub(super) struct Tally {
    /// One more than the highest number received.
    next: u32,
    /// Numbers below `next` that were not received.
    missing: BTreeSet<u32>,
}

impl Tally {
    pub(super) fn heard(&mut self, sequence: u32) -> Arrival {
        if sequence >= self.next {
            self.missing.extend(self.next..sequence);
            self.next = sequence + 1;
            Arrival::InTurn
        } else if self.missing.remove(&sequence) {
            Arrival::Late
        } else {
            Arrival::Again
        }
    }
}

/// How a publication arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Arrival {
    /// Later than all received publications before it.
    InTurn,
    /// After a later publication: out of order.
    Late,
    /// Not for the first time.
    Again,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gap_that_is_filled_was_out_of_order_and_a_second_time_is_a_duplicate() {
        let mut tally = Tally::default();
        let heard = [0, 1, 4, 2, 2, 4, 5, 3].map(|sequence| tally.heard(sequence));
        use Arrival::{Again, InTurn, Late};
        assert_eq!(heard, [InTurn, InTurn, InTurn, Late, Again, Again, InTurn, Late]);
        assert!(tally.missing.is_empty());
    }
}
