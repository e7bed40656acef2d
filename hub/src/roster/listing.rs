//! A list of receivers that is made in pieces.

use super::{OPENED, Rosters};
use crate::Receiver;

/// Every member of some rosters once, as it is in the first that it is in, except one session. Between two pieces nobody
/// may join a roster or leave one.
#[derive(Debug)]
pub(crate) struct Listing {
    rosters: Vec<u32>,
    except: Option<u32>,
    /// The roster that is next, and which of its members.
    next: (usize, usize),
    /// A bit for each session: whether it is listed.
    listed: Vec<u64>,
    receivers: Vec<Receiver>,
}

impl Listing {
    /// A list of nobody yet.
    pub(crate) fn new(rosters: Vec<u32>, except: Option<u32>) -> Self {
        Self { rosters, except, next: (0, 0), listed: Vec::new(), receivers: Vec::new() }
    }

    /// Goes on until it is over, or until it has looked at some `most` members; says how many these were.
    pub(crate) fn go_on(&mut self, all: &Rosters, most: usize) -> usize {
        let Self { rosters, except, next: (roster, begin), listed, receivers } = self;
        listed.resize(all.sessions.capacity().div_ceil(BITS), 0);
        let mut looked_at = 0;
        while looked_at < most
            && let Some(members) = rosters.get(*roster).map(|roster| &all.rosters[*roster as usize].members)
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
                (*roster, *begin) = (*roster + 1, 0);
                looked_at += OPENED;
            }
        }
        looked_at
    }

    /// Whether everybody is listed.
    pub(crate) fn is_over(&self) -> bool {
        self.next.0 == self.rosters.len()
    }

    /// Everybody.
    pub(crate) fn into_receivers(self) -> Vec<Receiver> {
        self.receivers
    }
}

/// Bits of a word.
const BITS: usize = u64::BITS as usize;
