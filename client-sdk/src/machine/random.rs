//! Random numbers from a seed: the same seed gives the same numbers.

use std::time::Duration;

/// Makes the name of this client as a publisher, which depends on each bit of the seed, and the generator for the
/// pauses.
pub(super) fn split(seed: u128) -> (Box<str>, Random) {
    let half = |bits: u128| u64::try_from(bits).expect("half of 128 bits are 64");
    let (mut high, mut low) = (Random::new(half(seed >> 64)), Random::new(half(seed & u128::from(u64::MAX))));
    let producer = format!("{:016x}{:016x}", high.next(), low.next());
    (producer.into(), Random::new(low.next()))
}

/// A splitmix64 generator (G. Steele, D. Lea, C. Flood, "Fast Splittable Pseudorandom Number Generators", 2014). It is
/// good enough to spread clients, and unfit for secrets.
#[derive(Clone, Debug)]
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Any duration from zero to `longest`, both included.
    pub(super) fn up_to(&mut self, longest: Duration) -> Duration {
        let nanos = u64::try_from(longest.as_nanos()).unwrap_or(u64::MAX);
        let share = (u128::from(self.next()) * (u128::from(nanos) + 1)) >> 64;
        Duration::from_nanos(u64::try_from(share).unwrap_or(nanos))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeds_that_differ_in_one_bit_make_other_producers() {
        let producers: std::collections::BTreeSet<_> = (0..128).map(|bit| split(1 << bit).0).collect();
        assert_eq!(producers.len(), 128);
        assert!(producers.iter().all(|producer| producer.len() == 32));
    }

    #[test]
    fn durations_fill_their_range_and_never_leave_it() {
        let (mut random, longest) = (Random::new(7), Duration::from_nanos(3));
        let seen: std::collections::BTreeSet<_> = (0..100).map(|_| random.up_to(longest).as_nanos()).collect();
        assert_eq!(seen.into_iter().collect::<Vec<_>>(), [0, 1, 2, 3]);
        assert_eq!(random.up_to(Duration::ZERO), Duration::ZERO);
    }
}
