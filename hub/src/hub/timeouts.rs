//! Work that is due because time has passed, done a slice at a time.

use super::Hub;
use super::work::MAX_ANNOUNCED;
use crate::{Effects, engine::Engine};
use std::time::Instant;

impl<E: Engine> Hub<E> {
    /// When to call [`handle_timeout`](Hub::handle_timeout) next, if nothing else happens. A time in the past means
    /// that something is due now, also right after a call.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.engine.poll_timeout().into_iter().chain(self.grace.next()).chain(self.next_authority_deadline()).min()
    }

    /// Does some of the work that is due: old histories are dropped, sessions whose token is over are told or closed, and `leave` is sent for grace periods that have
    /// ended. One call takes about half a millisecond at most. The rest stays due, and
    /// [`poll_timeout`](Hub::poll_timeout) says so: call again, after other users of the hub had their turn.
    pub fn handle_timeout(&mut self, now: Instant, effects: &mut Effects) {
        self.look_over(now);
        self.announce_overdue(now, effects);
        self.meet_authority_deadlines(now, effects);
    }

    /// Lets the engine drop what has expired. Returns how many nodes of the pattern trie were looked at.
    fn look_over(&mut self, now: Instant) -> usize {
        let Self { engine, topics, patterns, .. } = self;
        let mut looked_at = 0;
        engine.handle_timeout(now, &mut |topic| {
            if looked_at >= MAX_NODES {
                return None;
            }
            Some(topics.contains_key(topic) || patterns.is_any_matching(topic, &mut looked_at))
        });
        looked_at
    }

    /// Sends `leave` for grace periods that have ended. Returns the cost, in receivers.
    fn announce_overdue(&mut self, now: Instant, effects: &mut Effects) -> usize {
        let mut announced = 0;
        while announced < MAX_ANNOUNCED
            && let Some(receivers) = self.announce_expired(now, effects)
        {
            announced += LEAVE_COST + receivers;
        }
        announced
    }
}

/// The limit of pattern nodes for one call. Once it is reached, the call checks no other topic against the patterns.
/// The last topic may exceed it, by as many nodes as a publication to it would look at.
const MAX_NODES: usize = 8192;

