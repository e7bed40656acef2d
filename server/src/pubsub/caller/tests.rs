use super::*;
use crate::encode::account::Account;
use crate::schedule::Schedule;
use hubcast_hub::{Grant, Grants, MemberName, Permission, Settings};
use hubcast_protocol::event::Published;
use hubcast_protocol::request::Publish;
use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

/// One worker without a thread, and its callers.
struct Stage {
    callers: Callers,
    shared_hub: Arc<SharedHub>,
    schedule: Schedule,
}

impl Stage {
    fn new() -> Self {
        let wake = Arc::<Notify>::default();
        let account = Account::new(usize::MAX, vec![Arc::clone(&wake)]);
        let hub = Hub::new(Settings::with_seed(1));
        let shared_hub = SharedHub::new(hub, vec![Arc::clone(&wake)], 1 << 20, (account, Metrics::new(1, 0)));
        let callers = Callers::new(0, wake, Arc::clone(&shared_hub));
        Self { callers, shared_hub, schedule: Schedule::default() }
    }

    fn open(&self, number: u8) -> Caller {
        let grants = [Permission::Publish, Permission::Subscribe].map(|of| (of, Grant::parse(">").unwrap()));
        let credentials = Credentials { grants: Grants::new(grants), expiry: None, api_key: Some("k".into()) };
        let identity = Identity { name: MemberName::ApiKey("k".into()), info: None };
        self.callers.open(ClientId::from_random([number; 16]), Arc::new(identity), Arc::new(credentials))
    }

    /// Takes one turn. The callers that are blocked are served nothing.
    fn turn(&mut self, is_blocked: bool) {
        let mut turn_output = TurnOutput::default();
        self.callers.take_requests(|_| is_blocked, |slot, item| self.schedule.push(slot, item));
        self.shared_hub.turn(0, Instant::now().into_std(), &mut self.schedule, &mut turn_output, false);
        self.callers.take_answers(&turn_output);
        self.schedule.end_slice(|_| {}, |_| {});
        self.callers.end_turn(|slot| self.schedule.has_lane(slot));
    }

    fn sessions(&self) -> usize {
        self.callers.with_hub(|hub| hub.sessions())
    }
}

fn publish(topic: &str) -> Action {
    Publish { topic: topic.into(), payload: "x".into(), echo: true, key: None }.into()
}

/// The topic of the publication that was answered; `None` if the answer is still to come.
fn answered(answering: Answering<'_>) -> Option<Result<String, Closed>> {
    match pin!(answering.reply()).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(Ok(Reply::Published(Published { topic, .. }))) => Some(Ok(topic.as_str().to_owned())),
        Poll::Ready(Ok(other)) => panic!("{other:?}"),
        Poll::Ready(Err(closed)) => Some(Err(closed)),
        Poll::Pending => None,
    }
}

#[test]
fn the_answers_of_a_batch_come_together_and_in_their_order() {
    let mut stage = Stage::new();
    let caller = stage.open(1);
    let batch = caller.batch(4);
    batch.ask(0, [Some(publish("a")), None]);
    stage.turn(false);
    batch.ask(2, [Some(publish("c")), Some(publish("d"))]);
    stage.turn(false);
    let mut replies = pin!(batch.replies());
    let Poll::Ready(Ok(replies)) = replies.as_mut().poll(&mut Context::from_waker(Waker::noop())) else {
        panic!("all are answered")
    };
    let topics = replies.iter().map(|reply| match reply {
        Some(Reply::Published(published)) => published.topic.as_str(),
        _ => "",
    });
    assert_eq!(topics.collect::<Vec<_>>(), ["a", "", "c", "d"]);
}

#[test]
fn each_caller_gets_its_own_answers() {
    let mut stage = Stage::new();
    let (one, other) = (stage.open(1), stage.open(2));
    let asked = [one.ask(publish("a")), other.ask(publish("b")), one.ask(publish("c"))];
    stage.turn(false);
    assert_eq!(asked.map(|asked| answered(asked).unwrap().unwrap()), ["a", "b", "c"]);
}

#[test]
fn who_goes_before_its_answer_leaves_nothing_and_its_request_takes_effect() {
    let mut stage = Stage::new();
    let (gone, stays) = (stage.open(1), stage.open(2));
    drop(gone.ask(publish("a")));
    drop(stays.ask(publish("b")));
    drop(gone);
    stage.turn(false);
    assert_eq!((stage.sessions(), stage.callers.len()), (1, 1));
    assert_eq!(stage.callers.with_hub(|hub| hub.counters().publications.sum()), 2);
    assert!(stage.callers.table().sessions.iter().all(|(_, state)| state.waiting.is_empty()));
    drop(stays);
    stage.turn(false);
    assert_eq!((stage.sessions(), stage.callers.len()), (0, 0));
}

#[test]
fn who_has_filled_a_mailbox_waits_until_that_is_taken() {
    let mut stage = Stage::new();
    let caller = stage.open(1);
    stage.turn(false);
    let asked = caller.ask(publish("a"));
    stage.turn(true);
    assert_eq!(stage.callers.with_hub(|hub| hub.counters().publications.sum()), 0);
    stage.turn(false);
    assert_eq!(answered(asked), Some(Ok("a".to_owned())));
    drop(caller.ask(publish("b")));
    drop(caller);
    stage.turn(true);
    assert_eq!((stage.sessions(), stage.callers.len()), (0, 0), "one that is gone waits for nothing");
}

#[test]
fn a_session_that_the_hub_has_closed_answers_no_more() {
    let mut stage = Stage::new();
    let caller = stage.open(1);
    stage.turn(false);
    let asked = caller.ask(publish("a"));
    stage.callers.close(caller_slot(caller.place), CloseCode::RATE_LIMIT);
    let closed = Some(Err(Closed { code: CloseCode::RATE_LIMIT }));
    assert_eq!(answered(asked), closed);
    assert_eq!(answered(caller.ask(publish("b"))), closed);
    drop(caller);
    stage.turn(false);
    assert_eq!((stage.sessions(), stage.callers.len()), (0, 0));
}

#[test]
fn a_pause_delays_one_request() {
    let stage = Stage::new();
    let caller = stage.open(1);
    assert!(!caller.take_pause());
    stage.callers.pause(caller_slot(caller.place));
    assert!(caller.take_pause() && !caller.take_pause());
}
