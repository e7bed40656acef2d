//! What coming, speaking and going cost among one other topic and among a million: the same, but for what the
//! processor's caches no longer hold.

use crate::crowd::{Crowd, publish, subscribe, unsubscribe};
use criterion::{Bencher, BenchmarkId, Criterion};
use hubcast_hub::{Input, SessionId};
use hubcast_protocol::Topic;
use std::time::{Duration, Instant};

/// Subscribe, publish, unsubscribe and disconnect among other topics.
pub(crate) fn among_other_topics(criterion: &mut Criterion) {
    for others in [1, 1_000_000] {
        let mut crowd = Crowd::keeping_nothing();
        let mut session = crowd.connect();
        for number in 0..others {
            if number % 1000 == 999 {
                session = crowd.connect();
            }
            crowd.tell(subscribe(session, Topic::new(format!("other.{number}"))));
        }
        let mut bench = |what: &str, batch: fn(&[Guest]) -> Batch| {
            let mut group = criterion.benchmark_group(format!("{what} among other topics"));
            group.bench_function(BenchmarkId::from_parameter(others), |bencher| measure(bencher, &mut crowd, batch));
        };
        bench("subscribe", |guests| Batch {
            before: Vec::new(),
            timed: guests.iter().map(Guest::subscribes).collect(),
        });
        bench("publish", |guests| Batch {
            before: guests.iter().map(Guest::subscribes).collect(),
            timed: guests.iter().map(|guest| publish(guest.session, guest.topic.clone())).collect(),
        });
        bench("unsubscribe", |guests| Batch {
            before: guests.iter().map(Guest::subscribes).collect(),
            timed: guests.iter().map(|guest| unsubscribe(guest.session, guest.topic.clone())).collect(),
        });
        bench("disconnect", |guests| Batch {
            before: guests.iter().map(Guest::subscribes).collect(),
            timed: guests.iter().map(Guest::leaves).collect(),
        });
    }
}

/// A session that comes for one topic of its own.
struct Guest {
    session: SessionId,
    topic: Topic,
}

impl Guest {
    fn subscribes(&self) -> Input {
        subscribe(self.session, self.topic.clone())
    }

    fn leaves(&self) -> Input {
        Input::Closed { session: self.session, lost: false }
    }
}

/// What guests do, one input for each; before it is measured, and while it is.
struct Batch {
    before: Vec<Input>,
    timed: Vec<Input>,
}

/// So few that the crowd stays as large as it is, so many that the clock costs nothing.
const GUESTS: u64 = 64;

/// Times what guests do. Each comes for the time of one batch, with a topic that nobody had before.
fn measure(bencher: &mut Bencher<'_>, crowd: &mut Crowd, batch: fn(&[Guest]) -> Batch) {
    bencher.iter_custom(|iterations| {
        let mut spent = Duration::ZERO;
        let mut left = iterations;
        while left > 0 {
            let count = left.min(GUESTS);
            let guests: Vec<_> = (0..count).map(|_| guest(crowd)).collect();
            let Batch { before, timed } = batch(&guests);
            before.into_iter().for_each(|input| crowd.tell(input));
            let start = Instant::now();
            timed.into_iter().for_each(|input| crowd.tell(input));
            spent += start.elapsed();
            guests.iter().for_each(|guest| crowd.tell(guest.leaves()));
            left -= count;
        }
        spent
    });
}

fn guest(crowd: &mut Crowd) -> Guest {
    let session = crowd.connect();
    Guest { session, topic: Topic::new(format!("guest.{}", session.0)) }
}
