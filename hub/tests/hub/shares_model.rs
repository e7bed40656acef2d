//! A naive model of how all histories share their bytes: for every byte too many it looks at every history. The
//! shipped engine is played beside it, with the same deeds.

use hubcast_hub::engine::{EngineCall, EngineNotice, EngineRequest, Ticket};
use hubcast_hub::{Engine, Evicted, Memory, Retention};
use hubcast_protocol::Topic;
use hubcast_protocol::request::{ReadHistory, Start};
use proptest::{collection::vec, prelude::*, sample::select};
use std::cmp::Reverse;
use std::time::Instant;

/// What can happen to a history.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Deed {
    /// A publication with a payload of this many bytes, to a topic that has subscribers.
    Publish(&'static str, usize),
    Subscribe(&'static str),
    /// The last subscription to the topic by its name is gone.
    Leave(&'static str),
    /// A client reads the history.
    Read(&'static str),
}

/// The shipped engine and the model of it.
pub(crate) struct Shares {
    memory: Memory,
    tickets: u64,
    most_bytes: usize,
    list: Vec<History>,
    /// Counts what happens, and is the clock of the model: a lower number is longer ago.
    moment: u64,
    /// What the model has dropped because of the bound.
    evicted: Evicted,
}

/// One history of the model.
struct History {
    topic: &'static str,
    /// The offset of its last publication.
    last: u64,
    /// The bytes of each payload, oldest first.
    sizes: Vec<usize>,
    /// Whether the topic is subscribed to by its name.
    in_use: bool,
    /// The moment of its last use.
    used: u64,
    /// The bytes that count against the bound.
    bytes: usize,
    /// The moment since which `bytes` has this value.
    sized: u64,
}

/// The histories in the order of their topics, each as topic, last offset and the bytes of each payload; and what was
/// evicted.
type Kept = (Vec<(String, u64, Vec<usize>)>, Evicted);

impl Shares {
    /// An engine whose topics keep twelve publications, and the model of it, with a bound for all histories.
    pub(crate) fn new(most_bytes: usize) -> Self {
        let rules = crate::stage::small(SIZE, Retention::Always).rules;
        let (list, evicted) = (Vec::new(), Evicted::default());
        Self { memory: Memory::new(rules, most_bytes, 1), tickets: 0, most_bytes, list, moment: 0, evicted }
    }

    /// Plays a deed on the engine and on the model.
    pub(crate) fn perform(&mut self, now: Instant, deed: Deed) {
        match deed {
            Deed::Publish(topic, bytes) => {
                let payload = "x".repeat(bytes).as_str().into();
                self.ask(
                    now,
                    EngineRequest::Publish {
                        topic: topic.into(),
                        payload,
                        author: None,
                        key: None,
                        has_subscribers: true,
                    },
                );
                let history = self.find_or_create(topic);
                history.last += 1;
                history.sizes.push(bytes);
                history.sizes.drain(..history.sizes.len().saturating_sub(SIZE));
                self.used(topic);
            }
            Deed::Subscribe(topic) => {
                self.ask(now, EngineRequest::Open { target: Topic::from(topic).into(), start: Start::Live });
                self.find_or_create(topic).in_use = true;
                self.used(topic);
            }
            Deed::Leave(topic) => {
                self.memory.tell(now, EngineNotice::Unused(&topic.into()));
                if let Some(history) = self.list.iter_mut().find(|history| history.topic == topic) {
                    history.in_use = false;
                    self.used(topic);
                }
            }
            Deed::Read(topic) => {
                self.ask(now, EngineRequest::Read(ReadHistory { topic: topic.into(), since: None, limit: None }));
                if self.list.iter().any(|history| history.topic == topic) {
                    self.used(topic);
                }
            }
        }
    }

    /// What the engine keeps.
    pub(crate) fn in_the_hub(&self, now: Instant) -> Kept {
        let histories = self.memory.save(now).histories.into_iter();
        let kept = histories.map(|saved| {
            let sizes = saved.entries.iter().map(|entry| entry.payload.as_plain().len());
            (saved.topic.as_str().to_owned(), saved.last, sizes.collect())
        });
        (in_order(kept.collect()), self.memory.evicted())
    }

    /// What the model keeps.
    pub(crate) fn in_the_model(&self) -> Kept {
        let kept = self.list.iter().map(|history| (history.topic.to_owned(), history.last, history.sizes.clone()));
        (in_order(kept.collect()), self.evicted)
    }

    /// Asks the engine a question. The answer does not matter here.
    fn ask(&mut self, now: Instant, question: EngineRequest) {
        self.tickets += 1;
        let answer = self.memory.ask(now, EngineCall { ticket: Ticket(self.tickets), question });
        assert!(answer.is_ok(), "the embedded engine answers at once");
    }

    /// The model's history of a topic.
    fn find_or_create(&mut self, topic: &'static str) -> &mut History {
        let at = self.list.iter().position(|history| history.topic == topic).unwrap_or_else(|| {
            let sizes = Vec::new();
            self.list.push(History { topic, last: 0, sizes, in_use: false, used: 0, bytes: 0, sized: 0 });
            self.list.len() - 1
        });
        &mut self.list[at]
    }

    /// Records a use of a history and then applies the rule while all histories together are over the bound. The
    /// history furthest above its share loses its oldest publication. If none is above its share, the history that was
    /// unused longest is dropped as a whole. But if that one is in use, or was used just now and has publications, it
    /// only loses its oldest publication.
    fn used(&mut self, topic: &'static str) {
        self.moment += 1;
        let moment = self.moment;
        let history = self.find_or_create(topic);
        history.used = moment;
        history.measure(moment);
        while self.list.iter().map(|history| history.bytes).sum::<usize>() > self.most_bytes {
            self.moment += 1;
            let share = (self.most_bytes / self.list.len()).max(LEAST_SHARE);
            let furthest = (0..self.list.len()).max_by_key(|at| (self.list[*at].bytes, Reverse(self.list[*at].sized)));
            let above = furthest.filter(|at| self.list[*at].bytes > share);
            let droppable =
                (0..self.list.len()).filter(|at| !self.list[*at].in_use || !self.list[*at].sizes.is_empty());
            let unused = droppable.min_by_key(|at| self.list[*at].used);
            let at = above.or(unused).expect("what is over the bound can be dropped");
            let history = &mut self.list[at];
            let stays = history.in_use || (history.topic == topic && !history.sizes.is_empty());
            if above.is_some() || stays {
                history.sizes.remove(0);
                history.measure(self.moment);
                self.evicted.publications += 1;
            } else {
                self.evicted.publications += history.sizes.len() as u64;
                self.evicted.histories += 1;
                self.list.remove(at);
            }
        }
    }
}

impl History {
    /// Counts the bytes anew: each payload and 160 for its publication; and unless the history is in use, 448 and the
    /// topic for the history itself.
    fn measure(&mut self, moment: u64) {
        let itself = if self.in_use { 0 } else { 448 + self.topic.len() };
        let bytes = self.sizes.iter().map(|size| size + 160).sum::<usize>() + itself;
        if bytes != self.bytes {
            (self.bytes, self.sized) = (bytes, moment);
        }
    }
}

/// A bound in bytes for all histories, and the deeds of a test case.
pub(crate) fn deeds() -> impl Strategy<Value = (usize, Vec<Deed>)> {
    let topic = || select(vec!["a", "b", "c", "d", "e"]);
    let bytes = select(vec![0, 1_000, 20_000, 30_000, 60_000]);
    let deed = prop_oneof![
        8 => (topic(), bytes).prop_map(|(topic, bytes)| Deed::Publish(topic, bytes)),
        1 => topic().prop_map(Deed::Subscribe),
        1 => topic().prop_map(Deed::Leave),
        1 => topic().prop_map(Deed::Read),
    ];
    (select(vec![1_000, 70_000, 150_000, 400_000]), vec(deed, 1..80))
}

/// The same list in the order of the topics.
fn in_order(mut kept: Vec<(String, u64, Vec<usize>)>) -> Vec<(String, u64, Vec<usize>)> {
    kept.sort();
    kept
}

/// Most publications that a topic keeps.
const SIZE: usize = 12;

/// The least share of a topic in bytes, however many topics there are.
const LEAST_SHARE: usize = 64 * 1024;
