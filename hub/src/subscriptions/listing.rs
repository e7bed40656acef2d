//! A list of receivers that is made in parts.

use super::{OPEN_COST, Subscriptions};
use crate::Receiver;

/// A list of every member of some channels, each once, as in the first of its channels, without one session. Between
/// two parts, no session may join or leave a channel.
#[derive(Debug)]
pub(crate) struct Listing {
    channels: Vec<u32>,
    except: Option<u32>,
    /// The index of the next channel, and the index of the next of its members.
    next: (usize, usize),
    /// A bit for each session: whether it is listed.
    listed: Vec<u64>,
    receivers: Vec<Receiver>,
}

impl Listing {
    /// An empty list.
    pub(crate) fn new(channels: Vec<u32>, except: Option<u32>) -> Self {
        Self { channels, except, next: (0, 0), listed: Vec::new(), receivers: Vec::new() }
    }

    /// Continues until the list is complete, or until about `most` members are looked at. Returns how many it looked
    /// at.
    pub(crate) fn go_on(&mut self, all: &Subscriptions, most: usize) -> usize {
        let Self { channels, except, next: (channel, begin), listed, receivers } = self;
        listed.resize(all.sessions.capacity().div_ceil(BITS), 0);
        let mut looked_at = 0;
        while looked_at < most
            && let Some(members) = channels.get(*channel).map(|channel| &all.channels[*channel as usize].members)
        {
            let end = members.len().min(*begin + (most - looked_at));
            for member in &members[*begin..end] {
                let (word, bit) = (&mut listed[member.session as usize / BITS], 1 << (member.session as usize % BITS));
                if *word & bit == 0 && Some(member.session) != *except {
                    *word |= bit;
                    receivers.push(Receiver { session: member.id, slow: member.slow });
                }
            }
            looked_at += end - *begin;
            *begin = end;
            if end == members.len() {
                (*channel, *begin) = (*channel + 1, 0);
                looked_at += OPEN_COST;
            }
        }
        looked_at
    }

    /// Whether the list is complete.
    pub(crate) fn is_over(&self) -> bool {
        self.next.0 == self.channels.len()
    }

    /// The complete list.
    pub(crate) fn into_receivers(self) -> Vec<Receiver> {
        self.receivers
    }
}

/// Bits in a word of `listed`.
const BITS: usize = u64::BITS as usize;
