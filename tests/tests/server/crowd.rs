//! Many clients act at once, or one client acts on many; the server must serve the others meanwhile.

use hubcast_hub::{HistoryPolicy, Retention, TopicPolicy, TopicRule};
use hubcast_tests::{Frame, Server, Typed};
use serde_json::json;
use std::time::Duration;

/// Longer than any test.
const NEVER: Duration = Duration::from_secs(600);

/// Number of clients of a crowd that the server served before a resident client whose request came after theirs. The
/// server is kept busy while they send, so that it finds all requests at once.
fn served_before_a_resident(server: &Server, crowd: usize) -> u64 {
    let (mut busy, mut resident) = (server.typed(), server.typed());
    resident.subscribes("residents");
    busy.says(json!({"id": 1, "action": "subscribe", "topic": "past"}));
    busy.next_event();
    let mut newcomers: Vec<Typed> = (0..crowd).map(|_| server.typed()).collect();
    busy.says(json!({"id": 2, "action": "history", "topic": "past"}));
    let subscribe = Frame::text(json!({"id": 1, "action": "subscribe", "topic": "t"}).to_string()).bytes();
    newcomers.iter_mut().for_each(|newcomer| newcomer.socket.writes(&subscribe));
    let answer = resident.asks(json!({"id": 1, "action": "publish", "topic": "t"}));
    answer["receivers"].as_u64().expect("a publish is answered with the number of receivers")
}

#[test]
fn a_crowd_that_asks_at_once_is_served_a_few_at_a_time_and_others_in_between() {
    let server = Server::with(|config| {
        let history = HistoryPolicy { size: 100, ttl: NEVER, keep: Retention::Always };
        let policy = TopicPolicy { history: Some(history), ..TopicPolicy::default() };
        config.rules.list.insert(0, TopicRule { pattern: "past".parse().expect("a pattern"), policy });
    });
    let mut publisher = server.typed();
    let publish = json!({"id": 1, "action": "publish", "topic": "past", "message": "x".repeat(60_000)});
    (0..100).for_each(|_| _ = publisher.asks(&publish));
    // One attempt proves something only if the server stayed busy until the whole crowd had sent its requests.
    let mut served = (0..5).map(|_| served_before_a_resident(&server, 100));
    assert!(served.any(|served| served < 50), "the resident waited for the whole crowd");
}

#[test]
fn a_worker_that_others_keep_busy_reads_its_own_connections_too() {
    let server = Server::with(|config| {
        config.workers = Some(2);
        (config.outbox, config.max_waiting) = (1 << 30, 1 << 30);
        config.timeouts.write = NEVER;
    });
    // The first client of each pair is on the second worker.
    let mut pairs: Vec<[Typed; 2]> = (0..100).map(|_| [server.typed(), server.typed()]).collect();
    pairs.iter_mut().skip(1).for_each(|[hearer, _]| hearer.subscribes("t"));
    let [late, publisher] = &mut pairs[0];
    let publish = json!({"id": 1, "action": "publish", "topic": "t", "message": "x".repeat(16_000)});
    let publish = Frame::text(publish.to_string()).bytes();
    let mut reaches_the_others_alone = |_: &usize| {
        publisher.socket.writes(&publish);
        publisher.next_event()["receivers"] == 99
    };
    // Writing them takes the second worker longer than the first worker needs to hand it the next ones.
    assert!((0..20).all(|number| reaches_the_others_alone(&number)));
    late.says(json!({"id": 1, "action": "subscribe", "topic": "t"}));
    let published = (0..2000).take_while(reaches_the_others_alone).count();
    assert!(published < 100, "{published} publications went before a request that was there");
}
