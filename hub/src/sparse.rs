//! Gives memory of collections back when most of it is unused.
//!
//! A collection shrinks to twice its length, not further. So the cost of giving back is at most a constant for each
//! removal.

use slab::Slab;
use std::collections::HashMap;
use std::hash::Hash;

/// Call after a removal from a list. There may be a million such lists, so small ones shrink too.
pub(crate) fn release_list<T>(list: &mut Vec<T>) {
    if list.len() < list.capacity() / 4 {
        list.shrink_to(list.len() * 2);
    }
}

/// Call after a removal from a map. There are few such maps, so small ones do not shrink.
pub(crate) fn release_map<K: Eq + Hash, V>(map: &mut HashMap<K, V>) {
    if map.capacity() > KEPT && map.len() < map.capacity() / 4 {
        map.shrink_to(map.len() * 2);
    }
}

/// Call after a removal from a slab. The entries of a slab cannot move, so memory is given back only when it is empty.
/// For the same reason the large parts of an entry belong in a box.
pub(crate) fn release_slab<T>(slab: &mut Slab<T>) {
    if slab.is_empty() && slab.capacity() > KEPT {
        *slab = Slab::new();
    }
}

/// The capacity up to which a map or slab does not shrink.
const KEPT: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_map_is_large_while_it_is_full_and_small_again_when_it_is_empty() {
        let mut map: HashMap<_, _> = (0..100_000).map(|number| (number, ())).collect();
        assert!(map.capacity() >= 100_000);
        for number in 0..100_000 {
            map.remove(&number);
            release_map(&mut map);
        }
        assert!(map.capacity() <= 2 * KEPT, "{}", map.capacity());
    }
}
