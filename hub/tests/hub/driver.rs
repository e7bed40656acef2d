//! The driver: plays scripts on the shipped hub.

use crate::alphabet::{Deed, Place, Script};
use crate::positions::Positions;
use crate::seen::Seen;
use hubcast_hub::engine::{EngineCall, EngineNotice, EngineReply, EngineResponse};
use hubcast_hub::{Effect, Effects, Engine, Hub, Input, Memory, Settings};
use hubcast_protocol::Topic;
use std::cell::{Ref, RefCell};
use std::collections::VecDeque;
use std::num::NonZeroUsize;
use std::rc::Rc;
use std::time::{Duration, Instant};

/// A hub with its clock and its engine.
pub(crate) struct Driver {
    settings: Settings,
    engine: Switch,
    hub: Hub<Switch>,
    now: Instant,
    effects: Effects,
    /// The questions that an engine elsewhere has not answered, oldest first.
    open: VecDeque<EngineCall>,
    /// The positions that sessions have seen.
    positions: Positions,
}

/// One deed and its effects.
#[derive(Clone, Debug)]
pub(crate) struct Scene {
    /// The deed as the hub got it, with all positions filled in.
    pub(crate) deed: Deed,
    /// Its effects, in order.
    pub(crate) seen: Vec<Seen>,
}

impl Driver {
    /// A new hub.
    pub(crate) fn new(settings: Settings, place: Place) -> Self {
        let engine = Switch::new(&settings, place);
        Self {
            hub: Hub::with_engine(settings.clone(), engine.clone()),
            settings,
            engine,
            now: Instant::now(),
            effects: Effects::default(),
            open: VecDeque::new(),
            positions: Positions::default(),
        }
    }

    /// The hub of a script, before the first line.
    pub(crate) fn of(script: &Script) -> Self {
        Self::new(script.settings.clone(), script.engine)
    }

    /// Plays a whole script, and then all answers that the engine still owes.
    pub(crate) fn play(script: &Script) -> Vec<Scene> {
        let mut driver = Self::of(script);
        let mut scenes: Vec<_> = script.lines.iter().map(|line| driver.perform(line)).collect();
        while driver.is_waiting() {
            scenes.push(Scene { deed: Deed::EngineResponse, seen: driver.answer() });
        }
        scenes
    }

    /// Plays one line.
    pub(crate) fn perform(&mut self, line: &Deed) -> Scene {
        let mut deed = line.clone();
        let seen = match &mut deed {
            Deed::Wait(time) => self.wait(*time),
            Deed::Tell(input) => {
                self.positions.fill_in(input);
                self.tell(input.clone())
            }
            Deed::EngineResponse => self.answer(),
            Deed::Restart { kept } => {
                self.restart(*kept);
                Vec::new()
            }
        };
        self.positions.learn(&seen);
        Scene { deed, seen }
    }

    /// Lets this time pass. Calls the hub's timeouts when they are due, each as often as it takes to do all that is
    /// due.
    pub(crate) fn wait(&mut self, time: Duration) -> Vec<Seen> {
        let end = self.now + time;
        self.effects.clear();
        let mut slices = 0;
        while let Some(at) = self.hub.poll_timeout().filter(|at| *at <= end) {
            slices = if at > self.now { 0 } else { slices + 1 };
            self.now = self.now.max(at);
            self.hub.handle_timeout(self.now, &mut self.effects);
            assert!(slices < MAX_SLICES, "what was due is still due");
        }
        self.now = end;
        Seen::all(&self.effects)
    }

    /// Lets this time pass without calling the hub's timeouts.
    pub(crate) fn sleep(&mut self, time: Duration) {
        self.now += time;
    }

    /// Sets the hub's wall clock.
    pub(crate) fn set_wall_clock(&mut self, unix_ms: u64) {
        self.hub.set_wall_clock(self.now, unix_ms);
    }

