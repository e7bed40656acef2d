//! What a row works with: a fresh server, its bystanders, and the measurements of both.

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

/// A server with its bystanders.
///
/// A row first prepares what it needs, then calls [`Stage::begin`], then attacks, and then calls [`Stage::end`] while
/// all connections are still open.
pub(crate) struct Stage {
    /// The server under attack.
    pub(crate) server: Server,
    /// How long an attack lasts if it has no end of its own.
    pub(crate) length: Duration,
    bystanders: Vec<Bystander>,
    workers: usize,
    memory_before: f64,
    figures: Option<Figures>,
}

/// The measurements between `begin` and `end`.
#[derive(Debug)]
pub(crate) struct Figures {
    /// The waits of the bystanders; for each field, those of the worst one.
    pub(crate) waits: Waits,
    /// Memory of the server in MiB when the attack began.
    pub(crate) memory_before: f64,
    /// Highest memory of the server in MiB until the attack ended.
    pub(crate) memory_peak: f64,
}

impl Stage {
    /// Starts a server with the settings of a row.
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

    /// Starts the measurement, with one bystander for each worker. The server assigns connections to its workers in
    /// turn, so each bystander is on a different worker.
    pub(crate) fn begin(&mut self) -> Result<()> {
        self.server.reset_peak()?;
        self.memory_before = self.server.memory()?.0;
        for _ in 0..self.workers {
            self.bystanders.push(Bystander::start(self.server.address(), self.server.dialect())?);
        }
        thread::sleep(CALM);
        Ok(())
    }

    /// Ends the measurement.
    pub(crate) fn end(&mut self) -> Result<()> {
        let mut waits = Waits::default();
        for bystander in self.bystanders.drain(..) {
            waits = waits.worse(bystander.stop()?);
        }
        let memory_peak = self.server.memory()?.1;
        self.figures = Some(Figures { waits, memory_before: self.memory_before, memory_peak });
        Ok(())
    }

    /// The measurements; an error if [`Stage::end`] was not called.
    pub(crate) fn figures(self) -> Result<Figures> {
        self.figures.context("the row did not end what it began")
    }

    /// Opens one connection.
    pub(crate) fn client(&self) -> Result<Client> {
        Client::open(self.server.address(), self.server.dialect())
    }

    /// Opens `number` connections.
    pub(crate) fn clients(&self, number: usize) -> Result<Vec<Client>> {
        (0..number).map(|_| self.client()).collect()
    }

    /// Opens `number` connections with a small receive buffer: [`NARROW`] bytes.
    pub(crate) fn narrow_clients(&self, number: usize) -> Result<Vec<Client>> {
        let open = || Client::open_narrow(self.server.address(), self.server.dialect(), NARROW);
        (0..number).map(|_| open()).collect()
    }

    /// Opens `number` connections that subscribe to a topic. When this returns, each has received a publication to it.
    pub(crate) fn readers(&self, number: usize, topic: &str) -> Result<Crowd> {
        self.readers_of(self.clients(number)?, topic)
    }

    /// Subscribes these connections to a topic. When this returns, each has received a publication to it.
    pub(crate) fn readers_of(&self, mut clients: Vec<Client>, topic: &str) -> Result<Crowd> {
        for client in &mut clients {
            match self.server.dialect() {
                Dialect::Typed => drop(client.ask(0, json!({"action": "subscribe", "topic": topic}))?),
                Dialect::Plain => client.send(&frame(&json!({"action": "subscribe", "topic": topic})))?,
            }
        }
        let crowd = Crowd::of(clients)?;
        // Other servers do not answer a subscribe request, so a publication must show that the subscription works.
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

/// How long the bystanders ping before the attack. These waits are the ones to compare with.
const CALM: Duration = Duration::from_millis(500);

/// Receive buffer in bytes of clients that read little or nothing; the operating system doubles it.
const NARROW: usize = 4096;
