//! The thread of a worker: its runtime, its tasks, and how it ends.

use crate::Config;
use crate::accept::accept_all;
use crate::account::Account;
use crate::http::Http;
use crate::hurry::Hurried;
use crate::limit::{ConnectionLimit, Permit};
use crate::paced::{Paced, Warnings};
use crate::runtime::Runtime;
use crate::service::Service;
use crate::worker::{Core, Worker};
use std::cell::Cell;
use std::future::pending;
use std::io;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, LocalOptions};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender};
use tokio::sync::{Barrier, Notify, watch};
use tokio::task::{JoinError, JoinSet, spawn_local};
use tokio::time::timeout;

/// A connection that another worker accepted, and whence it comes.
type Dealt = (std::net::TcpStream, SocketAddr, Permit);

/// What one worker is given.
pub(crate) struct Seat {
    pub(crate) config: Arc<Config>,
    pub(crate) account: Arc<Account>,
    pub(crate) warnings: Arc<Warnings>,
    pub(crate) wake: Arc<Notify>,
    pub(crate) draining: watch::Receiver<bool>,
    pub(crate) hurried: Hurried,
    pub(crate) dealt: UnboundedReceiver<Dealt>,
    /// Where workers that are drained wait for the others: the first one still answers that the server is not ready.
    pub(crate) drained: Arc<Barrier>,
    /// Only the first worker accepts: no thread of its own has to be woken for each connection.
    pub(crate) gate: Option<Gate>,
}

/// What the accepting worker is given.
pub(crate) struct Gate {
    pub(crate) listeners: Vec<std::net::TcpListener>,
    pub(crate) limit: Arc<ConnectionLimit>,
    /// Where to hand connections to each worker.
    pub(crate) entrances: Vec<UnboundedSender<Dealt>>,
}

/// Starts the thread of a worker; how it ended is told to `exit`.
pub(crate) fn start<S: Service + Send>(
    number: usize,
    seat: Seat,
    service: S,
    exit: UnboundedSender<io::Result<()>>,
) -> io::Result<()> {
    std::thread::Builder::new().name(format!("worker-{number}")).spawn(move || {
        let ended = catch_unwind(AssertUnwindSafe(|| {
            let runtime = Builder::new_current_thread().enable_all().build_local(LocalOptions::default())?;
            runtime.block_on(serve(number, seat, service))
        }));
        let ended = ended.unwrap_or_else(|_| Err(io::Error::other(format!("worker {number} ended by a fault"))));
        // Nobody listens any more when another worker has failed before.
        let _ = exit.send(ended);
    })?;
    Ok(())
}

async fn serve<S: Service>(number: usize, seat: Seat, service: S) -> io::Result<()> {
    let Seat { config, account, warnings, wake, mut draining, mut hurried, dealt, drained: all, gate } = seat;
    let core = Core::new(number, Runtime::Tokio, Arc::clone(&config), account, Arc::clone(&warnings), wake);
    let worker = Worker::new(core, service);
    let http = Http::new(Rc::clone(&worker), draining.clone(), Arc::clone(&warnings));
    let mut tasks = JoinSet::new();
    if let Some(gate) = gate {
        tasks.spawn_local(async move { warnings.tell_by_the_minute().await });
        // The listeners deal out as one: each worker has its turn, wherever the next connection comes.
        let (entrances, next) = (Rc::new(gate.entrances), Rc::new(Cell::new(0)));
        for listener in gate.listeners {
            let listener = TcpListener::from_std(listener)?;
            let (http, entrances, next) = (Rc::clone(&http), Rc::clone(&entrances), Rc::clone(&next));
            let accept = async move || listener.accept().await;
            tasks.spawn_local(accept_all(accept, Arc::clone(&gate.limit), move |(stream, address), permit| {
                let turn = (next.get() + 1) % entrances.len();
                next.set(turn);
                if turn == 0 {
                    spawn_local(Rc::clone(&http).serve(stream, address, permit));
                } else if let Ok(stream) = stream.into_std() {
                    // A worker that has ended takes its connections with it.
                    let _ = entrances[turn].send((stream, address, permit));
                }
            }));
        }
    }
    tasks.spawn_local(take_dealt(http, dealt));
    tasks.spawn_local(Rc::clone(&worker).watch_deadlines());
    tasks.spawn_local(worker.turnstile().go_round());
    tasks.spawn_local(worker.catching_up().go_round());
    tasks.spawn_local(Rc::clone(&worker).turns());
    let drained = async {
        // The sender lives as long as the server runs.
        let _ = draining.wait_for(|draining| *draining).await;
        let sending_away = spawn_local(Rc::clone(&worker).drain());
        tokio::select! {
            gone = timeout(config.drain.deadline, worker.idle()) => {
                if gone.is_err() {
                    tracing::warn!(worker = number, connections = worker.len(), "some connections did not go in time and were cut");
                }
            }
            () = hurried.told() => {
                sending_away.abort();
                worker.send_all_away();
                let _ = timeout(LAST_WORDS, worker.idle()).await;
            }
        }
        // A worker that has ended by a fault does not come.
        tokio::select! {
            _ = timeout(config.drain.deadline, all.wait()) => {}
            () = hurried.told() => {}
        }
    };
    tokio::select! {
        fault = fault_of(tasks) => Err(io::Error::other(fault)),
        () = drained => Ok(()),
    }
}

/// Waits for a task to end by a fault. A worker that lacks one of them would live on and not work.
async fn fault_of(mut tasks: JoinSet<()>) -> JoinError {
    loop {
        match tasks.join_next().await {
            Some(Err(fault)) => return fault,
            Some(Ok(())) => {}
            None => pending().await,
        }
    }
}

async fn take_dealt<S: Service>(http: Rc<Http<S>>, mut dealt: UnboundedReceiver<Dealt>) {
    let mut faults = Paced::default();
    while let Some((stream, address, permit)) = dealt.recv().await {
        match TcpStream::from_std(stream) {
            Ok(stream) => _ = spawn_local(Rc::clone(&http).serve(stream, address, permit)),
            Err(fault) => {
                if let Some(times) = faults.note(Instant::now()) {
                    tracing::warn!(%fault, times, "cannot serve a connection");
                }
            }
        }
    }
}

/// How long connections have to be told that they are sent away by a server that hurries.
const LAST_WORDS: Duration = Duration::from_millis(200);
