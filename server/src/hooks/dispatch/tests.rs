//! One hook and a receiver that is made up.

use super::super::hook::HookLimits;
use super::*;
use proptest::{collection::vec, prelude::*};
use serde_json::Value;

struct Scene {
    dispatch: Dispatch,
    now: Instant,
    counters: Arc<HookCounters>,
}

impl Scene {
    fn with(limits: HookLimits) -> Self {
        let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".parse().unwrap();
        let hook = Hook { limits, ..Hook::new("me", "http://127.0.0.1/".parse().unwrap(), secret) };
        let counters = Arc::<HookCounters>::default();
        let dispatch = Dispatch::new(Arc::new(hook), "run".into(), Arc::clone(&counters));
        Self { dispatch, now: Instant::now(), counters }
    }

    fn new() -> Self {
        Self::with(HookLimits::default())
    }

    fn push(&mut self, events: usize) {
        let body = HookEvent::new(EventKind::ServerStarted, 0).encode();
        (0..events).for_each(|_| _ = self.dispatch.push(self.now, &body));
    }

    fn next(&mut self) -> NextStep {
        self.dispatch.next(self.now, 7_000)
    }

    #[track_caller]
    fn sends(&mut self) -> HookMessage {
        match self.next() {
            NextStep::Send(message) => message,
            other => panic!("{other:?}"),
        }
    }

    fn finished(&mut self, outcome: SendOutcome) -> bool {
        self.dispatch.finished(self.now, outcome, Duration::from_millis(1), u64::MAX)
    }

    fn wait(&mut self, seconds: f64) {
        self.now += Duration::from_secs_f64(seconds);
    }
}

/// The numbers of a batch, and how many events it says are missing.
fn read(message: &HookMessage) -> (Vec<u64>, u64) {
    let body: Value = serde_json::from_slice(&message.body).unwrap();
    assert_eq!((&body["type"], &body["data"]["run"]), (&"hubcast.events".into(), &"run".into()));
    let events = body["data"]["events"].as_array().unwrap();
    (events.iter().map(|event| event["seq"].as_u64().unwrap()).collect(), body["data"]["dropped"].as_u64().unwrap())
}

const FAILED: SendOutcome = SendOutcome::Failed { retry_after: None };

#[test]
fn events_are_sent_together_after_a_while_or_when_they_fill_a_batch() {
    let mut scene = Scene::new();
    assert_eq!(scene.next(), NextStep::Wait);
    scene.push(2);
    assert_eq!(scene.next(), NextStep::WaitUntil(scene.now + Duration::from_millis(100)));
    scene.wait(0.1);
    assert_eq!(read(&scene.sends()), (vec![1, 2], 0));
    scene.push(150);
    assert_eq!(scene.next(), NextStep::Wait, "one request at a time");
    scene.finished(SendOutcome::Delivered);
    assert_eq!(read(&scene.sends()), ((3..103).collect(), 0), "full");
    scene.finished(SendOutcome::Delivered);
    assert!(matches!(scene.next(), NextStep::WaitUntil(_)));
    scene.dispatch.hurry(scene.now);
    assert_eq!(read(&scene.sends()), ((103..153).collect(), 0));
    scene.finished(SendOutcome::Delivered);
    assert!(scene.dispatch.is_idle());
    assert_eq!((scene.counters.delivered(), scene.counters.waiting()), (152, 0));
}

#[test]
fn a_batch_is_sent_again_with_the_same_bytes_and_the_same_id() {
    let mut scene = Scene::new();
    scene.push(100);
    let first = scene.sends();
    scene.push(100);
    for _ in 0..3 {
        scene.finished(FAILED);
        let NextStep::WaitUntil(until) = scene.next() else { panic!("it waits") };
        scene.now = until;
        let again = scene.sends();
        assert_eq!((&again.id, &again.body), (&first.id, &first.body));
    }
    scene.finished(SendOutcome::Delivered);
    let second = scene.sends();
    assert_ne!(second.id, first.id);
    assert_eq!(read(&second), ((101..201).collect(), 0));
}

#[test]
fn what_cannot_be_delivered_in_time_is_dropped_and_the_next_batch_says_so() {
    let mut scene = Scene::new();
    scene.push(250);
    scene.wait(200.0);
    scene.push(30);
    while read(&scene.sends()).0[0] == 1 {
        scene.finished(FAILED);
        let NextStep::WaitUntil(until) = scene.next() else { break };
        scene.now = until;
        if until > scene.now + Duration::from_secs(300) {
            break;
        }
    }
    scene.finished(SendOutcome::Delivered);
    assert_eq!(scene.counters.dropped(Dropped::Age), 250, "also those that waited behind");
    assert_eq!(scene.counters.delivered(), 30);
}

