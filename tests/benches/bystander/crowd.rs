//! Many connections that read all they receive, as fast as they can, and count it.
//!
//! Two threads read for all connections, with one buffer each: the bench must not make an honest reader slow.

use crate::wire::{Client, Counted, Counter};
use anyhow::{Context, Result, anyhow};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::net::TcpStream as StdStream;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};
use tokio::net::TcpStream;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::oneshot;
use tokio::task::LocalSet;

/// Connections that read and answer pings until this is dropped.
pub(crate) struct Crowd {
    counts: Arc<Counts>,
    threads: Vec<(oneshot::Sender<()>, JoinHandle<()>)>,
}

/// What the connections of a crowd have received.
struct Counts {
    messages: Vec<AtomicU64>,
    bytes: AtomicU64,
    /// Number of closed connections by close code; `None` if a connection was cut without one.
    closed: Mutex<BTreeMap<Option<u16>, usize>>,
}

impl Crowd {
    /// Takes these connections over; they answer pings at once.
    pub(crate) fn of(clients: Vec<Client>) -> Result<Self> {
        Self::answering_after(Duration::ZERO, clients)
    }

    /// Takes these connections over; they answer each ping after `pause`.
    pub(crate) fn answering_after(pause: Duration, clients: Vec<Client>) -> Result<Self> {
        let counts = Arc::new(Counts {
            messages: clients.iter().map(|_| AtomicU64::new(0)).collect(),
            bytes: AtomicU64::new(0),
            closed: Mutex::default(),
        });
        let mut shares: Vec<Vec<(usize, StdStream)>> = (0..THREADS).map(|_| Vec::new()).collect();
        for (index, client) in clients.into_iter().enumerate() {
            let stream = client.into_stream()?;
            stream.set_nonblocking(true)?;
            shares[index % THREADS].push((index, stream));
        }
        let mut threads = Vec::new();
        for share in shares {
            let (stop, stopped) = oneshot::channel();
            let (runtime, counts) = (runtime()?, Arc::clone(&counts));
            let thread = thread::spawn(move || {
                let reading = Reading { pause, counts, scratch: RefCell::new(vec![0; SCRATCH]) };
                read_all(&runtime, share, reading, stopped);
            });
            threads.push((stop, thread));
        }
        Ok(Self { counts, threads })
    }

    /// Number of connections, including closed ones.
    pub(crate) fn len(&self) -> usize {
        self.counts.messages.len()
    }

    /// Number of messages that each connection has received.
    pub(crate) fn messages(&self) -> Vec<u64> {
        self.counts.messages.iter().map(|count| count.load(Ordering::Relaxed)).collect()
    }

    /// The smallest number of messages that any connection received since `before`.
    pub(crate) fn heard_by_each_since(&self, before: &[u64]) -> u64 {
        self.messages().iter().zip(before).map(|(now, before)| now - before).min().unwrap_or(0)
    }

    /// Bytes that all connections have read.
    pub(crate) fn bytes(&self) -> u64 {
        self.counts.bytes.load(Ordering::Relaxed)
    }

    /// Number of connections that were closed or cut.
    pub(crate) fn closed(&self) -> usize {
        self.counts.closed().values().sum()
    }

    /// Text for the table: how many connections were closed, and with which codes.
    pub(crate) fn closed_in_words(&self) -> String {
        let closed = self.counts.closed();
        let codes = closed.iter().map(|(code, count)| match code {
            Some(code) => format!("{code} × {count}"),
            None => format!("no code × {count}"),
        });
        let codes = codes.collect::<Vec<_>>().join(", ");
        let number = closed.values().sum::<usize>();
        if number == 0 { "none closed".to_owned() } else { format!("{number} of {} closed ({codes})", self.len()) }
    }

    /// Waits until every open connection has received `more` messages since `before`, or `patience` is over. Returns
    /// the number of connections that have received them.
    pub(crate) fn await_messages(&self, before: &[u64], more: u64, patience: Duration) -> usize {
        let until = Instant::now() + patience;
        loop {
            let now = self.messages();
            let complete = now.iter().zip(before).filter(|(now, before)| **now >= **before + more).count();
            if complete + self.closed() >= self.len() || Instant::now() > until {
                return complete;
            }
            thread::sleep(POLL);
        }
    }

