//! What a seed decides before anything happens: the numbers of clients and workers, what topics keep, and how often
//! something breaks.

use crate::random::Random;
use crate::wire::Pace;
use hubcast_client::machine::{Backoff, Config};
use hubcast_hub::{HistoryPolicy, Limits, PresencePolicy, Retention, TopicPolicy, TopicRule, TopicRules};
use hubcast_protocol::request::Identify;
use hubcast_protocol::{MemberSecret, Slow, Topic};
use hubcast_server::{Config as ServerConfig, Drain};
use std::time::Duration;

/// Whether a run has a few clients or hundreds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Size {
    Small,
    Large,
}

/// The decisions of a seed.
#[derive(Debug)]
pub(crate) struct Scenario {
    pub(crate) workers: usize,
    pub(crate) clients: usize,
    pub(crate) topics: Vec<Topic>,
    pub(crate) patterns: Vec<&'static str>,
    /// How long programs act and things break.
    pub(crate) span: Duration,
    /// The longest pause between two acts of one program, and between two faults, in milliseconds.
    pub(crate) act_within: u64,
    pub(crate) fault_within: u64,
    /// How many acts of a program come at once at most.
    pub(crate) burst: usize,
    /// Bytes that wait for one connection at most.
    pub(crate) outbox: usize,
    pub(crate) slow_readers: u64,
    /// If set, every history is long enough, no state is lost, and no subscription allows the server to leave something
    /// out. Then nothing may be missing, not even with a gap.
    pub(crate) is_lossless: bool,
    /// Whether servers have a state folder. A server that began with one keeps more than its rules say for a while.
    pub(crate) keeps_state: bool,
    pub(crate) rules: TopicRules,
    pub(crate) requests_per_second: Option<u32>,
}

impl Scenario {
    /// Makes all decisions.
    pub(crate) fn new(size: Size, random: &mut Random) -> Self {
        let is_lossless = random.chance(30);
        let is_fleeting = !is_lossless && random.chance(30);
        let names = match is_lossless {
            true => ["a.0", "a.1", "b.0", "b.1", "c.kept"].as_slice(),
            false => ["a.0", "a.1", "b.0", "b.1", "c.kept", "n.0"].as_slice(),
        };
        let count = 2 + random.below(names.len() - 1);
        let first = random.below(names.len());
        let topics = (first..first + count).map(|place| Topic::new(names[place % names.len()]));
        let (clients, act_within, fault_within) = match size {
            Size::Small => (2 + random.below(7), 4000, random.pick(&[1000, 4000, 20_000])),
            Size::Large => (150 + random.below(150), 30_000, random.pick(&[100, 400, 2000])),
        };
        Self {
            workers: 1 + random.below(3),
            clients,
            topics: topics.collect(),
            patterns: vec!["a.*", ">", "*.0"],
            span: random.millis(15_000, 45_000),
            act_within,
            fault_within,
            burst: random.pick(&[2, 30, 200]),
            outbox: random.pick(&[2000, 8000, 1 << 20]),
            slow_readers: random.pick(&[0, 20, 60]),
            is_lossless,
            keeps_state: is_lossless || random.chance(70),
            rules: rules(is_lossless, is_fleeting, random),
            requests_per_second: random.pick(&[None, None, None, Some(5), Some(20)]),
        }
    }

    /// The server's configuration.
    pub(crate) fn server(&self) -> ServerConfig {
        let drain = Drain { spread: DRAIN_SPREAD, ..ServerConfig::default().drain };
        let (workers, rules) = (Some(self.workers), self.rules.clone());
        let limits = Limits { requests_per_second: self.requests_per_second, ..Limits::default() };
        ServerConfig { workers, rules, limits, outbox: self.outbox, drain, ..ServerConfig::default() }
    }

    /// The configuration of one client's machine.
    pub(crate) fn client(&self, random: &mut Random) -> Config {
        let cap = random.pick(&[500, 15_000]);
        let secret = MemberSecret::from_random(random.next().into());
        let identity = random.chance(70).then(|| Identify { secret, info: Some("a name".into()) });
        Config {
            // No client gives up its first connection; the runs do not test that.
            connect_timeout: Duration::from_secs(3600),
            backoff: Backoff::new(Backoff::default().base, Duration::from_millis(cap)),
            topics_per_pattern: if self.is_lossless { 512 } else { random.pick(&[2, 512]) },
            identity,
            ..Config::default()
        }
    }

    /// The speed of a new connection.
    pub(crate) fn pace(&self, random: &mut Random) -> Pace {
        let latency = random.pick(&[1, 20, 300]);
        if random.chance(self.slow_readers) {
            let byte = Duration::from_micros(random.pick(&[200, 2000, 20_000]));
            return Pace { latency, byte, room: random.pick(&[200, 1000]) };
        }
        Pace { latency, ..HEALTHY }
    }

    /// The `slow` option of a new subscription.
    pub(crate) fn slow(&self, random: &mut Random) -> Slow {
        match self.is_lossless {
            true => Slow::Disconnect,
            false => random.pick(&[Slow::Disconnect, Slow::Disconnect, Slow::Drop, Slow::Latest]),
        }
    }
}

/// What the topics keep.
fn rules(is_lossless: bool, is_fleeting: bool, random: &mut Random) -> TopicRules {
    let presence = PresencePolicy { events: true, grace: random.millis(0, 5000) };
    let mut rule = |matches: &str, keep| {
        let ttls = if is_fleeting { [1, 5] } else { [60, 120] };
        let (size, ttl) = match is_lossless {
            true => (100_000, 3600),
            false => (random.pick(&[3, 20, 1000]), random.pick(&ttls)),
        };
        let history = Some(HistoryPolicy { size, ttl: Duration::from_secs(ttl), keep });
        let matches = matches.parse().expect("it is a pattern");
        TopicRule {
            pattern: matches,
            policy: TopicPolicy { history, presence: Some(presence.clone()), ..TopicPolicy::default() },
        }
    };
    let mut list = vec![rule("a.*", Retention::InUse), rule("b.*", Retention::InUse), rule("c.*", Retention::Always)];
    let nothing = TopicPolicy { history: None, ..TopicPolicy::default() };
    list.push(TopicRule { pattern: "n.*".parse().expect("it is a pattern"), policy: nothing });
    TopicRules { list }
}

/// The time over which a stopping server spreads the closing of its connections.
const DRAIN_SPREAD: Duration = Duration::from_secs(2);

/// A fast connection.
pub(crate) const HEALTHY: Pace = Pace { latency: 20, byte: Duration::ZERO, room: 64 * 1024 };
