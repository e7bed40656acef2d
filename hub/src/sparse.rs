//! Gives memory back when most of what it was for has gone.
//!
//! Half of what is left over stays, so that giving back costs each removal a constant at most.

use slab::Slab;
use std::collections::HashMap;
use std::hash::Hash;

/// After a removal from a list: it may be one of a million, so even little room is worth giving back.
pub(crate) fn release_list<T>(list: &mut Vec<T>) {
    if list.len() < list.capacity() / 4 {
        list.shrink_to(list.len() * 2);
    }
}

/// After a removal from a map of which there are few.
pub(crate) fn release_map<K: Eq + Hash, V>(map: &mut HashMap<K, V>) {
    if map.capacity() > KEPT && map.len() < map.capacity() / 4 {
        map.shrink_to(map.len() * 2);
    }
}

/// After a removal from a slab. Its entries cannot move, so only an empty one is given back, and what is large in an
/// entry belongs in a box.
pub(crate) fn release_slab<T>(slab: &mut Slab<T>) {
    if slab.is_empty() && slab.capacity() > KEPT {
        *slab = Slab::new();
    }
}

/// Places in a map or slab that are never given back.
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
