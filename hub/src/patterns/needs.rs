//! The numbers of tokens that the patterns below a node of the trie still need.

/// The patterns below a node, counted by how many tokens they still need. A change and a question each cost a constant.
#[derive(Debug, Default)]
pub(super) struct Needs {
    /// Bit n is set if a pattern needs exactly n more tokens.
    exactly: u32,
    /// Bit n is set if a pattern needs n or more tokens, because its last one is `>`.
    at_least: u32,
    /// The needs that several patterns have, each with the number of these patterns. Below most nodes there is one
    /// pattern.
    shared: Vec<(Need, u32)>,
}

/// The number of tokens that one pattern needs below a node.
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

    /// Removes a pattern that was added.
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

    /// Whether any pattern can match a topic that has this many more tokens.
    pub(super) fn can_match(&self, tokens: usize) -> bool {
        let bit = 1_u32 << tokens.min(MANY);
        // `bit | (bit - 1)` are the bits of this many tokens or fewer.
        self.exactly & bit != 0 || self.at_least & (bit | (bit - 1)) != 0
    }

    /// The bit of a need, and the field that it is in.
    fn bits(&mut self, need: Need) -> (&mut u32, u32) {
        match need {
            Need::Exactly(tokens) => (&mut self.exactly, 1 << tokens),
            Need::AtLeast(tokens) => (&mut self.at_least, 1 << tokens),
        }
    }
}

/// More tokens than any pattern has.
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
