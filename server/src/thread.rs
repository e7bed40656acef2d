//! The thread of a worker: its runtime, its tasks, and how it ends.

use crate::Config;
use crate::accept::accept_all;
use crate::account::Account;
use crate::error::RunError;
use crate::http::Http;
use crate::limit::{ConnectionLimit, Permit};
use crate::runtime::Runtime;
use crate::service::Service;
use crate::tasks::{self, Tasks};
use crate::worker::{Core, Worker};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::Arc;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, LocalOptions};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender};
use tokio::sync::{Barrier, Notify, watch};
use tokio::time::timeout;

/// A connection that another worker accepted.
type Dealt = (std::net::TcpStream, Permit);

/// What one worker is given.
pub(crate) struct Seat {
    pub(crate) config: Arc<Config>,
    pub(crate) account: Arc<Account>,
    pub(crate) wake: Arc<Notify>,
    pub(crate) draining: watch::Receiver<bool>,
    pub(crate) dealt: UnboundedReceiver<Dealt>,
    /// Where workers that are drained wait for the others: the first one still answers that the server is not ready.
    pub(crate) drained: Arc<Barrier>,
    /// Only the first worker accepts: no thread of its own has to be woken for each connection.
    pub(crate) gate: Option<Gate>,
}

/// What the accepting worker is given.
pub(crate) struct Gate {
    pub(crate) listener: std::net::TcpListener,
    pub(crate) limit: Arc<ConnectionLimit>,
    /// Where to hand connections to each worker.
    pub(crate) entrances: Vec<UnboundedSender<Dealt>>,
}

/// Starts the thread of a worker; how it ended is told to `exit`.
pub(crate) fn start<S: Service + Send>(
    number: usize,
    seat: Seat,
    service: S,
    exit: UnboundedSender<Result<(), RunError>>,
) -> io::Result<()> {
    std::thread::Builder::new().name(format!("worker-{number}")).spawn(move || {
        let ended = catch_unwind(AssertUnwindSafe(|| {
            let start = |source| RunError::Start { worker: number, source };
            let runtime = Builder::new_current_thread().enable_all().build_local(LocalOptions::default());
            runtime.map_err(start)?.block_on(serve(number, seat, service))
        }));
        let ended = match ended {
            Ok(ended) => ended,
            Err(panic) => match tasks::message(&*panic) {
                Some(message) => Err(RunError::Panicked { worker: number, message }),
                None => return,
            },
        };
        // Nobody listens any more when another worker has failed before.
        let _ = exit.send(ended);
    })?;
    Ok(())
}

async fn serve<S: Service>(number: usize, seat: Seat, service: S) -> Result<(), RunError> {
    let Seat { config, account, wake, mut draining, dealt, drained: all, gate } = seat;
    let (tasks, server) = (Tasks::default(), draining.clone());
    let runtime = Runtime::Tokio(tasks.clone());
    let worker = Worker::new(Core::new(number, runtime, Arc::clone(&config), account, wake), service);
    let http = Http::new(Rc::clone(&worker), draining.clone());
    if let Some(Gate { listener, limit, entrances }) = gate {
        let listener = TcpListener::from_std(listener);
        let listener = listener.map_err(|source| RunError::Start { worker: number, source })?;
        let accept = async move || listener.accept().await.map(|(stream, _)| stream);
        tasks.spawn(accept_all(accept, limit, deal_out(Rc::clone(&http), tasks.clone(), entrances)));
    }
    tasks.spawn(take_dealt(http, tasks.clone(), dealt));
    tasks.spawn(Rc::clone(&worker).watch_deadlines());
    tasks.spawn(worker.turnstile().go_round());
    tasks.spawn(worker.catching_up().go_round());
    tasks.spawn(Rc::clone(&worker).turns());
    let drained = async {
        if draining.wait_for(|draining| *draining).await.is_err() {
            // Nothing to drain for: `has_ended` below completes too.
            return;
        }
        tasks.spawn(Rc::clone(&worker).drain());
        if timeout(config.drain.deadline, worker.idle()).await.is_err() {
            tracing::warn!("some connections did not go in time and were cut");
        }
        // A worker that has panicked does not come.
        let _ = timeout(config.drain.deadline, all.wait()).await;
    };
    tokio::select! {
        biased;
        message = tasks.panicked() => Err(RunError::Panicked { worker: number, message }),
        () = has_ended(server) => Ok(()),
        () = drained => Ok(()),
    }
}

/// Completes when the server is no more: another worker has panicked, or nobody waits for the server to end.
async fn has_ended(mut draining: watch::Receiver<bool>) {
    while draining.changed().await.is_ok() {}
}

/// Deals connections out to all workers in turn, of which the first is served by `http`.
fn deal_out<S: Service>(
    http: Rc<Http<S>>,
    tasks: Tasks,
    entrances: Vec<UnboundedSender<Dealt>>,
) -> impl FnMut(TcpStream, Permit) {
    let mut turn = 0;
    move |stream, permit| {
        turn = (turn + 1) % entrances.len();
        if turn == 0 {
            tasks.spawn(Rc::clone(&http).serve(stream, permit));
        } else if let Ok(stream) = stream.into_std() {
            // A worker that has ended takes its connections with it.
            let _ = entrances[turn].send((stream, permit));
        }
    }
}

async fn take_dealt<S: Service>(http: Rc<Http<S>>, tasks: Tasks, mut dealt: UnboundedReceiver<Dealt>) {
    while let Some((stream, permit)) = dealt.recv().await {
        match TcpStream::from_std(stream) {
            Ok(stream) => tasks.spawn(Rc::clone(&http).serve(stream, permit)),
            Err(fault) => tracing::warn!(%fault, "cannot serve a connection"),
        }
    }
}
