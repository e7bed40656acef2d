//! The cost of finding the policy of a topic: a session leaves a thousand topics at once, under one rule and under a
//! hundred.

use crate::crowd::{Crowd, subscribe};
use criterion::{BenchmarkId, Criterion};
use hubcast_hub::{Input, TopicPolicy, TopicRule};
use hubcast_protocol::Topic;
use std::time::{Duration, Instant};

/// A session with a thousand subscriptions disconnects. Only the last rule matches its topics.
pub(crate) fn leave_under_rules(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("leave a thousand rooms under rules");
    for rules in [1, 100] {
        let policy = TopicPolicy { history: None, ..TopicPolicy::default() };
        let patterns = (1..rules).map(|number| format!("area.{number}.*")).chain(["lobby.>".into()]);
        let list = patterns.map(|text| TopicRule { pattern: text.parse().expect("a pattern"), policy: policy.clone() });
        let mut crowd = Crowd::under(list.collect());
        group.bench_function(BenchmarkId::from_parameter(rules), |bencher| {
            bencher.iter_custom(|iterations| (0..iterations).map(|_| leave(&mut crowd)).sum());
        });
    }
}

/// Subscribes a session to a thousand topics, and times its disconnect.
fn leave(crowd: &mut Crowd) -> Duration {
    let session = crowd.connect();
    (0..1000).for_each(|number| crowd.tell(subscribe(session, Topic::new(format!("lobby.{number}")))));
    let start = Instant::now();
    crowd.tell(Input::Closed { session, lost: false });
    start.elapsed()
}