#[test]
fn a_receiver_that_is_gone_gets_nothing_more() {
    let mut scene = Scene::new();
    scene.push(150);
    let _ = scene.sends();
    assert!(scene.finished(SendOutcome::Gone));
    scene.push(10);
    scene.wait(1000.0);
    assert_eq!(scene.next(), NextStep::Wait);
    assert_eq!((scene.counters.dropped(Dropped::Gone), scene.counters.waiting()), (160, 0));
    assert!(scene.dispatch.is_idle());
}

#[test]
fn other_settings_ask_a_receiver_again_that_was_gone_and_what_it_missed_is_said() {
    let mut scene = Scene::new();
    scene.push(150);
    let _ = scene.sends();
    assert!(scene.finished(SendOutcome::Gone));
    scene.push(10);
    let hook = Arc::clone(scene.dispatch.hook());
    scene.dispatch.replace(hook, scene.now);
    scene.push(1);
    scene.wait(1.0);
    assert_eq!(read(&scene.sends()), (vec![161], 160));
}

#[test]
fn retry_after_is_obeyed_also_if_the_batch_is_too_old_then() {
    let mut scene = Scene::new();
    scene.push(100);
    let _ = scene.sends();
    scene.finished(SendOutcome::Failed { retry_after: Some(Duration::from_secs(400)) });
    scene.wait(399.9);
    assert!(matches!(scene.next(), NextStep::WaitUntil(_)));
    scene.push(1);
    scene.wait(0.2);
    assert_eq!(read(&scene.sends()), (vec![101], 100));
}

#[test]
fn before_the_end_a_batch_is_tried_once_more_unless_the_receiver_asked_for_another_time() {
    for (retry_after, is_tried) in [(None, true), (Some(Duration::from_secs(1)), false)] {
        let mut scene = Scene::new();
        scene.push(100);
        let first = scene.sends();
        scene.finished(SendOutcome::Failed { retry_after });
        scene.dispatch.hurry(scene.now);
        match scene.next() {
            NextStep::Send(again) => assert!(is_tried && again.id == first.id),
            NextStep::WaitUntil(_) => assert!(!is_tried),
            NextStep::Wait => panic!("a batch is left"),
        }
    }
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Push(usize),
    Skip(u64),
    Wait(u16),
    Answer(SendOutcome),
}

fn step() -> impl Strategy<Value = Step> {
    let retry_after = || proptest::option::of((0..400_u64).prop_map(Duration::from_secs));
    let outcome = prop_oneof![
        3 => Just(SendOutcome::Delivered),
        2 => retry_after().prop_map(|retry_after| SendOutcome::Failed { retry_after }),
        1 => retry_after().prop_map(|retry_after| SendOutcome::Overloaded { retry_after }),
    ];
    prop_oneof![
        1 => (0..150_usize).prop_map(Step::Push),
        1 => (0..3_u64).prop_map(Step::Skip),
        1 => (0..1000_u16).prop_map(Step::Wait),
        4 => outcome.prop_map(Step::Answer),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// The receiver counts what it confirms.
    #[test]
    fn the_numbers_and_what_is_dropped_add_up(steps in vec(step(), 0..120)) {
        let mut scene = Scene::with(HookLimits { events: 200, ..HookLimits::default() });
        let (mut pushed, mut confirmed, mut events) = (0, 0, 0);
        let mut under_way: Option<HookMessage> = None;
        let end = [Step::Wait(1000), Step::Push(1), Step::Wait(1000), Step::Answer(SendOutcome::Delivered)];
        let all = [end.repeat(10), vec![Step::Push(1)], end.repeat(3)].concat();
        for step in steps.into_iter().chain(all) {
            match step {
                Step::Push(count) => { scene.push(count); pushed += count as u64; }
                Step::Skip(count) => { scene.dispatch.skip(count); pushed += count; }
                Step::Wait(seconds) => scene.wait(seconds.into()),
                Step::Answer(outcome) => {
                    if let Some(message) = under_way.take() {
                        if outcome == SendOutcome::Delivered {
                            let (seqs, dropped) = read(&message);
                            prop_assert!(seqs.len() <= 100 && message.body.len() <= 256 * 1024);
                            prop_assert!(seqs.is_sorted() && seqs[0] > confirmed, "in order, and none twice");
                            let last = *seqs.last().unwrap();
                            prop_assert_eq!(seqs.len() as u64 + dropped, last - confirmed, "what is missing is said");
                            confirmed = last;
                            events += seqs.len() as u64;
                        }
                        scene.finished(outcome);
                    }
                }
            }
            if under_way.is_none() && let NextStep::Send(message) = scene.next() {
                under_way = Some(message);
            }
            let counters = &scene.counters;
            let dropped = counters.dropped(Dropped::Full) + counters.dropped(Dropped::Age);
            prop_assert_eq!(counters.delivered(), events);
            prop_assert_eq!(events + dropped + counters.waiting(), pushed);
        }
    }
}
