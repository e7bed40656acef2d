//! The patterns in use, as a trie of their tokens.

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

/// Finds the channels of all patterns that match a topic. What it costs depends on the topic's tokens and on the
/// nodes that they reach, not on how many patterns there are. Nodes are left out below which every pattern has too many
/// tokens for the topic, or too few.
#[derive(Debug)]
pub(crate) struct Patterns {
    /// Boxed, because a slab stays as large as it ever was.
    nodes: Slab<Box<Node>>,
    version: u64,
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
    channel: Option<u32>,
    /// What the patterns need that end here or below.
    needs: Needs,
}

const ROOT: u32 = 0;

impl Patterns {
    pub(crate) fn new() -> Self {
        let mut nodes = Slab::new();
        nodes.insert(Box::default());
        Self { nodes, version: 0 }
    }

    /// Another number whenever a topic may match other patterns, or other channels, than before.
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

    /// Makes the node of a pattern; `open` makes its channel, given the node, unless it has one.
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

    /// Forgets the channel of a node, and every node that only led there.
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

    /// Whether some pattern matches a topic; a private one is matched by none. Counts the nodes that it looks at.
    pub(crate) fn is_any_matching(&self, topic: &Topic, looked_at: &mut usize) -> bool {
        topic.owner().is_none() && self.is_any_below(ROOT, topic.as_str().split('.'), tokens(topic), looked_at)
    }

    /// Whether some pattern at a node or below it matches the rest of a topic, which is so many tokens. A way is followed
    /// to its end before the next one is tried, and the first that matches is enough.
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

    /// Has every node on the way to a pattern's end note what it needs below.
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

/// How many tokens a topic has.
fn tokens(topic: &Topic) -> usize {
    1 + topic.as_str().bytes().filter(|byte| *byte == b'.').count()
}

#[cfg(test)]
mod tests;
