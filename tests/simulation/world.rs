//! One run: a server, its clients and the wires between them, in virtual time.

mod clients;
mod faults;
mod serving;

use crate::client::Client;
use crate::queue::{Event, Queue};
use crate::random::Random;
use crate::record::Record;
use crate::scenario::{HEALTHY, Scenario, Size};
use crate::trace::Trace;
use crate::wire::Wire;
use hubcast_client::machine::Machine;
use hubcast_hub::Snapshot;
use hubcast_protocol::Topic;
use hubcast_protocol::request::{Key, Publish};
use hubcast_server::simulated::{Load, Simulated};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// What went wrong, and with which client; `None` if it was the server.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) client: Option<usize>,
    pub(crate) what: String,
    /// The last lines of this client's [`Trace`]; empty in a run without a trace.
    pub(crate) trace: Vec<String>,
}

/// Counts of what happened in a run, which show that it tested something.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tally {
    pub(crate) published: usize,
    pub(crate) delivered: usize,
    pub(crate) resumed: usize,
    pub(crate) gaps: usize,
    pub(crate) cuts: usize,
    pub(crate) restarts: usize,
    pub(crate) too_slow: usize,
    pub(crate) directs: usize,
    pub(crate) limited: usize,
}

impl Tally {
    /// Adds the counts of another run.
    pub(crate) fn add(&mut self, other: Self) {
        self.published += other.published;
        self.delivered += other.delivered;
        self.resumed += other.resumed;
        self.gaps += other.gaps;
        self.cuts += other.cuts;
        self.restarts += other.restarts;
        self.too_slow += other.too_slow;
        self.directs += other.directs;
        self.limited += other.limited;
    }
}

/// The state of one run. [`World::run`] is the only entry.
pub(crate) struct World {
    /// The moment when virtual time begins. Only differences to it matter.
    origin: Instant,
    now: Duration,
    queue: Queue,
    random: Random,
    scenario: Scenario,
    record: Record,
    clients: Vec<Client>,
    wires: BTreeMap<u32, Wire>,
    last_wire: u32,
    server: Option<Simulated>,
    /// The time of the next planned look at the server's timers.
    server_wake: Option<Duration>,
    /// The time until which the server does nothing, as if its process got no CPU time.
    stalled_until: Duration,
    is_accepting: bool,
    /// The wire and the client that use a slot of a worker, or used it last; by worker and slot.
    sessions: BTreeMap<(usize, u32), (u32, usize)>,
    /// The wires by the server's numbers of connections.
    by_socket: BTreeMap<u64, u32>,
    is_healed: bool,
    tally: Tally,
    trace: Trace,
    failure: Option<(Option<usize>, String)>,
}

impl World {
    /// Makes the run of a seed; `is_read` says whether to keep a [`Trace`] for the message of a failure.
    pub(crate) fn run(seed: u64, size: Size, is_read: bool) -> Result<Tally, Failure> {
        let mut world = Self::new(seed, size, is_read);
        world.live();
        match world.failure {
            None => Ok(world.tally),
            Some((client, what)) => {
                let trace = client.map(|client| world.trace.into_lines(client)).unwrap_or_default();
                Err(Failure { client, what, trace })
            }
        }
    }

    /// A world without a server, at the beginning of virtual time.
    fn new(seed: u64, size: Size, is_read: bool) -> Self {
        let mut random = Random::new(seed);
        let scenario = Scenario::new(size, &mut random);
        let clients = (0..scenario.clients).map(|number| {
            let config = scenario.client(&mut random);
            Client::new(number, Machine::new(config, random.next().into()))
        });
        Self {
            origin: Instant::now(),
            now: Duration::ZERO,
            queue: Queue::default(),
            clients: clients.collect(),
            record: Record::new(scenario.topics.clone()),
            trace: if is_read { Trace::of(scenario.clients) } else { Trace::default() },
            random,
            scenario,
            wires: BTreeMap::new(),
            last_wire: 0,
            server: None,
            server_wake: None,
            stalled_until: Duration::ZERO,
            is_accepting: false,
            sessions: BTreeMap::new(),
            by_socket: BTreeMap::new(),
            is_healed: false,
            tally: Tally::default(),
            failure: None,
        }
    }

    /// The whole run: connect, act while things break, heal, settle, close, and check that nothing is left.
    fn live(&mut self) {
        self.start(Snapshot::default());
        self.run_until(TO_RETURN);
        for client in 0..self.clients.len() {
            let connect = self.clients[client].connect();
            self.tell_client(client, connect, None);
            let listen = self.clients[client].listen_to_direct();
            self.tell_client(client, listen, None);
            let at = self.now + self.random.millis(0, self.scenario.act_within);
            self.queue.plan(at, Event::Act(client));
        }
        let first = self.now + self.random.millis(1, self.scenario.fault_within);
        self.queue.plan(first, Event::Fault);
        self.run_until(self.now + self.scenario.span);
        let phases: [fn(&mut Self); 4] =
            [Self::heal, Self::publish_last, Self::check_settled_and_close, Self::check_closed];
        for phase in phases {
            if self.failure.is_none() {
                phase(self);
                self.run_until(self.now + TO_SETTLE);
            }
        }
        self.run_until(self.now + TO_FORGET);
        self.check_nothing_is_left();
    }

    /// Handles all events until this time, or until something fails.
    fn run_until(&mut self, until: Duration) {
        while self.failure.is_none() {
            let Some((at, event)) = self.queue.pop(until) else { break };
            self.now = at;
            self.take(event);
        }
        self.now = until;
    }

