//! Which worker wakes up when the hub has something to do by itself.

use crate::stage::Stage;
use hubcast_server::{Config, Timeouts};
use std::time::Duration;

#[test]
fn for_what_is_due_one_worker_wakes_up_and_the_others_sleep() {
    // No client is pinged during the test.
    let timeouts = Timeouts { ping: Duration::from_secs(3600), ..Timeouts::default() };
    let mut stage = Stage::new(WORKERS, Config { timeouts, ..Config::default() });
    let clients: Vec<usize> = (0..WORKERS).map(|worker| stage.connect(worker, usize::MAX)).collect();
    for number in 0..40 {
        let client = clients[number % WORKERS];
        // Each topic leaves a history behind that expires after some minutes.
        for action in ["subscribe", "unsubscribe"] {
            stage.say(client, &format!(r#"{{"action":"{action}","topic":"{number}"}}"#));
        }
        stage.pass(Duration::from_secs(1));
    }
    assert_eq!(stage.server.histories(), 40);
    let before = stage.turns();
    stage.pass(Duration::from_secs(300));
    assert_eq!(stage.server.histories(), 0);
    let turns: Vec<u64> = stage.turns().iter().zip(&before).map(|(after, before)| after - before).collect();
    assert!((1..=80).contains(&turns[0]), "each history is looked at twice at most: {turns:?}");
    assert_eq!(turns[1..], [0; WORKERS - 1], "turns with nothing to do");
}

const WORKERS: usize = 4;
