//! An index of what is remembered, by name.

use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash, Hasher};

/// Ids by a hash of the name. A hash map would now and then move all of its entries at once, which takes milliseconds;
/// this tree never does. The caller tells names with the same hash apart. To find even three such names takes 2^42
/// trials.
#[derive(Debug, Default)]
pub(super) struct Names(BTreeSet<(u64, u64)>);

impl Names {
    /// Returns the id with this name. `is_it` decides for each id with the same hash.
    pub(super) fn find(&self, name: impl Hash, is_it: impl Fn(u64) -> bool) -> Option<u64> {
        let hash = hash(name);
        self.0.range((hash, 0)..=(hash, u64::MAX)).map(|(_, id)| *id).find(|id| is_it(*id))
    }

    pub(super) fn insert(&mut self, name: impl Hash, id: u64) {
        self.0.insert((hash(name), id));
    }

    pub(super) fn remove(&mut self, name: impl Hash, id: u64) {
        self.0.remove(&(hash(name), id));
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

fn hash(name: impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    name.hash(&mut hasher);
    hasher.finish()
}
