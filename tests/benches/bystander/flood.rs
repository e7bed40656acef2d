//! Connections that write as much as the server reads.

use crate::crowd::runtime;
use crate::wire::Client;
use anyhow::{Result, anyhow};
use std::io::ErrorKind;
use std::net::TcpStream as StdStream;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Instant;
use tokio::net::TcpStream;
use tokio::runtime::Runtime;
use tokio::task::LocalSet;

/// A thread that writes with many connections until all blocks are written or the time is over. The connections stay
/// open until the [`Spent`] is dropped, so that the server loses nothing of what they wrote.
pub(crate) struct Flood {
    written: Arc<AtomicU64>,
    thread: JoinHandle<Result<Vec<StdStream>>>,
}

/// Makes the block that a connection writes next: takes the number of the block and returns its frames, or `None` at
/// the end. Each connection counts its blocks from 0.
pub(crate) type Blocks = Box<dyn Fn(u64) -> Option<Arc<[u8]>> + Send>;

/// The connections of a flood that is over. They stay open until this is dropped.
pub(crate) struct Spent {
    /// Bytes that the operating system accepted from all connections.
    pub(crate) written: u64,
    _streams: Vec<StdStream>,
}

impl Flood {
    /// Starts to write with all connections at once, until `until` at the latest.
    pub(crate) fn start(clients: Vec<Client>, blocks: Blocks, until: Instant) -> Result<Self> {
        let streams = clients.into_iter().map(Client::into_stream).collect::<Result<Vec<_>>>()?;
        let (written, runtime) = (Arc::<AtomicU64>::default(), runtime()?);
        let count = Arc::clone(&written);
        let thread = thread::spawn(move || write_all(&runtime, streams, blocks, until, &count));
        Ok(Self { written, thread })
    }

    /// Waits until the flood is over.
    pub(crate) fn wait(self) -> Result<Spent> {
        let streams = self.thread.join().map_err(|_| anyhow!("the flood panicked"))??;
        Ok(Spent { written: self.written.load(Ordering::Relaxed), _streams: streams })
    }
}

/// Repeats one block without end.
pub(crate) fn always(block: Vec<u8>) -> Blocks {
    let block: Arc<[u8]> = block.into();
    Box::new(move |_| Some(Arc::clone(&block)))
}

/// Repeats one block `times` times.
pub(crate) fn times(block: Vec<u8>, times: u64) -> Blocks {
    let block: Arc<[u8]> = block.into();
    Box::new(move |number| (number < times).then(|| Arc::clone(&block)))
}

/// Writes with all connections at once, and returns them when all have finished.
fn write_all(
    runtime: &Runtime,
    streams: Vec<StdStream>,
    blocks: Blocks,
    until: Instant,
    written: &Arc<AtomicU64>,
) -> Result<Vec<StdStream>> {
    let (local, blocks) = (LocalSet::new(), Rc::new(blocks));
    let mut tasks = Vec::new();
    for stream in &streams {
        stream.set_nonblocking(true)?;
        let stream = stream.try_clone()?;
        let (blocks, written) = (Rc::clone(&blocks), Arc::clone(written));
        tasks.push(local.spawn_local(async move {
            // If the server closes a connection, that connection has written enough.
            let _ = tokio::time::timeout_at(until.into(), write_one(stream, &blocks, &written)).await;
        }));
    }
    runtime.block_on(local.run_until(async {
        for task in tasks {
            task.await?;
        }
        Ok(streams)
    }))
}

/// Writes all blocks with one connection, and adds the bytes to `written`.
async fn write_one(stream: StdStream, blocks: &Blocks, written: &AtomicU64) -> Result<()> {
    let stream = TcpStream::from_std(stream)?;
    for number in 0.. {
        let Some(block) = blocks(number) else { break };
        let mut left = &block[..];
        while !left.is_empty() {
            stream.writable().await?;
            match stream.try_write(left) {
                Ok(length) => {
                    left = &left[length..];
                    written.fetch_add(length as u64, Ordering::Relaxed);
                }
                Err(fault) if fault.kind() == ErrorKind::WouldBlock => {}
                Err(fault) => return Err(fault.into()),
            }
        }
    }
    Ok(())
}
