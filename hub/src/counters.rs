//! What the hub has done since it was made, as numbers for an operator.

use hubcast_protocol::{Action, ErrorCode, RejectedRequest, Request};
use std::ops::{Index, IndexMut};

/// What the hub has done since it was made, and what there is now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Sessions that are connected now.
    pub sessions: u64,
    /// Topics and patterns that have subscribers now, and topics with watchers of their presence.
    pub channels: u64,
    /// Topics that have subscribers by their names now.
    pub topics: u64,
    /// Subscriptions to topics now.
    pub topic_subscriptions: u64,
    /// Subscriptions to patterns now.
    pub pattern_subscriptions: u64,
    /// Members of all topics with presence now, each as often as it is a member.
    pub presence_members: u64,
    /// Histories that exist now.
    pub histories: u64,
    /// Bytes of all histories now.
    pub history_bytes: u64,
    /// Requests so far.
    pub requests: PerKind<RequestKind, 9>,
    /// Requests that were refused so far.
    pub refusals: PerKind<ErrorCode, 18>,
    /// Publications so far, without repetitions.
    pub publications: PerKind<Source, 2>,
    /// Bytes of the payloads of these.
    pub publication_bytes: PerKind<Source, 2>,
    /// Publications so far that were repetitions.
    pub duplicates: PerKind<Source, 2>,
    /// Publications handed to connections so far, each as often as it was handed over.
    pub deliveries: u64,
    /// Publications so far by the number of their receivers: how many had at most as many as [`RECEIVER_BOUNDS`] says,
    /// and more than the bound before; and how many had more than the last.
    pub receivers: [u64; RECEIVER_BOUNDS.len() + 1],
    /// Subscriptions so far that asked for what they had missed.
    pub resumes: PerKind<ResumeOutcome, 3>,
    /// Publications so far that subscriptions got from histories.
    pub replayed: u64,
    /// Publications that histories have dropped so far.
    pub evictions: PerKind<EvictionReason, 3>,
}

/// The numbers of receivers by which publications are counted.
pub const RECEIVER_BOUNDS: [u64; 6] = [1, 10, 100, 1_000, 10_000, 100_000];

/// One number for each kind of something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PerKind<K, const N: usize> {
    of: [u64; N],
    kind: std::marker::PhantomData<fn(K)>,
}

impl<K, const N: usize> PerKind<K, N> {
    /// The sum of all.
    pub fn sum(&self) -> u64 {
        self.of.iter().sum()
    }
}

impl<K, const N: usize> Default for PerKind<K, N> {
    fn default() -> Self {
        Self { of: [0; N], kind: std::marker::PhantomData }
    }
}

impl<K: Into<usize>, const N: usize> Index<K> for PerKind<K, N> {
    type Output = u64;

    fn index(&self, kind: K) -> &u64 {
        &self.of[kind.into()]
    }
}

impl<K: Into<usize>, const N: usize> IndexMut<K> for PerKind<K, N> {
    fn index_mut(&mut self, kind: K) -> &mut u64 {
        &mut self.of[kind.into()]
    }
}

/// Makes an enum of kinds that can be listed, named and counted.
macro_rules! kinds {
    ($(#[$doc:meta])* $name:ident { $($(#[$of:meta])* $kind:ident = $text:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $name {
            $($(#[$of])* $kind,)+
        }

        impl $name {
            /// All of them, in their order.
            pub const ALL: &[Self] = &[$(Self::$kind,)+];

            /// Its name, for metrics.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$kind => $text,)+
                }
            }
        }

        impl From<$name> for usize {
            fn from(kind: $name) -> Self {
                kind as usize
            }
        }
    };
}

kinds! {
    /// What a request asks for.
    RequestKind {
        /// To publish.
        Publish = "publish",
        /// To subscribe.
        Subscribe = "subscribe",
        /// To unsubscribe.
        Unsubscribe = "unsubscribe",
        /// For a pong.
        Ping = "ping",
        /// To be known by a secret.
        Identify = "identify",
        /// To be known by a token.
        Authenticate = "authenticate",
        /// For a part of a history.
        History = "history",
        /// For the members of a topic.
        Presence = "presence",
        /// It is no request that the server knows.
        Invalid = "invalid",
    }
}

kinds! {
    /// Where a publication comes from.
    Source {
        /// From a connected client.
        Client = "client",
        /// From a program of the operator, by HTTP.
        Http = "http",
    }
}

kinds! {
    /// What a subscription got that asked for what it had missed.
    ResumeOutcome {
        /// All of it.
        Complete = "complete",
        /// Not all of it.
        Gap = "gap",
        /// The history is another one than the subscription knew.
        NewEpoch = "new_epoch",
    }
}

kinds! {
    /// Why a history has dropped a publication.
    EvictionReason {
        /// It was older than the rule says.
        Age = "age",
        /// There were more than the rule says.
        Size = "size",
        /// All histories together were over their bound.
        Memory = "memory",
    }
}

impl RequestKind {
    /// The kind of a request.
    pub(crate) fn of(request: &Result<Request, RejectedRequest>) -> Self {
        match request.as_ref().map(|request| &request.action) {
            Ok(Action::Publish(_)) => Self::Publish,
            Ok(Action::Subscribe(_)) => Self::Subscribe,
            Ok(Action::Unsubscribe(_)) => Self::Unsubscribe,
            Ok(Action::Ping) => Self::Ping,
            Ok(Action::Identify(_)) => Self::Identify,
            Ok(Action::Authenticate(_)) => Self::Authenticate,
            Ok(Action::History(_)) => Self::History,
            Ok(Action::Presence(_)) => Self::Presence,
            Err(_) => Self::Invalid,
        }
    }
}

impl Counters {
    /// Counts a publication that went to so many receivers.
    pub(crate) fn count_publication(&mut self, source: Source, bytes: usize, receivers: u64) {
        self.publications[source] += 1;
        self.publication_bytes[source] += bytes as u64;
        self.deliveries += receivers;
        let bound = RECEIVER_BOUNDS.iter().position(|bound| receivers <= *bound);
        self.receivers[bound.unwrap_or(RECEIVER_BOUNDS.len())] += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_publication_is_counted_below_the_first_bound_that_holds_its_receivers() {
        let mut counters = Counters::default();
        for receivers in [0, 1, 2, 10, 11, 100_000, 100_001] {
            counters.count_publication(Source::Client, 10, receivers);
        }
        assert_eq!(counters.receivers, [2, 2, 1, 0, 0, 1, 1]);
        assert_eq!((counters.publications[Source::Client], counters.publications[Source::Http]), (7, 0));
        assert_eq!((counters.publication_bytes.sum(), counters.deliveries), (70, 200_025));
    }
}
