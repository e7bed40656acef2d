//! The search for the patterns that match a topic.

use super::{Patterns, ROOT, tokens};
use hubcast_protocol::Topic;
use std::mem;

/// A search for the patterns that match one public topic. It may be done in parts, as long as the patterns stay the
/// same.
#[derive(Debug, Default)]
pub(crate) struct Walk {
    /// The number of the topic's tokens that led to the nodes reached.
    depth: usize,
    /// The nodes that are reached and not looked at yet. `next` has those that the next token reaches.
    channels_reached: Vec<u32>,
    next: Vec<u32>,
    channels: Vec<u32>,
}

impl Walk {
    /// Begins a new search, for another topic.
    pub(crate) fn restart(&mut self) {
        self.depth = 0;
        self.next.clear();
        self.channels.clear();
        self.channels_reached.clear();
        self.channels_reached.push(ROOT);
    }

    /// Removes what was found.
    pub(crate) fn clear(&mut self) {
        self.restart();
        self.channels_reached.clear();
    }

    /// Whether the search is finished.
    pub(crate) fn is_over(&self) -> bool {
        self.channels_reached.is_empty() && self.next.is_empty()
    }

    /// The channels of the patterns that match, as far as they are found.
    pub(crate) fn channels(&self) -> &[u32] {
        &self.channels
    }

    /// Continues until the search is finished, or until about `most` nodes are looked at. Returns how many it looked
    /// at.
    pub(crate) fn go_on(&mut self, patterns: &Patterns, topic: &Topic, most: usize) -> usize {
        let Self { depth, channels_reached, next, channels } = self;
        let count = tokens(topic);
        let mut looked_at = 0;
        for token in topic.as_str().split('.').skip(*depth) {
            let left = count - *depth;
            while let Some(at) = channels_reached.pop() {
                if looked_at >= most {
                    channels_reached.push(at);
                    return looked_at;
                }
                looked_at += 1;
                let node = &patterns.nodes[at as usize];
                if !node.needs.can_match(left) {
                    continue;
                }
                channels.extend(node.rest.and_then(|rest| patterns.nodes[rest as usize].channel));
                looked_at += usize::from(node.rest.is_some());
                next.extend(node.one.into_iter().chain(node.literals.get(token).copied()));
            }
            mem::swap(channels_reached, next);
            *depth += 1;
            if channels_reached.is_empty() {
                return looked_at;
            }
        }
        let ends = channels_reached.len().min(most.saturating_sub(looked_at));
        let ended = channels_reached.drain(channels_reached.len() - ends..);
        channels.extend(ended.filter_map(|at| patterns.nodes[at as usize].channel));
        looked_at + ends
    }
}
