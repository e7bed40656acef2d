//! When a quiet connection is pinged, and what does not count against whom.

use crate::stage::Stage;
use hubcast_server::{Config, Timeouts};
use hubcast_tests::{Frame, Heard};
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

/// How exact deadlines are, and a little more.
const TICK: Duration = Duration::from_millis(60);

fn with(timeouts: Timeouts) -> Stage {
    Stage::new(1, Config { workers: Some(1), timeouts, ..Config::default() })
}

/// Checks that a client is pinged for the nth time after so long, and not before.
#[track_caller]
fn check_ping(stage: &mut Stage, client: usize, nth: usize, after: Duration) {
    let pings = |stage: &mut Stage| stage.heard(client).iter().filter(|heard| matches!(heard, Heard::Ping(_))).count();
    stage.pass(after - TICK);
    assert_eq!(pings(stage), nth - 1, "pings before their time");
    stage.pass(2 * TICK);
    assert_eq!(pings(stage), nth, "pings in their time");
    assert_eq!(stage.closed_with(client), None);
}

#[test]
fn the_next_ping_comes_as_long_after_the_last_sign_of_life_as_the_first_one() {
    for pong in [5, 20, 60, 600] {
        let mut stage = with(Timeouts { ping: SECOND * 20, pong: SECOND * pong, ..Timeouts::default() });
        let client = stage.connect(0, usize::MAX);
        check_ping(&mut stage, client, 1, SECOND * 20);
        stage.pass(SECOND * 3);
        stage.send(client, &Frame::pong(""));
        check_ping(&mut stage, client, 2, SECOND * 20);
        stage.send(client, &Frame::pong(""));
        stage.pass(SECOND * 19);
        // Any complete frame counts.
        stage.say(client, r#"{"action":"ping"}"#);
        check_ping(&mut stage, client, 3, SECOND * 20);
        stage.pass(SECOND * pong - 3 * TICK);
        assert_eq!(stage.closed_with(client), None, "it may still answer");
        stage.pass(4 * TICK);
        assert_eq!(stage.closed_with(client), Some(4000));
    }
}
