//! The cost of subscribing, publishing, unsubscribing and disconnecting, among one other topic and among a million. It
//! should be the same, apart from cache misses of the processor.

use crate::crowd::{Crowd, publish, subscribe, unsubscribe};
use criterion::{Bencher, BenchmarkId, Criterion};
use hubcast_hub::{Input, SessionId};
use hubcast_protocol::Topic;
use std::time::{Duration, Instant};

/// Subscribe, publish, unsubscribe and disconnect, each measured among other topics.
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

/// A session that connects for one topic of its own.
struct Guest {
    session: SessionId,
    topic: Topic,
}

impl Guest {
    /// The subscribe of the guest to its topic.
    fn subscribes(&self) -> Input {
        subscribe(self.session, self.topic.clone())
    }

    /// The end of the guest's connection.
    fn leaves(&self) -> Input {
        Input::Closed { session: self.session, lost: false }
    }
}

/// The inputs of one measurement, one for each guest: those before it, which are not timed, and the timed ones.
struct Batch {
    before: Vec<Input>,
    timed: Vec<Input>,
}

/// Guests in one measurement: few, so that the crowd keeps its size; many, so that reading the clock costs nothing in
/// comparison.
const GUESTS: u64 = 64;

/// Times the inputs of guests. Each guest is connected for one batch, with a topic that is new.
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

/// Connects a guest with a new topic.
fn guest(crowd: &mut Crowd) -> Guest {
    let session = crowd.connect();
    Guest { session, topic: Topic::new(format!("guest.{}", session.0)) }
}
