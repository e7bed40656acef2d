//! The index of the rules: a trie of their patterns' tokens.

use super::{TopicPolicy, TopicRule, TopicRules, decide};
use hubcast_protocol::{Token, Topic};
use std::collections::HashMap;
use std::str::Split;
use std::time::Duration;

/// Gives the same answers as [`TopicRules::of`]. The cost depends on the topic's tokens and on the nodes that they
/// reach, not on the number of rules. This matters, because the hub asks several times for each request, and once for
/// each subscription of a session that ends.
#[derive(Debug)]
pub(crate) struct RuleIndex {
    rules: TopicRules,
    nodes: Vec<RuleNode>,
}

/// A node: all patterns that begin with the same tokens. A rule's number is its index in the list.
#[derive(Debug)]
struct RuleNode {
    literals: HashMap<Box<str>, usize>,
    one: Option<usize>,
    /// The first rule whose pattern ends here.
    ends: usize,
    /// The first rule whose pattern has `>` as its next token here.
    rest: usize,
    /// The first rule here or below. A search that has found an earlier one skips this node.
    first: usize,
}

impl RuleIndex {
    pub(crate) fn new(rules: TopicRules) -> Self {
        let mut nodes = vec![RuleNode::default()];
        for (number, rule) in rules.list.iter().enumerate() {
            insert(&mut nodes, number, rule.pattern.tokens());
        }
        Self { rules, nodes }
    }

    /// What this topic keeps.
    pub(crate) fn of(&self, topic: &Topic) -> &TopicPolicy {
        decide(topic, || self.rule_of(topic))
    }

    /// The first rule that matches a public topic.
    pub(crate) fn rule_of(&self, topic: &Topic) -> Option<&TopicRule> {
        let mut found = NO_RULE;
        self.search(ROOT, topic.as_str().split('.'), &mut found);
        self.rules.list.get(found)
    }

    /// All rules, in the order in which they are tried.
    pub(crate) fn rules(&self) -> &TopicRules {
        &self.rules
    }

    /// The longest time that any topic remembers a key.
    pub(crate) fn longest_key_window(&self) -> Duration {
        self.rules.longest_key_window()
    }

    /// Searches a node and those below it for the first rule that matches the rest of a topic, if it is before `found`.
    fn search(&self, at: usize, mut rest: Split<'_, char>, found: &mut usize) {
        let node = &self.nodes[at];
        if node.first >= *found {
            return;
        }
        let Some(token) = rest.next() else {
            *found = node.ends.min(*found);
            return;
        };
        *found = node.rest.min(*found);
        for child in node.literals.get(token).copied().into_iter().chain(node.one) {
            self.search(child, rest.clone(), found);
        }
    }
}

/// Adds a rule. Its number must be higher than those of all rules added before.
fn insert<'a>(nodes: &mut Vec<RuleNode>, number: usize, tokens: impl Iterator<Item = Token<'a>>) {
    let mut at = ROOT;
    for token in tokens {
        let next = nodes.len();
        let node = &mut nodes[at];
        node.first = node.first.min(number);
        at = match token {
            Token::Literal(text) => *node.literals.entry(text.into()).or_insert(next),
            Token::One => *node.one.get_or_insert(next),
            // `>` is always the last token.
            Token::Rest => return node.rest = node.rest.min(number),
        };
        if at == next {
            nodes.push(RuleNode::default());
        }
    }
    let node = &mut nodes[at];
    node.ends = node.ends.min(number);
    node.first = node.first.min(number);
}

impl Default for RuleNode {
    fn default() -> Self {
        Self { literals: HashMap::new(), one: None, ends: NO_RULE, rest: NO_RULE, first: NO_RULE }
    }
}

const ROOT: usize = 0;

/// Stands for no rule: higher than every rule's number.
const NO_RULE: usize = usize::MAX;

#[cfg(test)]
mod tests {
    use super::*;
    use hubcast_protocol::Pattern;
    use proptest::{collection::vec, prelude::*, sample::select};
    use std::time::Duration;

    /// Rules with different policies, so that a test can tell them apart.
    fn rules(patterns: impl IntoIterator<Item = Pattern>) -> TopicRules {
        let list = (1..).zip(patterns).map(|(number, matches)| {
            let policy = TopicPolicy { key_window: Duration::from_secs(1000 + number), ..TopicPolicy::default() };
            TopicRule { pattern: matches, policy }
        });
        TopicRules { list: list.collect() }
    }

    fn pattern() -> impl Strategy<Value = Pattern> {
        (vec(select(vec!["a", "b", "*"]), 0..4), any::<bool>())
            .prop_map(|(mut tokens, has_rest)| {
                tokens.extend(has_rest.then_some(">"));
                tokens.join(".")
            })
            .prop_filter_map("nothing is no pattern", |text| text.parse().ok())
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn the_first_rule_that_matches_decides(
            patterns in vec(pattern(), 0..12),
            topics in vec(vec(select(vec!["a", "b", "c", "", "@a"]), 0..6), 1..20),
        ) {
            let rules = rules(patterns);
            let index = RuleIndex::new(rules.clone());
            for topic in topics {
                let topic = Topic::new(topic.join("."));
                prop_assert_eq!(index.of(&topic), rules.of(&topic), "of {:?}", topic);
            }
        }
    }

    #[test]
    fn a_topic_costs_what_its_tokens_cost_however_many_rules_there_are() {
        let patterns = (0..1000).map(|number| format!("area.{number}.*")).chain(["area.7.x".into(), ">".into()]);
        let index = RuleIndex::new(rules(patterns.map(|text| text.parse().unwrap())));
        let root = &index.nodes[ROOT];
        assert_eq!((root.literals.len(), root.one, root.rest), (1, None, 1001));
        let area = &index.nodes[root.literals["area"]];
        assert_eq!((area.literals.len(), area.one, area.first), (1000, None, 0));
        assert_eq!(index.of(&Topic::from("area.7.x")), &index.rules.list[7].policy);
        assert_eq!(index.of(&Topic::from("area.7")), &index.rules.list[1001].policy);
    }
}
