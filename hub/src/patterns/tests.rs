//! The trie of patterns, compared with a list of patterns.

use super::*;
use proptest::{collection::vec, prelude::*, sample::select};
use std::collections::BTreeMap;

/// A pattern or a topic of one to four tokens. There are few different tokens, so many texts begin with the same ones.
fn texts(tokens: &'static [&'static str], last: &'static [&'static str]) -> impl Strategy<Value = String> {
    (vec(select(tokens), 0..4), select(last)).prop_map(|(mut tokens, last)| {
        tokens.push(last);
        tokens.join(".")
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_trie_finds_what_pattern_matches_says_and_only_the_root_outlives_the_last_pattern(
        steps in vec((texts(&["a", "b", "*"], &["a", "*", ">"]), any::<bool>()), 1..40),
        topics in vec(texts(&["a", "b", ""], &["a", ""]), 1..8),
        part in 1..8_usize,
    ) {
        let mut trie = Patterns::new();
        let mut present = BTreeMap::new();
        for (channel, (text, add)) in (0..).zip(steps) {
            let pattern: Pattern = text.parse().unwrap();
            let (before, version) = (present.clone(), trie.version());
            if add {
                let ours = *present.entry(pattern.clone()).or_insert(channel);
                prop_assert_eq!(trie.insert(&pattern, |_| channel), ours);
            } else if present.remove(&pattern).is_some() {
                trie.remove(end_of(&trie, &pattern));
            }
            prop_assert_eq!(trie.find(&pattern), present.get(&pattern).copied());
            prop_assert_eq!(trie.version() != version, present != before);
            for pattern in present.keys() {
                prop_assert_eq!(needs_on_the_way(&trie, pattern), needs_by_list(&present, pattern));
            }
            for topic in topics.iter().map(|topic| Topic::from(topic.as_str())) {
                let (mut found, looked_at) = matching(&trie, &topic, part);
                prop_assert!((1..=trie.nodes.len()).contains(&looked_at));
                found.sort_unstable();
                let matching = present.iter().filter(|(pattern, _)| pattern.matches(&topic));
                let mut expected: Vec<_> = matching.map(|(_, channel)| *channel).collect();
                expected.sort_unstable();
                prop_assert_eq!(&found, &expected, "for {:?} of {:?}", topic, present);
                let mut looked_at_by_one = 0;
                prop_assert_eq!(trie.is_any_matching(&topic, &mut looked_at_by_one), !expected.is_empty());
                prop_assert!(looked_at_by_one <= looked_at);
            }
        }
        for pattern in present.keys() {
            trie.remove(end_of(&trie, pattern));
        }
        prop_assert!(trie.is_empty(), "{:?}", trie);
    }
}

#[test]
fn a_topic_with_other_than_the_patterns_number_of_tokens_is_turned_away_at_the_root_and_one_match_is_enough() {
    let mut trie = Patterns::new();
    let wide = |number: u32, last: &str| {
        let tokens = (0..8).map(|bit| if number >> bit & 1 == 1 { "*." } else { "a." });
        format!("{}{last}", tokens.collect::<String>()).parse::<Pattern>().unwrap()
    };
    (0..256).for_each(|number| _ = trie.insert(&wide(number, "z"), |_| number));
    let looks_at = |trie: &Patterns, topic: &str| {
        let (topic, mut by_one) = (Topic::from(topic), 0);
        let is_any = trie.is_any_matching(&topic, &mut by_one);
        (matching(trie, &topic, usize::MAX).1, is_any, by_one)
    };
    assert_eq!(looks_at(&trie, "a.a.a.a.a.a.a.a.a"), (511, false, 511));
    assert_eq!(looks_at(&trie, "a.a.a.a.a.a.a.a"), (1, false, 1));
    assert_eq!(looks_at(&trie, "a.a.a.a.a.a.a.a.a.z"), (1, false, 1));
    assert_eq!(looks_at(&trie, "a.a.a.a.a.a.a.a.z"), (511 + 256, true, 10));
    trie.insert(&wide(0, ">"), |_| 256);
    assert_eq!(looks_at(&trie, "a.a.a.a.a.a.a.a.a.a.z").0, 1 + 2 * 8 + 1, "only the way to the one with `>`");
}

/// The channels of the matching patterns, found by a walk in parts of `part` nodes, and the number of nodes that it
/// looked at.
fn matching(trie: &Patterns, topic: &Topic, part: usize) -> (Vec<u32>, usize) {
    let (mut walk, mut looked_at) = (Walk::default(), 0);
    walk.restart();
    while !walk.is_over() {
        let looked = walk.go_on(trie, topic, part);
        // A node with a pattern that ends in `>` counts as two nodes, so a part may exceed its bound by one.
        assert!((1..=part.saturating_add(1)).contains(&looked), "{looked} at once");
        looked_at += looked;
    }
    (walk.channels().to_vec(), looked_at)
}

/// For each node from the root to the end of a pattern: with how many further tokens, from 0 to 8, a topic may match.
fn needs_on_the_way(trie: &Patterns, pattern: &Pattern) -> Vec<Vec<usize>> {
    let tokens: Vec<_> = pattern.tokens().collect();
    let way = (0..=tokens.len())
        .map(|depth| tokens[..depth].iter().fold(ROOT, |at, token| trie.nodes[at as usize].child(*token).unwrap()));
    way.map(|at| (0..9).filter(|more| trie.nodes[at as usize].needs.can_match(*more)).collect()).collect()
}

/// The same numbers, computed from the list of all patterns.
fn needs_by_list(all: &BTreeMap<Pattern, u32>, pattern: &Pattern) -> Vec<Vec<usize>> {
    let tokens: Vec<_> = pattern.tokens().collect();
    let needs = (0..=tokens.len()).map(|depth| {
        let below = all.keys().map(|other| other.tokens().collect::<Vec<_>>());
        let below: Vec<_> = below.filter(|other| other.get(..depth) == Some(&tokens[..depth])).collect();
        let fits = |more: &usize| {
            below.iter().any(|other| match other.last() {
                Some(Token::Rest) => depth + more >= other.len(),
                _ => depth + more == other.len(),
            })
        };
        (0..9).filter(fits).collect()
    });
    needs.collect()
}

/// The node at which a pattern ends. The pattern must be in the trie.
fn end_of(trie: &Patterns, pattern: &Pattern) -> u32 {
    pattern.tokens().fold(ROOT, |at, token| trie.nodes[at as usize].child(token).unwrap())
}
