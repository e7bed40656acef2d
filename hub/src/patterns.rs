//! The patterns in use, as a trie of their tokens.

use crate::roster::index;
use crate::sparse::release_map;
use hubcast_protocol::{Pattern, Token, Topic};
use slab::Slab;
use std::collections::HashMap;

/// Finds the rosters of all patterns that match a topic. What it costs depends on the topic's tokens and on the
/// nodes that they reach, not on how many patterns there are.
#[derive(Debug)]
pub(crate) struct Patterns {
    /// Boxed, because a slab stays as large as it ever was.
    nodes: Slab<Box<Node>>,
}

#[derive(Debug, Default)]
struct Node {
    parent: u32,
    /// The literal that leads here; wildcards have none.
    token: Box<str>,
    literals: HashMap<Box<str>, u32>,
    one: Option<u32>,
    rest: Option<u32>,
    /// Who subscribed to the pattern that ends here.
    roster: Option<u32>,
}

const ROOT: u32 = 0;

impl Patterns {
    pub(crate) fn new() -> Self {
        let mut nodes = Slab::new();
        nodes.insert(Box::default());
        Self { nodes }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.nodes.len() == 1
    }

    /// The roster of exactly this pattern.
    pub(crate) fn find(&self, pattern: &Pattern) -> Option<u32> {
        let mut at = &self.nodes[ROOT as usize];
        for token in pattern.tokens() {
            at = &self.nodes[at.child(token)? as usize];
        }
        at.roster
    }

    /// Makes the node of a pattern; `open` makes its roster, given the node, unless it has one.
    pub(crate) fn insert(&mut self, pattern: &Pattern, open: impl FnOnce(u32) -> u32) -> u32 {
        let mut at = ROOT;
        for token in pattern.tokens() {
            at = match self.nodes[at as usize].child(token) {
                Some(child) => child,
                None => self.grow(at, token),
            };
        }
        *self.nodes[at as usize].roster.get_or_insert_with(|| open(at))
    }

    /// Forgets the roster of a node, and every node that only led there.
    pub(crate) fn remove(&mut self, mut at: u32) {
        self.nodes[at as usize].roster = None;
        while at != ROOT && self.nodes[at as usize].is_bare() {
            let node = self.nodes.remove(at as usize);
            self.nodes[node.parent as usize].cut(at, &node.token);
            at = node.parent;
        }
        if self.is_empty() {
            *self = Self::new();
        }
    }

    /// Pushes the rosters of all patterns that match a public topic.
    pub(crate) fn matching(&self, topic: &Topic, rosters: &mut Vec<u32>) {
        let mut reached = vec![ROOT];
        let mut next = Vec::new();
        for token in topic.as_str().split('.') {
            for node in reached.drain(..).map(|at| &self.nodes[at as usize]) {
                rosters.extend(node.rest.and_then(|rest| self.nodes[rest as usize].roster));
                next.extend(node.one);
                next.extend(node.literals.get(token));
            }
            std::mem::swap(&mut reached, &mut next);
            if reached.is_empty() {
                return;
            }
        }
        rosters.extend(reached.into_iter().filter_map(|at| self.nodes[at as usize].roster));
    }

    /// Whether some pattern matches a topic; a private one is matched by none.
    pub(crate) fn is_any_matching(&self, topic: &Topic) -> bool {
        if self.is_empty() || topic.owner().is_some() {
            return false;
        }
        let mut rosters = Vec::new();
        self.matching(topic, &mut rosters);
        !rosters.is_empty()
    }

    fn grow(&mut self, parent: u32, token: Token<'_>) -> u32 {
        let text = if let Token::Literal(text) = token { text } else { "" };
        let child = index(self.nodes.insert(Box::new(Node { parent, token: text.into(), ..Node::default() })));
        let node = &mut self.nodes[parent as usize];
        match token {
            Token::Literal(text) => _ = node.literals.insert(text.into(), child),
            Token::One => node.one = Some(child),
            Token::Rest => node.rest = Some(child),
        }
        child
    }
}

impl Node {
    fn child(&self, token: Token<'_>) -> Option<u32> {
        match token {
            Token::Literal(text) => self.literals.get(text).copied(),
            Token::One => self.one,
            Token::Rest => self.rest,
        }
    }

    fn is_bare(&self) -> bool {
        self.roster.is_none() && self.literals.is_empty() && self.one.is_none() && self.rest.is_none()
    }

    fn cut(&mut self, child: u32, token: &str) {
        if self.one == Some(child) {
            self.one = None;
        } else if self.rest == Some(child) {
            self.rest = None;
        } else {
            self.literals.remove(token);
            release_map(&mut self.literals);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::{collection::vec, prelude::*, sample::select};
    use std::collections::BTreeMap;

    /// Patterns and topics of up to four tokens, few enough to share beginnings all the time.
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
        ) {
            let mut trie = Patterns::new();
            let mut present = BTreeMap::new();
            for (roster, (text, add)) in (0..).zip(steps) {
                let pattern: Pattern = text.parse().unwrap();
                if add {
                    let ours = *present.entry(pattern.clone()).or_insert(roster);
                    prop_assert_eq!(trie.insert(&pattern, |_| roster), ours);
                } else if present.remove(&pattern).is_some() {
                    trie.remove(end_of(&trie, &pattern));
                }
                prop_assert_eq!(trie.find(&pattern), present.get(&pattern).copied());
                for topic in topics.iter().map(|topic| Topic::from(topic.as_str())) {
                    let mut found = Vec::new();
                    trie.matching(&topic, &mut found);
                    found.sort_unstable();
                    let matching = present.iter().filter(|(pattern, _)| pattern.matches(&topic));
                    let mut expected: Vec<_> = matching.map(|(_, roster)| *roster).collect();
                    expected.sort_unstable();
                    prop_assert_eq!(found, expected, "for {:?} of {:?}", topic, present);
                }
            }
            for pattern in present.keys() {
                trie.remove(end_of(&trie, pattern));
            }
            prop_assert!(trie.is_empty(), "{:?}", trie);
        }
    }

    /// The node of a pattern that is in the trie.
    fn end_of(trie: &Patterns, pattern: &Pattern) -> u32 {
        pattern.tokens().fold(ROOT, |at, token| trie.nodes[at as usize].child(token).unwrap())
    }
}
