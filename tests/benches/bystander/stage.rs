//! What a row plays on: a fresh server, its bystanders, and what is measured of both.

use crate::bystander::{Bystander, Waits};
use crate::crowd::Crowd;
use crate::options::Options;
use crate::rows::Row;
use crate::server::Server;
use crate::wire::{Client, Dialect, PATIENCE, frame};
use anyhow::{Context, Result, ensure};
use serde_json::json;
use std::thread;
use std::time::{Duration, Instant};

/// A row calls, in this order: what it needs to prepare itself, [`Stage::begin`], its attack, and [`Stage::end`] while
/// all connections are still open.
pub(crate) struct Stage {
    /// The server under attack.
    pub(crate) server: Server,
    /// How long an attack goes on that has no end of its own.
    pub(crate) length: Duration,
    bystanders: Vec<Bystander>,
    workers: usize,
    memory_before: f64,
    figures: Option<Figures>,
}

/// What was measured from begin to end.
#[derive(Debug)]
pub(crate) struct Figures {
    /// Of the bystander that fared worse.
    pub(crate) waits: Waits,
    /// MiB of the server when the attack began.
    pub(crate) memory_before: f64,
    /// And at most until its end.
    pub(crate) memory_peak: f64,
}

impl Stage {
    /// Starts a server for a row.
    pub(crate) fn for_row(row: &Row, options: &Options) -> Result<Self> {
        let workers = row.workers.unwrap_or(options.workers);
        Ok(Self {
            server: Server::start(options, workers, row.flags)?,
            length: Duration::from_secs(options.seconds),
            bystanders: Vec::new(),
            workers,
            memory_before: 0.0,
            figures: None,
        })
    }

    /// From here on counts what the attack costs. Connections are dealt out to the workers in turn, so as many
    /// bystanders as there are workers stand on different ones.
    pub(crate) fn begin(&mut self) -> Result<()> {
        self.server.reset_peak()?;
        self.memory_before = self.server.memory()?.0;
        for _ in 0..self.workers {
            self.bystanders.push(Bystander::start(self.server.address(), self.server.dialect())?);
        }
        thread::sleep(CALM);
        Ok(())
    }

    /// And to here.
    pub(crate) fn end(&mut self) -> Result<()> {
        let mut waits = Waits::default();
        for bystander in self.bystanders.drain(..) {
            waits = waits.worse(bystander.stop()?);
        }
        let memory_peak = self.server.memory()?.1;
        self.figures = Some(Figures { waits, memory_before: self.memory_before, memory_peak });
        Ok(())
    }

    /// What was measured, after the end.
    pub(crate) fn figures(self) -> Result<Figures> {
        self.figures.context("the row did not end what it began")
    }

    /// A new connection.
    pub(crate) fn client(&self) -> Result<Client> {
        Client::open(self.server.address(), self.server.dialect())
    }

    /// So many new connections.
    pub(crate) fn clients(&self, number: usize) -> Result<Vec<Client>> {
        (0..number).map(|_| self.client()).collect()
    }

    /// So many new connections that read almost nothing into buffers of their own.
    pub(crate) fn narrow_clients(&self, number: usize) -> Result<Vec<Client>> {
        let open = || Client::open_narrow(self.server.address(), self.server.dialect(), NARROW);
        (0..number).map(|_| open()).collect()
    }

    /// So many readers of a topic, all of whom have heard a publication to it.
    pub(crate) fn readers(&self, number: usize, topic: &str) -> Result<Crowd> {
        self.readers_of(self.clients(number)?, topic)
    }

    /// Makes these connections such readers.
    pub(crate) fn readers_of(&self, mut clients: Vec<Client>, topic: &str) -> Result<Crowd> {
        for client in &mut clients {
            match self.server.dialect() {
                Dialect::Typed => drop(client.ask(0, json!({"action": "subscribe", "topic": topic}))?),
                Dialect::Plain => client.send(&frame(&json!({"action": "subscribe", "topic": topic})))?,
            }
        }
        let crowd = Crowd::of(clients)?;
        // Other servers do not say when one is subscribed.
        let mut herald = self.client()?;
        let (before, until) = (crowd.messages(), Instant::now() + PATIENCE);
        while crowd.await_messages(&before, 1, Duration::from_secs(1)) < crowd.len() {
            ensure!(Instant::now() < until, "not all readers of {topic} are subscribed");
            herald.send(&frame(&json!({"action": "publish", "topic": topic})))?;
        }
        crowd.await_quiet();
        Ok(crowd)
    }
}

/// How long bystanders are alone before the attack: their waits then are what they compare with.
const CALM: Duration = Duration::from_millis(500);

/// The receive buffer of those who read little or nothing; the system doubles it.
const NARROW: usize = 4096;
