//! The patterns with subscribers, as a trie of their tokens.

mod needs;
mod walk;

pub(crate) use walk::Walk;

use crate::sparse::release_map;
use crate::subscriptions::index;
use hubcast_protocol::{Pattern, Token, Topic};
use needs::{Need, Needs};
use slab::Slab;
use std::collections::HashMap;
use std::str::Split;

/// Finds the channels of all patterns that match a topic. The cost depends on the topic's tokens and on the nodes that
/// they reach, not on the number of patterns. A node is skipped if every pattern below it has too many tokens for the
/// topic, or too few.
#[derive(Debug)]
pub(crate) struct Patterns {
    /// Boxed, because a slab shrinks only when it is empty: its unused entries should be small.
    nodes: Slab<Box<Node>>,
    version: u64,
}

#[derive(Debug, Default)]
struct Node {
    parent: u32,
    /// The literal token of this node; empty for a wildcard.
    token: Box<str>,
    literals: HashMap<Box<str>, u32>,
    one: Option<u32>,
    rest: Option<u32>,
    /// The channel of the pattern that ends here.
    channel: Option<u32>,
    /// The numbers of tokens that the patterns ending here or below still need.
    needs: Needs,
}

const ROOT: u32 = 0;

impl Patterns {
    pub(crate) fn new() -> Self {
        let mut nodes = Slab::new();
        nodes.insert(Box::default());
        Self { nodes, version: 0 }
    }

    /// A number that changes whenever a topic may match other patterns, or other channels, than before.
    pub(crate) fn version(&self) -> u64 {
        self.version
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.nodes.len() == 1
    }

    /// The channel of exactly this pattern.
    pub(crate) fn find(&self, pattern: &Pattern) -> Option<u32> {
        let mut at = &self.nodes[ROOT as usize];
        for token in pattern.tokens() {
            at = &self.nodes[at.child(token)? as usize];
        }
        at.channel
    }

    /// Adds a pattern and returns its channel. If the pattern has none, `open` makes it, given the node of the pattern.
    pub(crate) fn insert(&mut self, pattern: &Pattern, open: impl FnOnce(u32) -> u32) -> u32 {
        let mut at = ROOT;
        for token in pattern.tokens() {
            at = match self.nodes[at as usize].child(token) {
                Some(child) => child,
                None => self.grow(at, token),
            };
        }
        if let Some(channel) = self.nodes[at as usize].channel {
            return channel;
        }
        let channel = open(at);
        self.nodes[at as usize].channel = Some(channel);
        self.note(at, Needs::add);
        self.version += 1;
        channel
    }

    /// The pattern that ends at a node.
    pub(crate) fn pattern(&self, node: u32) -> Pattern {
        let (mut tokens, mut at) = (Vec::new(), node);
        while at != ROOT {
            let node = &self.nodes[at as usize];
            let parent = &self.nodes[node.parent as usize];
            tokens.push(match &*node.token {
                "" if parent.one == Some(at) => "*",
                "" => ">",
                literal => literal,
            });
            at = node.parent;
        }
        tokens.reverse();
        tokens.join(".").parse().expect("a node was made from a pattern")
    }

    /// Removes the channel of a node, and every node that only led to it.
    pub(crate) fn remove(&mut self, mut at: u32) {
        self.nodes[at as usize].channel = None;
        self.note(at, Needs::remove);
        self.version += 1;
        while at != ROOT && self.nodes[at as usize].is_bare() {
            let node = self.nodes.remove(at as usize);
            self.nodes[node.parent as usize].cut(at, &node.token);
            at = node.parent;
        }
        if self.is_empty() {
            *self = Self { version: self.version, ..Self::new() };
        }
    }

    /// Whether any pattern matches a topic. No pattern matches a private topic. Adds the nodes that it looks at to
    /// `looked_at`.
    pub(crate) fn is_any_matching(&self, topic: &Topic, looked_at: &mut usize) -> bool {
        topic.owner().is_none() && self.is_any_below(ROOT, topic.as_str().split('.'), tokens(topic), looked_at)
    }

    /// Whether any pattern at a node or below it matches the rest of a topic, which has `left` tokens. The search goes
    /// depth first and stops at the first match.
    fn is_any_below(&self, at: u32, mut rest: Split<'_, char>, left: usize, looked_at: &mut usize) -> bool {
        *looked_at += 1;
        let node = &self.nodes[at as usize];
        if !node.needs.can_match(left) {
            return false;
        }
        let Some(token) = rest.next() else { return true };
        let children = node.literals.get(token).copied().into_iter().chain(node.one);
        node.rest.is_some()
            || children.into_iter().any(|child| self.is_any_below(child, rest.clone(), left - 1, looked_at))
    }

    /// Calls `note` with what a pattern still needs, for every node from the pattern's end to the root.
    fn note(&mut self, end: u32, note: impl Fn(&mut Needs, Need)) {
        let ends_in_rest = self.nodes[self.nodes[end as usize].parent as usize].rest == Some(end);
        let (mut at, mut tokens) = (end, 0);
        loop {
            let node = &mut self.nodes[at as usize];
            note(&mut node.needs, if ends_in_rest { Need::AtLeast(tokens) } else { Need::Exactly(tokens) });
            if at == ROOT {
                return;
            }
            (at, tokens) = (node.parent, tokens + 1);
        }
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
        self.channel.is_none() && self.literals.is_empty() && self.one.is_none() && self.rest.is_none()
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

/// The number of tokens of a topic.
fn tokens(topic: &Topic) -> usize {
    1 + topic.as_str().bytes().filter(|byte| *byte == b'.').count()
}

#[cfg(test)]
mod tests;
