//! What one publication costs: by its subscribers, and among patterns that do not match it.

use crate::crowd::{Crowd, publish, subscribe};
use criterion::{BenchmarkId, Criterion, Throughput};
use hubcast_hub::Keeps;
use hubcast_protocol::{Pattern, Topic};

/// One publication to few and to many sessions, on a topic that keeps nothing and on one that keeps a history.
pub(crate) fn subscribers(criterion: &mut Criterion) {
    let nothing = Keeps { history: None, ..Keeps::default() };
    for (kept, keeps) in [("nothing", nothing), ("history", Keeps::default())] {
        let mut group = criterion.benchmark_group(format!("publish to subscribers, keeping {kept}"));
        for subscribers in [1, 100, 1_000, 10_000] {
            let mut crowd = Crowd::keeping(keeps.clone());
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
