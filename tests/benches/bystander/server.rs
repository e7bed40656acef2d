//! The server under attack, in a process of its own.

use crate::options::Options;
use crate::wire::Dialect;
use anyhow::{Context, Result, bail, ensure};
use hubcast_tests::SECRET;
use std::collections::VecDeque;
use std::fs;
use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// A running server; dropping this kills it.
pub(crate) struct Server {
    process: Child,
    address: SocketAddr,
    dialect: Dialect,
    said: Arc<Mutex<VecDeque<String>>>,
}

impl Server {
    /// Starts hubcast with `flags` besides the usual ones, or the other server that the options name. Returns when the
    /// server accepts connections.
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

    /// Waits until the server accepts a connection; fails if it ends before or takes longer than [`START_MAX`].
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

    /// Resets the peak of the server's memory.
    pub(crate) fn reset_peak(&self) -> Result<()> {
        // Writing "5" resets VmHWM; see proc_pid_clear_refs(5).
        fs::write(self.proc("clear_refs"), "5").context("cannot reset the peak of the server's memory")
    }

    /// Stops the process for `length`, as if the machine was suspended.
    pub(crate) fn suspend(&self, length: Duration) -> Result<()> {
        self.signal("-STOP")?;
        thread::sleep(length);
        self.signal("-CONT")
    }

    /// Sends a signal to the process.
    fn signal(&self, signal: &str) -> Result<()> {
        let status = Command::new("kill").args([signal, &self.process.id().to_string()]).status()?;
        ensure!(status.success(), "kill {signal} failed");
        Ok(())
    }

    /// The address on which the server listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// The dialect in which clients speak to the server.
    pub(crate) fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// The server's memory in MiB: now, and at most since [`Server::reset_peak`].
    pub(crate) fn memory(&self) -> Result<(f64, f64)> {
        let status = fs::read_to_string(self.proc("status")).context("the server is gone")?;
        let field = |name: &str| -> Result<f64> {
            let value = status.lines().find_map(|line| line.strip_prefix(name)).context("no such field in status")?;
            let kibibytes = value.split_whitespace().next().context("an empty field in status")?;
            Ok(kibibytes.parse::<f64>()? / 1024.0)
        };
        Ok((field("VmRSS:")?, field("VmHWM:")?))
    }

    /// Number of files that the process has open: one for each connection, and a few others.
    pub(crate) fn open_files(&self) -> Result<usize> {
        Ok(fs::read_dir(self.proc("fd"))?.count())
    }

    /// The last lines that the server wrote to standard error.
    pub(crate) fn last_words(&self) -> String {
        let said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        said.iter().map(String::as_str).collect::<Vec<_>>().join("\n")
    }

    /// The path of a file of the process in `/proc`.
    fn proc(&self, name: &str) -> String {
        format!("/proc/{}/{name}", self.process.id())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Both calls fail only if the process has already ended.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The command that starts hubcast.
fn hubcast(options: &Options, address: SocketAddr, workers: usize, flags: &[&str]) -> Result<Command> {
    let program = options.program()?;
    let mut command = Command::new(program);
    command.args(["--listen", &address.to_string(), "--workers", &workers.to_string()]);
    command.args(["--log-level", "warn"]).args(flags);
    if options.tokens {
        command.args(["--tokens", &format!("{{ keys = [{{ secret = {SECRET:?} }}] }}")]);
    }
    Ok(command)
}

/// The command that starts another server. It is split at white space and not run by a shell, so that its process is
/// the server's.
fn other_server(line: &str, port: u16) -> Result<Command> {
    let line = line.replace("{port}", &port.to_string());
    let mut words = line.split_whitespace();
    let mut command = Command::new(words.next().context("the command is empty")?);
    command.args(words);
    Ok(command)
}

/// An address on which no server listens now.
fn free_address() -> Result<SocketAddr> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?)
}

/// Starts a thread that keeps the last [`LAST_LINES`] lines of standard error.
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

/// How long a server may take until it accepts connections.
const START_MAX: Duration = Duration::from_secs(20);

/// Time between two checks of the process.
const POLL: Duration = Duration::from_millis(20);

/// Lines of the server's log that are kept for an error message.
const LAST_LINES: usize = 5;
