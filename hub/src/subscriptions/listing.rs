//! A list of receivers that is made in pieces.

use super::{OPENED, Subscriptions};
use crate::Receiver;

/// Every member of some channels once, as it is in the first that it is in, except one session. Between two pieces nobody
/// may join a channel or leave one.
#[derive(Debug)]
pub(crate) struct Listing {
    channels: Vec<u32>,
    except: Option<u32>,
    /// The channel that is next, and which of its members.
    next: (usize, usize),
    /// A bit for each session: whether it is listed.
    listed: Vec<u64>,
    receivers: Vec<Receiver>,
}

impl Listing {
    /// A list of nobody yet.
    pub(crate) fn new(channels: Vec<u32>, except: Option<u32>) -> Self {
        Self { channels, except, next: (0, 0), listed: Vec::new(), receivers: Vec::new() }
    }

    /// Goes on until it is over, or until it has looked at some `most` members; says how many these were.
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
                looked_at += OPENED;
            }
        }
        looked_at
    }

    /// Whether everybody is listed.
    pub(crate) fn is_over(&self) -> bool {
        self.next.0 == self.channels.len()
    }

    /// Everybody.
    pub(crate) fn into_receivers(self) -> Vec<Receiver> {
        self.receivers
    }
}

/// Bits of a word.
const BITS: usize = u64::BITS as usize;
