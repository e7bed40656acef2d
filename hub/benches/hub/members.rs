//! The cost of joining and leaving a topic with presence, among ten members and among ten thousand. It should be the
//! same while no member asks for joins and leaves; and the cost of sending those to all members.

use crate::crowd::{Crowd, subscribe, unsubscribe, watch};
use criterion::{BenchmarkId, Criterion};
use hubcast_hub::{PresencePolicy, TopicPolicy};
use hubcast_protocol::Topic;
use std::time::Duration;

/// One session joins and leaves, and no other session is sent that.
pub(crate) fn come_and_go(criterion: &mut Criterion) {
    measure(criterion, "join and leave among members", false);
}

/// One session joins and leaves, and all members are sent that.
pub(crate) fn come_and_go_watched(criterion: &mut Criterion) {
    measure(criterion, "join and leave among watchers", true);
}

/// Measures a join and a leave. `watched`: whether the other members ask for joins and leaves.
fn measure(criterion: &mut Criterion, name: &str, watched: bool) {
    let mut group = criterion.benchmark_group(name);
    let presence = Some(PresencePolicy { events: true, grace: Duration::from_secs(5) });
    for members in [10, 10_000] {
        let mut crowd = Crowd::keeping(TopicPolicy { presence: presence.clone(), ..TopicPolicy::default() });
        for _ in 0..members {
            let session = crowd.connect();
            match watched {
                true => crowd.tell(watch(session, Topic::from("room"))),
                false => crowd.tell(subscribe(session, Topic::from("room"))),
            }
        }
        let guest = crowd.connect();
        let (join, leave) = (subscribe(guest, Topic::from("room")), unsubscribe(guest, Topic::from("room")));
        group.bench_function(BenchmarkId::from_parameter(members), |bencher| {
            bencher.iter(|| {
                crowd.tell(join.clone());
                crowd.tell(leave.clone());
            });
        });
    }
}
