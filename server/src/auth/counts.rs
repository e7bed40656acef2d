//! How many tokens were accepted and refused.

use super::TokenFault;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Counts verified tokens by what came of them. All workers share it: verifying a token takes far longer than counting
/// it.
#[derive(Debug, Default)]
pub struct TokenCounts {
    accepted: AtomicU64,
    refused: [AtomicU64; TokenFault::ALL.len()],
}

impl TokenCounts {
    pub(super) fn note<T>(&self, outcome: &Result<T, TokenFault>) {
        let count = match outcome {
            Ok(_) => &self.accepted,
            Err(fault) => &self.refused[*fault as usize],
        };
        count.fetch_add(1, Relaxed);
    }

    /// Tokens that were accepted.
    pub fn accepted(&self) -> u64 {
        self.accepted.load(Relaxed)
    }

    /// Tokens that were refused for this reason.
    pub fn refused(&self, fault: TokenFault) -> u64 {
        self.refused[fault as usize].load(Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_outcome_has_a_count_of_its_own() {
        let counts = TokenCounts::default();
        counts.note(&Ok(()));
        for fault in TokenFault::ALL {
            counts.note::<()>(&Err(*fault));
        }
        counts.note::<()>(&Err(TokenFault::Revoked));
        assert_eq!(
            (counts.accepted(), counts.refused(TokenFault::TooLong), counts.refused(TokenFault::Revoked)),
            (1, 1, 2)
        );
        let names: std::collections::BTreeSet<_> = TokenFault::ALL.iter().map(|fault| fault.name()).collect();
        assert_eq!(names.len(), TokenFault::ALL.len());
    }
}
