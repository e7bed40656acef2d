//! Which connection waits: for its own requests, for slow receivers, or for another worker.

use crate::stage::Stage;
use hubcast_protocol::CloseCode;
use hubcast_server::{Config, Disconnect};
use std::time::Duration;

#[test]
fn who_floods_is_served_in_slices_and_not_read_while_something_of_it_waits() {
    let mut stage = Stage::new(1, Config::default());
    let listeners: Vec<usize> = (0..100).map(|_| stage.connect(0, usize::MAX)).collect();
    for &listener in &listeners {
        let target = if listener == listeners[0] { r#""topic":"t.0""# } else { r#""pattern":"t.*""# };
        stage.say(listener, &format!(r#"{{"action":"subscribe",{target}}}"#));
    }
    let flooders: Vec<usize> = (0..4).map(|_| stage.connect(0, usize::MAX)).collect();
    stage.settle();
    // The receivers alternate, so that the server cannot join publications into one batch.
    for number in 0..1000 {
        flooders.iter().for_each(|flooder| stage.publish(*flooder, &format!("t.{}", number % 2), 100));
    }
    let (mut turns, mut most) = (stage.server.turns(0), 0);
    let (first_turn, mut heard) = (turns, 0);
    while stage.server.poll(0) {
        let load = stage.server.load(0);
        most = most.max(load.unserved);
        if stage.server.turns(0) == turns {
            continue;
        }
        turns = stage.server.turns(0);
        // A turn may write for twenty milliseconds, at nine microseconds for each connection. Some publications may be
        // joined to that.
        let heard_now = stage.messages(listeners[1]);
        assert!(heard_now - heard <= 60, "{} publications to a hundred in one turn", heard_now - heard);
        heard = heard_now;
        let unread: Vec<usize> = flooders.iter().map(|flooder| stage.end(*flooder).unread()).collect();
        assert!(load.unserved == 0 || load.reading_stopped > 0, "{load:?}, {unread:?}");
        if load.reading_stopped == flooders.len() {
            // The worker reads nothing until the next turn, whichever tasks are polled.
            stage.take_turn(0);
            (turns, heard) = (stage.server.turns(0), stage.messages(listeners[1]));
            assert_eq!(unread, flooders.iter().map(|flooder| stage.end(*flooder).unread()).collect::<Vec<_>>());
        }
    }
    assert!((64 * 1024..2 * 1024 * 1024).contains(&most), "{most} bytes were read and not served");
    assert!(turns > first_turn + 50, "{} turns are too few to tell", turns - first_turn);
    assert!(flooders.iter().all(|flooder| stage.end(*flooder).unread() == 0));
}

#[test]
fn who_sends_more_than_another_worker_takes_is_not_read_until_that_has_taken_it() {
    let mut stage = Stage::new(2, Config::default());
    let reader = stage.listen(1, "t");
    let (publisher, bystander) = (stage.connect(0, usize::MAX), stage.connect(0, usize::MAX));
    stage.settle();
    let sent = 1000;
    (0..sent).for_each(|_| stage.publish(publisher, "t", 60_000));
    let all = stage.end(publisher).unread();

    stage.settle_worker(0);
    let read = all - stage.end(publisher).unread();
    assert!((14_500_000..17_500_000).contains(&read), "{read} bytes were read while the other worker stood still");
    assert_eq!(stage.server.load(0).reading_stopped, 1);
    stage.say(bystander, r#"{"id":1,"action":"ping"}"#);
    stage.settle_worker(0);
    assert_eq!(stage.events(bystander).len(), 2, "a welcome and a pong: another one is not in its way");

    stage.take_turn(1);
    assert_eq!(stage.end(publisher).unread(), all - read, "it does not know yet");
    stage.settle_worker(0);
    assert!(stage.end(publisher).unread() < all - read, "it goes on, and fills the mailbox again");
    assert_eq!(stage.server.load(0).reading_stopped, 1);
    stage.pass(Duration::from_secs(2));
    assert_eq!((stage.messages(reader), stage.end(publisher).unread()), (sent, 0));
    assert_eq!(stage.server.load(0).reading_stopped, 0);
}

#[test]
fn who_gets_the_number_of_one_that_waited_for_another_worker_does_not_wait_for_it() {
    let mut stage = Stage::new(2, Config::default());
    stage.listen(1, "t");
    let publisher = stage.connect(0, usize::MAX);
    (0..300).for_each(|_| stage.publish(publisher, "t", 60_000));
    stage.settle_worker(0);
    assert_eq!(stage.server.load(0).reading_stopped, 1, "worker 1 has not taken what it sent");
    let why = Disconnect { code: CloseCode::MOVED, reason: "moved".into(), reconnect_in_ms: None };
    stage.server.disconnect(0, stage.end(publisher).slot(), why);
    stage.end(publisher).reset();
    stage.settle_worker(0);
    check_next_owner(&mut stage, publisher);
}

#[test]
fn who_gets_the_number_of_one_whose_last_requests_filled_a_mailbox_does_not_wait_for_it() {
    let mut stage = Stage::new(2, Config { outbox: 500, ..Config::default() });
    for number in 0..200 {
        let reader = stage.connect(number % 2, usize::MAX);
        stage.say(reader, r#"{"action":"subscribe","pattern":"t.*"}"#);
    }
    let publisher = stage.connect(0, usize::MAX);
    stage.say(publisher, r#"{"action":"subscribe","topic":"t.0"}"#);
    stage.settle();
    stage.end(publisher).fill();
    // The receivers alternate, so that nothing can be joined: one turn serves a third of the publications.
    (0..30).for_each(|number| stage.publish(publisher, &format!("t.{}", number % 2), 100));
    stage.take_turn(0);
    let load = stage.server.load(0);
    assert!(
        load.reading_stopped == 0 && load.unserved > 0,
        "it is closed, with requests that are not served: {load:?}"
    );
    stage.end(publisher).reset();
    stage.settle_worker(0);
    check_next_owner(&mut stage, publisher);
}

/// Checks a new connection of worker 0 that gets the slot of the connection `gone`: its reading stops only until its
/// own requests are served.
fn check_next_owner(stage: &mut Stage, gone: usize) {
    let newcomer = stage.connect(0, usize::MAX);
    assert_eq!(stage.end(newcomer).slot(), stage.end(gone).slot());
    (0..10_000).for_each(|_| stage.say(newcomer, r#"{"id":1,"action":"ping"}"#));
    let mut was_stopped = false;
    while stage.server.poll(0) {
        was_stopped |= stage.server.load(0).reading_stopped > 0;
    }
    assert!(was_stopped, "it asks for more than a turn serves");
    assert_eq!((stage.end(newcomer).unread(), stage.server.load(0).reading_stopped), (0, 0));
}

#[test]
fn who_sends_to_a_reader_that_is_far_behind_is_paused_for_half_a_second_in_five_at_most() {
    let mut stage = Stage::new(1, Config::default());
    let reader = stage.listen(0, "t");
    let publisher = stage.connect(0, usize::MAX);
    stage.settle();
    // From here on the reader takes only as much as the test gives it room for.
    stage.end(reader).fill();
    (0..13).for_each(|_| stage.publish(publisher, "t", 60_000));
    stage.publish(publisher, "t", 10_000);
    stage.settle();
    assert_eq!(stage.end(publisher).unread(), 0, "until the reader is far behind nobody waits");

    let (pause, mut pauses, mut bytes) = (Duration::from_millis(10), 0, 16_000_000);
    (0..bytes / 60_000).for_each(|_| stage.publish(publisher, "t", 60_000));
    bytes = stage.end(publisher).unread();
    while stage.end(publisher).unread() > 0 {
        loop {
            // The reader takes as many bytes as arrive for it, so it stays equally far behind.
            let read = bytes - stage.end(publisher).unread();
            bytes -= read;
            if read > 0 {
                stage.end(reader).give_room(read);
            }
            if !stage.server.poll(0) {
                break;
            }
        }
        if stage.end(publisher).unread() > 0 {
            pauses += 1;
            stage.pass(pause);
        }
        assert_eq!(stage.closed_with(reader), None);
    }
    assert!((45..=60).contains(&pauses), "{pauses} pauses");
}
