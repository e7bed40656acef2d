//! The faults of a load.

use indicatif::HumanCount;
use serde::Serialize;
use std::fmt;

/// The faults, counted by kind.
#[derive(Debug, Default, Serialize)]
pub(super) struct Faults {
    pub(super) lost: u64,
    pub(super) duplicated: u64,
    pub(super) out_of_order: u64,
    /// Texts that were not published to their receiver.
    pub(super) unexpected: u64,
    /// Connections that ended too early.
    pub(super) disconnected: u64,
    /// Cycles that were not completed.
    pub(super) failed: u64,
    /// A description of the first fault, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) first: Option<String>,
}

impl Faults {
    fn counted(&self) -> [(u64, &'static str); 6] {
        [
            (self.lost, "lost"),
            (self.duplicated, "duplicated"),
            (self.out_of_order, "out of order"),
            (self.unexpected, "unexpected"),
            (self.disconnected, "disconnected"),
            (self.failed, "failed"),
        ]
    }

    pub(super) fn none(&self) -> bool {
        self.counted().iter().all(|(count, _)| *count == 0)
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let listed: Vec<_> = self
            .counted()
            .into_iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, what)| format!("{} {what}", HumanCount(count)))
            .collect();
        if listed.is_empty() {
            f.write_str("none: nothing lost, duplicated or out of order")
        } else {
            f.write_str(&listed.join(", "))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_are_reported_one_by_one() {
        let faults = Faults { lost: 1234, out_of_order: 1, ..Faults::default() };
        assert_eq!(faults.to_string(), "1,234 lost, 1 out of order");
        assert!(!faults.none());
        assert!(Faults::default().none());
    }
}
