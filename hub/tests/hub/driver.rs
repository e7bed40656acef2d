//! Plays scripts on the shipped hub.

use crate::alphabet::{Deed, Line, Place, Script};
use crate::seen::Seen;
use hubcast_hub::engine::{Answer, Ask, Reply};
use hubcast_hub::{Effect, Effects, Engine, Hub, Input, Memory, Settings};
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// A hub, its clock, and where its engine is elsewhere, that engine too.
pub(crate) struct Driver {
    hub: Hub<Switch>,
    now: Instant,
    effects: Effects,
    remote: Memory,
    open: VecDeque<Ask>,
}

/// Something that happened, and what came of it.
#[derive(Clone, Debug)]
pub(crate) struct Scene {
    pub(crate) deed: Deed,
    pub(crate) seen: Vec<Seen>,
}

impl Driver {
    /// A hub that nothing has happened to.
    pub(crate) fn new(settings: Settings, engine: Place) -> Self {
        let engine = match engine {
            Place::Embedded => Switch::Embedded(Memory::default()),
            Place::Elsewhere => Switch::Elsewhere,
        };
        Self {
            hub: Hub::with_engine(settings, engine),
            now: Instant::now(),
            effects: Effects::default(),
            remote: Memory::default(),
            open: VecDeque::new(),
        }
    }

    /// The hub of a script, before its first line.
    pub(crate) fn of(script: &Script) -> Self {
        Self::new(script.settings.clone(), script.engine)
    }

    /// What comes of the whole script, and of every answer that is open at its end.
    pub(crate) fn play(script: &Script) -> Vec<Scene> {
        let mut driver = Self::of(script);
        let mut scenes: Vec<_> = script.lines.iter().map(|line| driver.perform(line)).collect();
        while driver.is_waiting() {
            scenes.push(Scene { deed: Deed::Answer, seen: driver.answer() });
        }
        scenes
    }

    /// Plays one line.
    pub(crate) fn perform(&mut self, line: &Line) -> Scene {
        self.wait(line.after);
        let seen = match &line.deed {
            Deed::Tell(input) => self.tell(input.clone()),
            Deed::Answer => self.answer(),
        };
        Scene { deed: line.deed.clone(), seen }
    }

    /// Lets time pass.
    pub(crate) fn wait(&mut self, time: Duration) {
        self.now += time;
    }

    /// Tells the hub something.
    pub(crate) fn tell(&mut self, input: Input) -> Vec<Seen> {
        self.effects.clear();
        self.hub.handle(self.now, input, &mut self.effects);
        self.open.extend(self.effects.iter().filter_map(|effect| match effect {
            Effect::Ask(ask) => Some(ask.clone()),
            _ => None,
        }));
        Seen::all(&self.effects)
    }

    /// Lets an engine elsewhere answer its oldest open question.
    pub(crate) fn answer(&mut self) -> Vec<Seen> {
        self.effects.clear();
        let Some(ask) = self.open.pop_front() else { return Vec::new() };
        let ticket = ask.ticket;
        let answer = self.remote.ask(self.now, ask).expect("the embedded engine answers at once");
        self.tell(Input::Reply(Reply { ticket, answer }))
    }

    /// Whether an engine elsewhere owes an answer.
    pub(crate) fn is_waiting(&self) -> bool {
        !self.open.is_empty()
    }

    /// The time of the last line.
    pub(crate) fn now(&self) -> Instant {
        self.now
    }

    /// What came of the last deed, as it stands.
    pub(crate) fn effects(&self) -> &Effects {
        &self.effects
    }

    /// The hub as it stands.
    pub(crate) fn hub(&self) -> &Hub<Switch> {
        &self.hub
    }
}

/// An engine of either kind.
#[derive(Debug)]
pub(crate) enum Switch {
    Embedded(Memory),
    Elsewhere,
}

impl Engine for Switch {
    fn ask(&mut self, now: Instant, ask: Ask) -> Result<Answer, Ask> {
        match self {
            Self::Embedded(memory) => memory.ask(now, ask),
            Self::Elsewhere => Err(ask),
        }
    }
}
