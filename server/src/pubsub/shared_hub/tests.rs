use super::super::mail::MailboxWait;
use super::*;
use crate::runtime::tasks::message;
use hubcast_hub::Settings;
use hubcast_protocol::{ClientId, typed};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread;

/// Two workers without threads.
struct Two {
    shared_hub: Arc<SharedHub>,
    outputs: [TurnOutput; 2],
    now: Instant,
}

impl Two {
    /// One connection on each worker; the second one subscribes to "t".
    fn new() -> Self {
        let shared_hub =
            SharedHub::new(Hub::new(Settings::with_seed(1)), vec![Arc::default(), Arc::default()], 1 << 20, counted(2));
        let mut two = Self { shared_hub, outputs: Default::default(), now: Instant::now() };
        two.turn(0, [Input::connect(session(0, PUBLISHER), ClientId::from_random([1; 16]))]);
        two.turn(1, [Input::connect(session(1, READER), ClientId::from_random([2; 16]))]);
        two.turn(1, [request(1, READER, r#"{"action":"subscribe","topic":"t"}"#)]);
        two
    }

    fn turn(&mut self, worker: usize, inputs: impl IntoIterator<Item = Input>) -> &TurnOutput {
        self.outputs[worker].clear();
        let mut schedule = scheduled(inputs);
        self.shared_hub.turn(worker, self.now, &mut schedule, &mut self.outputs[worker], false);
        &self.outputs[worker]
    }
}

/// A schedule with all inputs as inputs of one connection.
fn scheduled(inputs: impl IntoIterator<Item = Input>) -> Schedule {
    let mut schedule = Schedule::default();
    inputs.into_iter().for_each(|input| schedule.push(PUBLISHER, Item::Input(input)));
    schedule
}

fn counted(workers: usize) -> (Arc<Account>, Arc<Metrics>) {
    let account = Account::new(usize::MAX, (0..workers).map(|_| Arc::default()).collect());
    (account, Metrics::new(workers, 0))
}

fn request(worker: usize, slot: u32, text: &str) -> Input {
    Input::Request { session: session(worker, slot), request: typed::decode(text) }
}

fn publish() -> Input {
    let message = "x".repeat(60_000);
    request(0, PUBLISHER, &format!(r#"{{"action":"publish","topic":"t","message":"{message}"}}"#))
}

const PUBLISHER: u32 = 7;
const READER: u32 = 9;

#[test]
fn who_fills_a_mailbox_waits_until_it_is_taken_and_nothing_is_lost() {
    let mut two = Two::new();
    let mut published = 0;
    let blocked = loop {
        published += 1;
        let blocked = two.turn(0, [publish()]).blocked.clone();
        if !blocked.is_empty() {
            break blocked;
        }
    };
    assert_eq!(blocked, [MailboxWait { slot: PUBLISHER, mailbox: 1 }]);
    assert!((230..300).contains(&published), "{published} of 60 kB");
    assert!(two.turn(0, []).mail.is_empty(), "nobody has taken it");

    let heard = two.turn(1, []).mail.iter().map(|output| match output {
        RemoteOutput::Deliver { frames, .. } => frames.publications().len(),
        _ => 0,
    });
    assert_eq!(heard.sum::<usize>(), published);
    let mail = two.turn(0, []).mail.iter().map(|output| format!("{output:?}")).collect::<Vec<_>>();
    assert_eq!(mail, [format!("{:?}", RemoteOutput::Unblock(blocked[0]))]);
    assert!(two.turn(0, [publish()]).blocked.is_empty(), "there is room again");
}

#[test]
fn what_the_hub_leaves_due_is_done_in_turns_after_it_has_rested() {
    let mut two = Two::new();
    for number in 0..100 {
        for action in ["subscribe", "unsubscribe"] {
            let text = format!(r#"{{"action":"{action}","topic":"{number}"}}"#);
            two.turn(1, [request(1, READER, &text)]);
        }
    }
    two.now += Duration::from_secs(122);
    let rested = two.now + HUB_REST;
    assert_eq!(two.turn(0, []).next_timeout, Some(rested), "some of it is still due");
    assert_eq!(two.turn(1, []).next_timeout, None, "the first worker wakes up for it");
    two.now = rested;
    assert!(two.turn(1, []).next_timeout.is_some_and(|at| at > rested + HUB_REST), "nothing is due any more");
}

#[test]
fn what_is_due_is_done_in_whatever_turn_comes_and_another_worker_is_woken_for_one_that_ends() {
    let mut two = Two::new();
    for action in ["subscribe", "unsubscribe"] {
        two.turn(1, [request(1, READER, &format!(r#"{{"action":"{action}","topic":"old"}}"#))]);
    }
    let due = two.turn(1, []).next_timeout.expect("the second worker wakes up for the history that it has left");
    two.now = due;
    let next = two.turn(0, []).next_timeout;
    assert!(next.is_some_and(|at| at > due), "the first one has done it, and wakes up for what comes next");
    assert_eq!(two.turn(1, []).next_timeout, None);
    let woken = std::pin::pin!(two.shared_hub.wakes[1].notified()).enable();
    assert!(!woken, "nobody was woken for that");
    two.shared_hub.note_end(0);
    assert!(std::pin::pin!(two.shared_hub.wakes[1].notified()).enable());
    assert_eq!(two.turn(1, []).next_timeout, next);
}

#[test]
fn what_a_panic_has_left_half_changed_is_used_by_nobody() {
    let two = Two::new();
    let panic = thread::scope(|scope| {
        let holder = scope.spawn(|| {
            let _locked = two.shared_hub.lock();
            panic!("with the lock in hand");
        });
        holder.join().unwrap_err()
    });
    assert_eq!(message(&*panic).as_deref(), Some("with the lock in hand"));
    let turn = || two.shared_hub.turn(0, two.now, &mut scheduled([publish()]), &mut TurnOutput::default(), false);
    let panic = catch_unwind(AssertUnwindSafe(turn)).unwrap_err();
    assert_eq!(message(&*panic), None, "the fault is the other one's");
    assert!(two.shared_hub.save(two.now).is_none());
}

#[test]
fn with_one_worker_nobody_waits_for_mail() {
    let shared_hub = SharedHub::new(Hub::new(Settings::with_seed(1)), vec![Arc::default()], 1 << 20, counted(1));
    let (mut turn_output, now) = (TurnOutput::default(), Instant::now());
    let mut inputs = vec![
        Input::connect(session(0, PUBLISHER), ClientId::from_random([1; 16])),
        request(0, PUBLISHER, r#"{"action":"subscribe","topic":"t"}"#),
    ];
    inputs.extend((0..100).map(|_| publish()));
    shared_hub.turn(0, now, &mut scheduled(inputs), &mut turn_output, false);
    assert!(turn_output.blocked.is_empty());
}
