//! The report of a load: a table for people, JSON for scripts.

use super::args::BenchArgs;
use super::faults::Faults;
use super::latency::Latency;
use super::machine::Machine;
use super::timeline::Moment;
use super::usage::Usage;
use anyhow::{bail, ensure};
use hdrhistogram::Histogram;
use indicatif::{BinaryBytes, HumanCount};
use serde::Serialize;
use std::fmt;
use std::time::Duration;

/// The results of one run.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    asked: BenchArgs,
    /// The unit of `count`: `deliveries` or `cycles`.
    unit: &'static str,
    count: u64,
    seconds: f64,
    per_second: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    latency_us: Option<Latency>,
    pub(super) faults: Faults,
    #[serde(skip_serializing_if = "Option::is_none")]
    server: Option<Server>,
    loader: Cpu,
    machine: Machine,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    timeline: Vec<Moment>,
    /// Percentiles as a curve: pairs of a quantile and microseconds.
    #[serde(skip)]
    curve: Vec<(f64, f64)>,
}

impl Report {
    /// A report of `count` things of `unit` that were done while `usage` was measured.
    pub(super) fn new(
        asked: BenchArgs,
        unit: &'static str,
        count: u64,
        latency: &Histogram<u64>,
        usage: Usage,
    ) -> Self {
        let seconds = usage.elapsed.as_secs_f64();
        let server = usage.server.map(|(cpu, memory)| Server {
            cpu: Cpu::new(cpu, seconds),
            per_cpu_second: (!cpu.is_zero()).then(|| count as f64 / cpu.as_secs_f64()),
            pss_bytes: memory,
            pss_bytes_per_idle: None,
        });
        Self {
            asked,
            unit,
            count,
            seconds,
            per_second: count as f64 / seconds,
            latency_us: Latency::new(latency),
            faults: Faults::default(),
            server,
            loader: Cpu::new(usage.loader_cpu, seconds),
            machine: Machine::this(),
            timeline: Vec::new(),
            curve: latency
                .iter_quantiles(5)
                .map(|step| (step.quantile_iterated_to(), step.value_iterated_to() as f64 / 1000.0))
                .collect(),
        }
    }

    /// The same, with what was done from moment to moment.
    pub(super) fn with_timeline(self, timeline: Vec<Moment>) -> Self {
        Self { timeline, ..self }
    }

    pub(super) fn asked(&self) -> &BenchArgs {
        &self.asked
    }

    pub(super) fn unit(&self) -> &'static str {
        self.unit
    }

    pub(super) fn timeline(&self) -> &[Moment] {
        &self.timeline
    }

    pub(super) fn curve(&self) -> &[(f64, f64)] {
        &self.curve
    }

    pub(super) fn latency(&self) -> Option<&Latency> {
        self.latency_us.as_ref()
    }

    pub(super) fn per_second(&self) -> f64 {
        self.per_second
    }

    pub(super) fn machine(&self) -> &Machine {
        &self.machine
    }

    /// Adds the memory of one idle connection, given the server's memory before they were opened, in bytes. Does
    /// nothing if there is traffic too, because its memory could not be separated.
    pub(super) fn idle_memory(&mut self, before: u64) {
        let alone = self.asked_only_idle();
        if let Some(server) = self.server.as_mut().filter(|_| alone) {
            server.pss_bytes_per_idle = server.pss_bytes.saturating_sub(before).checked_div(u64::from(self.asked.idle));
        }
    }

    /// # Errors
    /// When the server did not do all that was asked, once and in order.
    pub(super) fn verdict(&self) -> anyhow::Result<()> {
        if !self.faults.none() {
            let first = self.faults.first.as_deref().map(|first| format!("; first: {first}")).unwrap_or_default();
            bail!("the server failed: {}{first}", self.faults);
        }
        ensure!(self.count > 0 || self.asked_only_idle(), "the server did nothing in the time measured");
        Ok(())
    }

    fn asked_only_idle(&self) -> bool {
        self.asked.churn.is_none() && self.asked.subscribers == 0
    }

    fn write_load(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let asked = &self.asked;
        if let Some(clients) = asked.churn {
            return writeln!(f, "{:<12}{} clients at once come and go", "load", HumanCount(clients.into()));
        }
        if asked.idle > 0 {
            writeln!(f, "{:<12}{} idle connections", "load", HumanCount(asked.idle.into()))?;
        }
        if asked.subscribers == 0 {
            return Ok(());
        }
        write!(
            f,
            "{:<12}topics {}, subscribers {} each, publishers {} each, {} bytes, ",
            "load", asked.topics, asked.subscribers, asked.publishers, asked.payload
        )?;
        match asked.rate {
            Some(rate) => writeln!(f, "{rate} publications a second"),
            None => writeln!(f, "{} outstanding", asked.outstanding.unwrap_or(1)),
        }
    }

    fn write_server(&self, f: &mut fmt::Formatter<'_>, server: &Server) -> fmt::Result {
        write!(f, "{:<12}{}", "server", server.cpu)?;
        if let Some(per_second) = server.per_cpu_second {
            write!(f, ", {} {} per CPU second", whole(per_second), self.unit)?;
        }
        write!(f, "\n{:<12}{} (PSS)", "memory", BinaryBytes(server.pss_bytes))?;
        if let Some(bytes) = server.pss_bytes_per_idle {
            write!(f, ", {} for each of {} idle connections", BinaryBytes(bytes), HumanCount(self.asked.idle.into()))?;
        }
        writeln!(f)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write_load(f)?;
        let (count, rate) = (HumanCount(self.count), whole(self.per_second));
        if !self.asked_only_idle() {
            writeln!(f, "{:<12}{count} in {:.1} s, {rate} a second", self.unit, self.seconds)?;
        }
        if let Some(latency) = &self.latency_us {
            writeln!(f, "{:<12}{latency}", "latency")?;
        }
        writeln!(f, "{:<12}{}", "faults", self.faults)?;
        if let Some(server) = &self.server {
            self.write_server(f, server)?;
        }
        writeln!(f, "{:<12}{}", "loader", self.loader)?;
        if self.loader.share > 0.95 {
            writeln!(f, "{:<12}the loader never rested: it may have set the pace, not the server", "")?;
        }
        Ok(())
    }
}

/// The server's results.
#[derive(Debug, Serialize)]
struct Server {
    #[serde(flatten)]
    cpu: Cpu,
    #[serde(skip_serializing_if = "Option::is_none")]
    per_cpu_second: Option<f64>,
    pss_bytes: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pss_bytes_per_idle: Option<u64>,
}

/// CPU time, and its share of one core.
#[derive(Debug, Serialize)]
struct Cpu {
    #[serde(rename = "cpu_seconds")]
    seconds: f64,
    #[serde(rename = "cpu_share")]
    share: f64,
}

impl Cpu {
    fn new(used: Duration, elapsed: f64) -> Self {
        Self { seconds: used.as_secs_f64(), share: used.as_secs_f64() / elapsed }
    }
}

impl fmt::Display for Cpu {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.2} s of CPU ({:.0} % of a core)", self.seconds, self.share * 100.0)
    }
}

/// A rate as a whole number with separators.
pub(super) fn whole(number: f64) -> String {
    let digits = format!("{number:.0}");
    digits.parse().map_or(digits, |number| HumanCount(number).to_string())
}
