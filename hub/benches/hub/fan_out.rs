//! The cost of one publication: by the number of its subscribers, and among patterns that do not match it.

use crate::crowd::{Crowd, publish, subscribe};
use criterion::{BenchmarkId, Criterion, Throughput};
use hubcast_hub::TopicPolicy;
use hubcast_protocol::{Pattern, Topic};

/// One publication to few and to many sessions, on a topic without a history and on one with a history.
pub(crate) fn subscribers(criterion: &mut Criterion) {
    let nothing = TopicPolicy { history: None, ..TopicPolicy::default() };
    for (kept, policy) in [("nothing", nothing), ("history", TopicPolicy::default())] {
        let mut group = criterion.benchmark_group(format!("publish to subscribers, keeping {kept}"));
        for subscribers in [1, 100, 1_000, 10_000] {
            let mut crowd = Crowd::keeping(policy.clone());
            for _ in 0..subscribers {
                let session = crowd.connect();
                crowd.tell(subscribe(session, Topic::from("world")));
            }
            let publication = publish(crowd.connect(), Topic::from("world"));
            group.throughput(Throughput::Elements(subscribers));
            group.bench_function(BenchmarkId::from_parameter(subscribers), |bencher| {
                bencher.iter(|| crowd.tell(publication.clone()));
            });
        }
    }
}

/// One publication to one session, among patterns that share tokens with its topic and do not match it.
pub(crate) fn unrelated_patterns(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("publish among unrelated patterns");
    for patterns in [0, 4, 10_000] {
        let mut crowd = Crowd::keeping_nothing();
        for number in 0..patterns / 4 {
            let session = crowd.connect();
            for pattern in ["stock.N.>", "orders.*.N", "*.N.created", "orders.eu.N.*"] {
                let pattern: Pattern = pattern.replace('N', &number.to_string()).parse().expect("a pattern");
                crowd.tell(subscribe(session, pattern));
            }
        }
        let session = crowd.connect();
        crowd.tell(subscribe(session, Topic::from("orders.eu.created")));
        let publication = publish(session, Topic::from("orders.eu.created"));
        group.bench_function(BenchmarkId::from_parameter(patterns), |bencher| {
            bencher.iter(|| crowd.tell(publication.clone()));
        });
    }
}

/// One publication to one session, among patterns that cost the most to search and do not match. Each token of a
/// pattern but the last is `*` or `a`, and the last is `z`. So a topic of `a` tokens alone reaches every node of the
/// trie. Measured are a topic with as many tokens as the patterns, and a topic with one token less.
pub(crate) fn wide_patterns(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("publish among wide patterns");
    let mut crowd = Crowd::keeping_nothing();
    for number in 0..WIDE {
        let session = crowd.connect();
        let tokens = (0..WIDE.trailing_zeros()).map(|bit| if number >> bit & 1 == 1 { "*." } else { "a." });
        let pattern: Pattern = format!("{}z", tokens.collect::<String>()).parse().expect("a pattern");
        crowd.tell(subscribe(session, pattern));
    }
    for (name, tokens) in [("as long as the topic", WIDE.trailing_zeros()), ("longer", WIDE.trailing_zeros() - 1)] {
        let topic = Topic::new(format!("{}a", "a.".repeat(tokens as usize)));
        let session = crowd.connect();
        crowd.tell(subscribe(session, topic.clone()));
        let publication = publish(session, topic);
        group.bench_function(name, |bencher| bencher.iter(|| crowd.tell(publication.clone())));
    }
}

/// The number of wide patterns: all combinations of `*` and `a` in as many tokens as this number has bits after the
/// first.
const WIDE: u32 = 1024;
