//! The CPU time and memory of the server's process and of the loader, from `/proc`.

use anyhow::Context;
use std::fs;
use std::time::{Duration, Instant};

/// A measurement, from [`begin`](Self::begin) to [`end`](Self::end).
#[derive(Debug)]
pub(super) struct Meter {
    begun: Instant,
    server: Option<(Process, Duration)>,
    loader: (Process, Duration),
}

impl Meter {
    pub(super) fn begin(server: Option<Process>) -> anyhow::Result<Self> {
        let read = |process: Process| process.cpu().map(|cpu| (process, cpu));
        Ok(Self { server: server.map(read).transpose()?, loader: read(Process::own())?, begun: Instant::now() })
    }

    pub(super) fn end(self) -> anyhow::Result<Usage> {
        let elapsed = self.begun.elapsed();
        let since = |(process, before): &(Process, Duration)| process.cpu().map(|cpu| cpu.saturating_sub(*before));
        let server_cpu = self.server.as_ref().map(since).transpose()?;
        let loader_cpu = since(&self.loader)?;
        let memory = self.server.map(|(process, _)| process.memory()).transpose()?;
        Ok(Usage { elapsed, loader_cpu, server: server_cpu.zip(memory) })
    }
}

/// The CPU time and memory that were used in a measurement.
#[derive(Clone, Copy, Debug)]
pub(super) struct Usage {
    pub(super) elapsed: Duration,
    pub(super) loader_cpu: Duration,
    /// The server's CPU time, and its memory at the end, in bytes.
    pub(super) server: Option<(Duration, u64)>,
}

/// A process whose CPU time and memory are measured.
#[derive(Clone, Debug)]
pub(super) struct Process {
    folder: String,
}

impl Process {
    /// # Errors
    /// When there is no such process, or this user may not read its data.
    pub(super) fn with_id(id: u32) -> anyhow::Result<Self> {
        let process = Self { folder: format!("/proc/{id}") };
        process.cpu().with_context(|| format!("cannot measure process {id}"))?;
        Ok(process)
    }

    /// This process.
    pub(super) fn own() -> Self {
        Self { folder: "/proc/self".to_owned() }
    }

    /// The CPU time of all its threads, including time in the kernel; exact to ten milliseconds.
    pub(super) fn cpu(&self) -> anyhow::Result<Duration> {
        let path = format!("{}/stat", self.folder);
        let stat = fs::read_to_string(&path).with_context(|| format!("cannot read {path}, which only Linux has"))?;
        ticks(&stat).map(|ticks| TICK * ticks).with_context(|| format!("{path} is not as proc(5) has it"))
    }

    /// The proportional set size of the process, in bytes.
    pub(super) fn memory(&self) -> anyhow::Result<u64> {
        let path = format!("{}/smaps_rollup", self.folder);
        let rollup = fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
        pss(&rollup).with_context(|| format!("{path} is not as proc(5) has it"))
    }
}

/// The sum of `utime` and `stime`. The name of the process before them may contain spaces and brackets.
fn ticks(stat: &str) -> Option<u32> {
    let (_, fields) = stat.rsplit_once(')')?;
    let mut times = fields.split_ascii_whitespace().skip(11).map(str::parse::<u32>);
    Some(times.next()?.ok()? + times.next()?.ok()?)
}

fn pss(rollup: &str) -> Option<u64> {
    let line = rollup.lines().find_map(|line| line.strip_prefix("Pss:"))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1024)
}

/// The kernel's `USER_HZ`, which is 100 on every architecture that servers run on.
const TICK: Duration = Duration::from_millis(10);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_times_are_found_behind_any_name() {
        let stat = "42 (a (b) c) R 1 42 42 0 -1 4194304 102 0 0 0 17 5 0 0 20 0 1 0 123 456 789";
        assert_eq!(ticks(stat), Some(22));
        assert_eq!(ticks("42 (cut"), None);
    }

    #[test]
    fn the_proportional_size_is_in_bytes() {
        let rollup = "55d0-7ffd ---p 00000000 00:00 0 [rollup]\nRss:  2000 kB\nPss:    1234 kB\nPss_Dirty: 10 kB\n";
        assert_eq!(pss(rollup), Some(1234 * 1024));
    }

    #[test]
    fn this_process_can_be_measured() {
        let own = Process::own();
        assert!(own.cpu().is_ok());
        assert!(own.memory().is_ok_and(|bytes| bytes > 0));
        assert!(Process::with_id(u32::MAX).is_err());
    }
}