    /// Handles one event.
    fn take(&mut self, event: Event) {
        match event {
            Event::Act(client) => self.act(client),
            Event::WakeClient(client) => self.wake_client(client),
            Event::WakeServer => self.wake_server(),
            Event::Up(wire, up) => self.arrive_up(wire, up),
            Event::Down(wire, down) => self.arrive_down(wire, down),
            Event::Fault => self.fault(),
            Event::Stop => self.stop(),
            Event::Start(saved) => self.start(*saved),
            Event::Accept => self.is_accepting = self.server.is_some(),
        }
    }

    /// Lets a client's program do something, and plans its next act.
    fn act(&mut self, client: usize) {
        if self.is_healed {
            return;
        }
        if self.random.chance(5) {
            self.publish_twice(client);
        } else {
            // Many acts at once are more than a worker serves in one turn.
            let times = if self.random.chance(4) { self.random.below(self.scenario.burst) } else { 1 };
            for _ in 0..times {
                let input = self.clients[client].act(&self.scenario, &self.record, &mut self.random);
                self.tell_client(client, input, None);
            }
        }
        let next = self.now + self.random.millis(1, self.scenario.act_within);
        self.queue.plan(next, Event::Act(client));
    }

    /// Lets two clients publish the same message with the same key: a key of the program, or a producer's number, as
    /// when a producer moves to another connection.
    fn publish_twice(&mut self, client: usize) {
        let text = self.clients[client].text(&mut self.random);
        let topic = self.scenario.topics[self.random.below(self.scenario.topics.len())].clone();
        let other = self.random.below(self.clients.len());
        let name = text.trim_end_matches('.');
        let key = match self.random.chance(50) {
            true => Key::Text(name.into()),
            false => Key::Number { producer: format!("{name:-<16}").into(), sequence: 1 },
        };
        for client in [client, other] {
            let publish = Publish { key: Some(key.clone()), ..publication(&topic, &text) };
            let input = self.clients[client].publish(publish);
            self.tell_client(client, input, None);
        }
    }

    /// Ends all faults: from now on nothing breaks, and every client reads at once.
    fn heal(&mut self) {
        self.is_healed = true;
        for wire in self.wires.values_mut() {
            wire.pace = HEALTHY;
            if let Some(socket) = wire.socket() {
                socket.give_room(HEALTHY.room);
            }
        }
        self.serve();
    }

    /// Publishes a last message to each topic and to each client.
    fn publish_last(&mut self) {
        for topic in self.scenario.topics.clone() {
            let text = self.clients[0].text(&mut self.random);
            let input = self.clients[0].publish(publication(&topic, &text));
            self.tell_client(0, input, None);
        }
        // The direct messages come from the other clients. The rate limit always allows each of them one more.
        for client in 1..self.clients.len() {
            let (text, owner) = (self.clients[client].text(&mut self.random), (client + 1) % self.clients.len());
            if let Some(id) = self.record.directs.publish_last(owner, &text) {
                let input = self.clients[client].publish(publication(&id, &text));
                self.tell_client(client, input, None);
            }
        }
    }

    /// Checks that each client has received everything, and closes it.
    fn check_settled_and_close(&mut self) {
        self.check_clients(|client, record| client.check_settled(record));
        if self.failure.is_some() {
            return;
        }
        for client in 0..self.clients.len() {
            let mut last = self.clients[client].forget_streams();
            last.push(self.clients[client].close());
            for input in last {
                self.tell_client(client, input, None);
            }
        }
    }

    /// Checks that each client has closed.
    fn check_closed(&mut self) {
        self.check_clients(|client, _| client.check_closed());
    }

    /// Checks each client; the first failure ends the run.
    fn check_clients(&mut self, check: impl Fn(&Client, &Record) -> Result<(), String>) {
        for client in 0..self.clients.len() {
            if let Err(what) = check(&self.clients[client], &self.record) {
                self.fail(Some(client), what);
            }
        }
    }

    /// Checks that the server holds nothing any more and that all wires are gone.
    fn check_nothing_is_left(&mut self) {
        let Some(server) = &self.server else { return self.fail(None, "there is no server".to_owned()) };
        let loads: Vec<Load> = (0..self.scenario.workers).map(|worker| server.load(worker)).collect();
        let is_empty = server.is_empty() && server.histories() == 0 && server.waiting() == 0;
        if !is_empty || loads.iter().any(|load| *load != Load::default()) {
            let left = format!("{loads:?}, {} bytes wait, {server:?}", server.waiting());
            self.fail(None, format!("the server is not empty: {left}"));
        }
        if !self.wires.is_empty() {
            let left = format!("connections are left: {:?}", self.wires);
            self.fail(None, left);
        }
    }

    /// Keeps the first failure, which ends the run.
    fn fail(&mut self, client: Option<usize>, what: String) {
        self.failure.get_or_insert((client, what));
        self.trace.end();
    }

    /// The present virtual time, as the server and the machines take it.
    fn time(&self) -> Instant {
        self.origin + self.now
    }
}

/// A publication without a key.
fn publication(topic: &Topic, text: &str) -> Publish {
    Publish { topic: topic.clone(), payload: text.into(), echo: true, key: None }
}

/// How long a server that began with a state folder keeps all that absent clients may have missed. The run begins with
/// a wait of this length; without it no history would be full before the first restart.
const TO_RETURN: Duration = Duration::from_secs(60);

/// Longer than the server and a client need to notice a dead connection and to give up a request, with all pauses.
const TO_SETTLE: Duration = Duration::from_secs(150);

/// Longer than any history or presence grace period.
const TO_FORGET: Duration = Duration::from_secs(2 * 3600);
