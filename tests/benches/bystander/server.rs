//! The server under attack: a process of its own, which is stopped by its handle.

use crate::options::Options;
use crate::wire::Dialect;
use anyhow::{Context, Result, bail, ensure};
use std::collections::VecDeque;
use std::fs;
use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// A running server; it is killed when this is dropped.
pub(crate) struct Server {
    process: Child,
    address: SocketAddr,
    dialect: Dialect,
    said: Arc<Mutex<VecDeque<String>>>,
}

impl Server {
    /// Starts hubcast with these flags besides the usual ones, or the other server of the options, and waits until it
    /// takes connections.
    pub(crate) fn start(options: &Options, workers: usize, flags: &[&str]) -> Result<Self> {
        let address = free_address()?;
        let (mut command, dialect) = match &options.command {
            Some(line) => (other_server(line, address.port())?, Dialect::Plain),
            None => (hubcast(options, address, workers, flags)?, Dialect::Typed),
        };
        let mut process = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start {command:?}"))?;
        let said = Arc::default();
        if let Some(errors) = process.stderr.take() {
            keep_last_lines(errors, Arc::clone(&said));
        }
        let mut server = Self { process, address, dialect, said };
        server.await_listening()?;
        Ok(server)
    }

    fn await_listening(&mut self) -> Result<()> {
        let until = Instant::now() + START_MAX;
        while TcpStream::connect(self.address).is_err() {
            if let Some(status) = self.process.try_wait()? {
                thread::sleep(POLL);
                bail!("the server ended at once ({status}): {}", self.last_words());
            }
            if Instant::now() > until {
                bail!("the server does not listen on {}", self.address);
            }
            thread::sleep(POLL);
        }
        Ok(())
    }

    /// Forgets the peak of its memory so far.
    pub(crate) fn reset_peak(&self) -> Result<()> {
        // "5" is the order to reset VmHWM, see proc_pid_clear_refs(5).
        fs::write(self.proc("clear_refs"), "5").context("cannot reset the peak of the server's memory")
    }

    /// Stops it for so long, as a machine that is suspended does.
    pub(crate) fn suspend(&self, length: Duration) -> Result<()> {
        self.signal("-STOP")?;
        thread::sleep(length);
        self.signal("-CONT")
    }

    fn signal(&self, signal: &str) -> Result<()> {
        let status = Command::new("kill").args([signal, &self.process.id().to_string()]).status()?;
        ensure!(status.success(), "kill {signal} failed");
        Ok(())
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// How it is spoken to.
    pub(crate) fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// What it takes of the memory now, and at most since [`Server::reset_peak`], in MiB.
    pub(crate) fn memory(&self) -> Result<(f64, f64)> {
        let status = fs::read_to_string(self.proc("status")).context("the server is gone")?;
        let field = |name: &str| -> Result<f64> {
            let value = status.lines().find_map(|line| line.strip_prefix(name)).context("no such field in status")?;
            let kibibytes = value.split_whitespace().next().context("an empty field in status")?;
            Ok(kibibytes.parse::<f64>()? / 1024.0)
        };
        Ok((field("VmRSS:")?, field("VmHWM:")?))
    }

    /// How many files it has open: one for each connection, and a few.
    pub(crate) fn open_files(&self) -> Result<usize> {
        Ok(fs::read_dir(self.proc("fd"))?.count())
    }

    /// The last lines that it wrote to standard error.
    pub(crate) fn last_words(&self) -> String {
        let said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        said.iter().map(String::as_str).collect::<Vec<_>>().join("\n")
    }

    fn proc(&self, name: &str) -> String {
        format!("/proc/{}/{name}", self.process.id())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Both fail only where it has ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn hubcast(options: &Options, address: SocketAddr, workers: usize, flags: &[&str]) -> Result<Command> {
    let program = options.program()?;
    let mut command = Command::new(program);
    command.args(["--listen", &address.to_string(), "--workers", &workers.to_string()]);
    command.args(["--log-level", "warn"]).args(flags);
    Ok(command)
}

/// The command is split at white space, so that no shell stands between us and the server's process.
fn other_server(line: &str, port: u16) -> Result<Command> {
    let line = line.replace("{port}", &port.to_string());
    let mut words = line.split_whitespace();
    let mut command = Command::new(words.next().context("the command is empty")?);
    command.args(words);
    Ok(command)
}

/// An address on which nobody listens now.
fn free_address() -> Result<SocketAddr> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?)
}

fn keep_last_lines(errors: ChildStderr, said: Arc<Mutex<VecDeque<String>>>) {
    thread::spawn(move || {
        for line in BufReader::new(errors).lines().map_while(Result::ok) {
            let mut said = said.lock().unwrap_or_else(PoisonError::into_inner);
            if said.len() == LAST_LINES {
                said.pop_front();
            }
            said.push_back(line);
        }
    });
}

/// How long a server may take until it listens.
const START_MAX: Duration = Duration::from_secs(20);

/// Between two looks.
const POLL: Duration = Duration::from_millis(20);

/// How many lines of the server's log are kept for the message of a failure.
const LAST_LINES: usize = 5;