    /// Waits until no connection has received a byte for [`QUIET`].
    pub(crate) fn await_quiet(&self) {
        let mut heard = self.bytes();
        loop {
            thread::sleep(QUIET);
            let now = self.bytes();
            if now == heard {
                return;
            }
            heard = now;
        }
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        for (stop, thread) in self.threads.drain(..) {
            // This fails only if the thread has already ended.
            let _ = stop.send(());
            let _ = thread.join();
        }
    }
}

impl Counts {
    /// Locks the counts of closed connections.
    fn closed(&self) -> MutexGuard<'_, BTreeMap<Option<u16>, usize>> {
        self.closed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A runtime for one thread, with sockets and timers.
pub(crate) fn runtime() -> Result<Runtime> {
    Builder::new_current_thread().enable_all().build().context("no runtime for the connections")
}

/// What the connections of one thread share.
struct Reading {
    pause: Duration,
    counts: Arc<Counts>,
    scratch: RefCell<Vec<u8>>,
}

/// Reads with the connections of one thread until `stopped` is sent.
fn read_all(runtime: &Runtime, share: Vec<(usize, StdStream)>, reading: Reading, stopped: oneshot::Receiver<()>) {
    let (local, reading) = (LocalSet::new(), Rc::new(reading));
    for (index, stream) in share {
        let reading = Rc::clone(&reading);
        local.spawn_local(async move {
            let code = reading.read_one(index, stream).await.unwrap_or(None);
            *reading.counts.closed().entry(code).or_default() += 1;
        });
    }
    // The sender was dropped instead of used: that is the end too.
    let _ = runtime.block_on(local.run_until(stopped));
}

impl Reading {
    /// Reads until the connection ends; returns its close code if it had one.
    async fn read_one(&self, index: usize, stream: StdStream) -> Result<Option<u16>> {
        let stream = Rc::new(TcpStream::from_std(stream)?);
        let mut counter = Counter::default();
        loop {
            stream.readable().await?;
            let mut scratch = self.scratch.borrow_mut();
            let length = match stream.try_read(&mut scratch) {
                Ok(0) => return Err(anyhow!("cut")),
                Ok(length) => length,
                Err(fault) if fault.kind() == ErrorKind::WouldBlock => continue,
                Err(fault) => return Err(fault.into()),
            };
            let (mut messages, mut pongs, mut code) = (0, Vec::new(), None);
            counter.take(&scratch[..length], |counted| match counted {
                Counted::Message => messages += 1,
                Counted::Ping(pong) => pongs.extend(pong),
                Counted::Close(closed) => code = Some(closed),
            });
            self.counts.messages[index].fetch_add(messages, Ordering::Relaxed);
            self.counts.bytes.fetch_add(length as u64, Ordering::Relaxed);
            if code.is_some() {
                return Ok(code);
            }
            if !pongs.is_empty() {
                self.answer(&stream, pongs);
            }
        }
    }

    /// Writes pongs after the pause. They fit into any socket buffer that is not already full of pongs.
    fn answer(&self, stream: &Rc<TcpStream>, pongs: Vec<u8>) {
        if self.pause.is_zero() {
            // An error is ignored: reading finds out that the connection is gone.
            let _ = stream.try_write(&pongs);
            return;
        }
        let (stream, pause) = (Rc::clone(stream), self.pause);
        tokio::task::spawn_local(async move {
            tokio::time::sleep(pause).await;
            let _ = stream.try_write(&pongs);
        });
    }
}

/// Threads that read.
const THREADS: usize = 2;

/// Bytes of the read buffer of one thread.
const SCRATCH: usize = 256 * 1024;

/// Time between two checks of the counts.
const POLL: Duration = Duration::from_millis(50);

/// After this time without a byte, nothing is on its way any more.
const QUIET: Duration = Duration::from_millis(300);