    /// Hands an input to the hub.
    pub(crate) fn tell(&mut self, input: Input) -> Vec<Seen> {
        self.effects.clear();
        self.hub.handle(self.now, input, &mut self.effects);
        self.open.extend(self.effects.iter().filter_map(|effect| match effect {
            Effect::Ask(ask) => Some(ask.clone()),
            _ => None,
        }));
        Seen::all(&self.effects)
    }

    /// Lets an engine elsewhere answer its oldest open question, if there is one.
    pub(crate) fn answer(&mut self) -> Vec<Seen> {
        self.effects.clear();
        let Some(ask) = self.open.pop_front() else { return Vec::new() };
        let ticket = ask.ticket;
        let answer = self.engine.memory.borrow_mut().ask(self.now, ask);
        let answer = answer.expect("the embedded engine answers at once");
        self.tell(Input::Reply(EngineReply { ticket, answer }))
    }

    /// Another process takes over, with a new seed. With `kept` it restores what this one saved.
    pub(crate) fn restart(&mut self, kept: bool) {
        let saved = self.memory().save(self.now);
        self.settings.seed += 1;
        self.engine = Switch::new(&self.settings, self.engine.place);
        self.hub = Hub::with_engine(self.settings.clone(), self.engine.clone());
        self.open.clear();
        self.effects.clear();
        if kept {
            self.engine.memory.borrow_mut().restore(self.now, saved);
        }
    }

    /// Whether an engine elsewhere owes an answer.
    pub(crate) fn is_waiting(&self) -> bool {
        !self.open.is_empty()
    }

    /// The time after the last line.
    pub(crate) fn now(&self) -> Instant {
        self.now
    }

    /// The effects of the last call.
    pub(crate) fn effects(&self) -> &Effects {
        &self.effects
    }

    /// The hub.
    pub(crate) fn hub(&self) -> &Hub<Switch> {
        &self.hub
    }

    /// The engine, in either place.
    pub(crate) fn memory(&self) -> Ref<'_, Memory> {
        self.engine.memory.borrow()
    }
}

/// An engine in either place. One elsewhere takes notices at once, and answers questions when the script says so.
///
/// In each call of `handle_timeout` it learns of only one topic whether it has subscribers. So histories that expire
/// at the same time are dropped in several calls, and the tests cover that case.
#[derive(Clone, Debug)]
pub(crate) struct Switch {
    place: Place,
    memory: Rc<RefCell<Memory>>,
}

impl Switch {
    /// An engine for these settings.
    fn new(settings: &Settings, place: Place) -> Self {
        let memory = Memory::new(settings.rules.clone(), settings.history_max_bytes, settings.seed);
        // An engine elsewhere answers each question in one part, because the model has exactly one answer for each
        // open question.
        let most_missed = match place {
            Place::Embedded => usize::try_from(settings.work_at_once).expect("it is small"),
            Place::Elsewhere => usize::MAX,
        };
        let memory = memory.answering_in_parts(NonZeroUsize::new(most_missed).expect("something is done at once"));
        Self { place, memory: Rc::new(RefCell::new(memory)) }
    }
}

impl Engine for Switch {
    fn ask(&mut self, now: Instant, ask: EngineCall) -> Result<EngineResponse, EngineCall> {
        match self.place {
            Place::Embedded => self.memory.borrow_mut().ask(now, ask),
            Place::Elsewhere => Err(ask),
        }
    }

    fn tell(&mut self, now: Instant, notice: EngineNotice<'_>) {
        self.memory.borrow_mut().tell(now, notice);
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.memory.borrow().poll_timeout()
    }

    fn handle_timeout(&mut self, now: Instant, has_subscribers: &mut dyn FnMut(&Topic) -> Option<bool>) {
        let mut asked = false;
        let mut once = |topic: &Topic| (!std::mem::replace(&mut asked, true)).then(|| has_subscribers(topic)).flatten();
        self.memory.borrow_mut().handle_timeout(now, &mut once);
    }
}

/// More calls than a hub needs to do all that is due at one time.
const MAX_SLICES: usize = 1000;