/// The cost of one ended grace period, in receivers.
const LEAVE_COST: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Effect, HistoryPolicy, Hub, Input, PresencePolicy, Retention, SessionId, Settings, TopicPolicy, TopicRule,
        TopicRules,
    };
    use hubcast_protocol::request::{Action, Publish, Subscribe};
    use hubcast_protocol::{ClientId, Event, Pattern, Request, Target, Topic};
    use std::time::Duration;

    /// A hub and its clock.
    struct Scene {
        hub: Hub,
        now: Instant,
        effects: Effects,
    }

    impl Scene {
        fn new(policy: TopicPolicy) -> Self {
            let list = vec![TopicRule { pattern: ">".parse().unwrap(), policy }];
            let hub = Hub::new(Settings { rules: TopicRules { list }, ..Settings::with_seed(1) });
            Self { hub, now: Instant::now(), effects: Effects::default() }
        }

        fn tell(&mut self, input: Input) {
            self.effects.clear();
            self.hub.handle(self.now, input, &mut self.effects);
        }

        fn connect(&mut self, session: u32) {
            self.tell(Input::connect(SessionId(session), ClientId::from_random(u128::from(session).to_be_bytes())));
        }

        fn ask(&mut self, session: u32, action: impl Into<Action>) {
            self.tell(Input::Request { session: SessionId(session), request: Ok(Request::from(action.into())) });
        }

        /// Creates topics that have a history that can be resumed, but no subscribers any more.
        fn leave_behind(&mut self, topics: usize) {
            self.connect(1);
            for number in 0..topics {
                let topic = Target::from(Topic::new(format!("{}{number}", "a.".repeat(BITS as usize))));
                self.ask(1, Subscribe::live(topic.clone()));
                self.ask(1, Action::Unsubscribe(topic));
            }
        }

        /// Runs slices until nothing is due. Returns the measurement of each slice, taken before and after it.
        fn slices<T>(&mut self, mut slice: impl FnMut(&mut Self) -> T) -> Vec<T> {
            let mut slices = Vec::new();
            while self.hub.poll_timeout().is_some_and(|at| at <= self.now) {
                slices.push(slice(self));
                assert!(slices.len() < 10_000, "it ends");
            }
            slices
        }
    }

    /// The length of the combinations of `*` and `a`.
    const BITS: u32 = 9;

    #[test]
    fn of_many_histories_under_wide_patterns_each_call_asks_for_as_many_as_the_nodes_allow() {
        let mut scene = Scene::new(TopicPolicy::default());
        scene.leave_behind(1500);
        for number in 0..1_u32 << BITS {
            let tokens = (0..BITS).map(|bit| if number >> bit & 1 == 1 { "*." } else { "a." });
            let pattern: Pattern = format!("{}z", tokens.collect::<String>()).parse().unwrap();
            scene.ask(1, Subscribe::live(pattern.into()));
        }
        let nodes = (1 << (BITS + 1)) - 1;
        for left in [1500, 0] {
            scene.now += Duration::from_secs(122);
            let slices = scene.slices(|scene| scene.hub.look_over(scene.now));
            assert!(slices.iter().all(|looked_at| *looked_at < MAX_NODES + nodes), "{slices:?}");
            assert_eq!(slices.iter().sum::<usize>(), 1500 * nodes, "each is asked for once");
            assert_eq!(scene.hub.engine().histories(), left);
        }
        assert_eq!(scene.hub.poll_timeout(), None);
    }

    #[test]
    fn of_many_histories_each_call_looks_over_sixty_four() {
        let mut scene = Scene::new(TopicPolicy::default());
        scene.leave_behind(1500);
        for left in [1500, 0] {
            scene.now += Duration::from_secs(122);
            let slices = scene.slices(|scene| {
                let before = scene.hub.engine().histories();
                scene.hub.handle_timeout(scene.now, &mut scene.effects);
                before - scene.hub.engine().histories()
            });
            assert_eq!(slices.len(), 1500_usize.div_ceil(64));
            assert!(slices.iter().all(|forgotten| *forgotten <= 64), "{slices:?}");
            assert_eq!(scene.hub.engine().histories(), left);
        }
    }

    #[test]
    fn of_many_publications_whose_time_is_over_each_call_drops_some() {
        let history = Some(HistoryPolicy { size: 10_000, ttl: Duration::from_secs(1), keep: Retention::Always });
        let mut scene = Scene::new(TopicPolicy { history, ..TopicPolicy::default() });
        scene.connect(1);
        for _ in 0..10_000 {
            let publish = Publish { topic: "world".into(), payload: "".into(), echo: true, key: None };
            scene.ask(1, publish);
        }
        let publications = |scene: &Scene| scene.hub.engine().history_bytes() / 160;
        scene.now += Duration::from_secs(2);
        let slices = scene.slices(|scene| {
            let before = publications(scene);
            scene.hub.handle_timeout(scene.now, &mut scene.effects);
            before - publications(scene)
        });
        assert_eq!(slices, [4096, 4096, 10_000 - 2 * 4096]);
    }

    #[test]
    fn of_many_who_do_not_come_back_each_call_announces_some_and_all_are_announced_in_order() {
        let presence = Some(PresencePolicy { events: true, grace: Duration::from_secs(1) });
        let mut scene = Scene::new(TopicPolicy { history: None, presence, ..TopicPolicy::default() });
        let room = Target::from(Topic::from("room"));
        for session in 0..1100 {
            scene.connect(session);
            scene.ask(session, Subscribe { presence: session < 100, ..Subscribe::live(room.clone()) });
        }
        (100..1100).for_each(|session| scene.tell(Input::Closed { session: SessionId(session), lost: true }));
        scene.now += Duration::from_secs(1);
        scene.effects.clear();
        let slices = scene.slices(|scene| scene.hub.announce_overdue(scene.now, &mut scene.effects));
        assert!(slices.iter().all(|announced| *announced < MAX_ANNOUNCED + LEAVE_COST + 100), "{slices:?}");
        assert_eq!(slices.iter().sum::<usize>(), 1000 * (LEAVE_COST + 100));
        let left = scene.effects.iter().map(|effect| match effect {
            Effect::Notify { event, receivers } if receivers.len() == 100 => match &**event {
                Event::Leave(member) => member.client,
                other => panic!("{other:?}"),
            },
            other => panic!("{other:?}"),
        });
        assert!(left.eq((100..1100_u128).map(|session| ClientId::from_random(session.to_be_bytes()))));
    }
}
