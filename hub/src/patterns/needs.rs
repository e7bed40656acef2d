//! How many more tokens a topic must have for the patterns below a node of the trie.

/// The patterns below a node, counted by how many tokens they still need. A change costs a constant, and so does the
/// question.
#[derive(Debug, Default)]
pub(super) struct Needs {
    /// Bit n: a pattern needs exactly n tokens more.
    exactly: u32,
    /// Bit n: a pattern needs n tokens or more, as its last one is `>`.
    at_least: u32,
    /// How many patterns need the same, where they are several: below most nodes there is one.
    shared: Vec<(Need, u32)>,
}

/// What one pattern needs below a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Need {
    Exactly(u32),
    AtLeast(u32),
}

impl Needs {
    /// Adds a pattern.
    pub(super) fn add(&mut self, need: Need) {
        let (bits, bit) = self.bits(need);
        if *bits & bit == 0 {
            *bits |= bit;
        } else if let Some((_, count)) = self.shared.iter_mut().find(|(shared, _)| *shared == need) {
            *count += 1;
        } else {
            self.shared.push((need, 2));
        }
    }

    /// Takes away a pattern that was added.
    pub(super) fn remove(&mut self, need: Need) {
        match self.shared.iter().position(|(shared, _)| *shared == need) {
            Some(place) if self.shared[place].1 > 2 => self.shared[place].1 -= 1,
            Some(place) => _ = self.shared.swap_remove(place),
            None => {
                let (bits, bit) = self.bits(need);
                *bits &= !bit;
            }
        }
        if self.shared.is_empty() {
            self.shared = Vec::new();
        }
    }

    /// Whether a pattern can match a topic that has so many tokens more.
    pub(super) fn can_match(&self, tokens: usize) -> bool {
        let bit = 1_u32 << tokens.min(MANY);
        // Those that need so many or fewer.
        self.exactly & bit != 0 || self.at_least & (bit | (bit - 1)) != 0
    }

    /// Where a need is noted.
    fn bits(&mut self, need: Need) -> (&mut u32, u32) {
        match need {
            Need::Exactly(tokens) => (&mut self.exactly, 1 << tokens),
            Need::AtLeast(tokens) => (&mut self.at_least, 1 << tokens),
        }
    }
}

/// More tokens than a pattern has.
const MANY: usize = 31;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::{collection::vec, prelude::*};

    fn need() -> impl Strategy<Value = Need> {
        prop_oneof![(0..=16_u32).prop_map(Need::Exactly), (1..=16_u32).prop_map(Need::AtLeast)]
    }

    fn fits(need: &Need, tokens: usize) -> bool {
        match *need {
            Need::Exactly(exactly) => tokens == exactly as usize,
            Need::AtLeast(least) => tokens >= least as usize,
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn patterns_can_match_what_one_of_those_that_are_left_can_match(
            added in vec(need(), 0..40),
            kept in 0..40_usize,
        ) {
            let mut needs = Needs::default();
            added.iter().for_each(|need| needs.add(*need));
            let (kept, gone) = added.split_at(kept.min(added.len()));
            gone.iter().for_each(|need| needs.remove(*need));
            for tokens in (0..40).chain([513]) {
                let expected = kept.iter().any(|need| fits(need, tokens));
                prop_assert_eq!(needs.can_match(tokens), expected, "{} of {:?}", tokens, needs);
            }
            kept.iter().for_each(|need| needs.remove(*need));
            prop_assert_eq!((needs.exactly, needs.at_least, needs.shared.capacity()), (0, 0, 0));
        }
    }
}
