//! The thread of a worker: its runtime, its tasks, and how it ends.

use super::error::RunError;
use super::shutdown::Hurried;
use crate::config::Config;
use crate::encode::account::Account;
use crate::http::Http;
use crate::http::api::Api;
use crate::jwks_refresh;
use crate::listener::accept::accept_all;
use crate::listener::limit::{ConnectionLimit, Permit};
use crate::log::warnings::{Paced, Warnings};
use crate::runtime::Runtime;
use crate::runtime::patience::sleep_while_running;
use crate::runtime::pulse::Beat;
use crate::runtime::tasks::{self, Tasks};
use crate::worker::Worker;
use crate::worker::connections::Connections;
use crate::worker::service::Service;
use std::cell::Cell;
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
use tokio::time::timeout;

/// A connection that another worker accepted, with the address of its client.
type Assigned = (std::net::TcpStream, SocketAddr, Permit);

/// The arguments of one worker.
pub(crate) struct WorkerContext {
    pub(crate) config: Arc<Config>,
    pub(crate) account: Arc<Account>,
    pub(crate) warnings: Arc<Warnings>,
    pub(crate) wake: Arc<Notify>,
    /// Counts the turns.
    pub(crate) beat: Beat,
    /// How often an idle worker takes a turn, if somebody watches it.
    pub(crate) turn_every: Option<Duration>,
    pub(crate) draining: watch::Receiver<bool>,
    pub(crate) hurried: Hurried,
    pub(crate) assigned: UnboundedReceiver<Assigned>,
    /// Where drained workers wait for the others. Until all are drained, the first one still answers that the server is
    /// not ready.
    pub(crate) drained: Arc<Barrier>,
    /// The HTTP API, if the service has one.
    pub(crate) api: Option<Api>,
    /// Only the first worker accepts, so that no separate thread must be woken for each connection.
    pub(crate) acceptor: Option<Acceptor>,
}

/// The arguments of the worker that accepts.
pub(crate) struct Acceptor {
    pub(crate) listeners: Vec<std::net::TcpListener>,
    pub(crate) limit: Arc<ConnectionLimit>,
    /// The queue of new connections of each worker.
    pub(crate) worker_queues: Vec<UnboundedSender<Assigned>>,
}

/// The queue of new connections of each worker, and which worker got the last one.
#[derive(Clone)]
struct WorkerQueues {
    of: Rc<[UnboundedSender<Assigned>]>,
    last: Rc<Cell<usize>>,
}

/// Starts the thread of a worker. Its result is sent to `exit`.
pub(crate) fn start<S: Service + Send>(
    number: usize,
    context: WorkerContext,
    service: S,
    exit: UnboundedSender<Result<(), RunError>>,
) -> io::Result<()> {
    std::thread::Builder::new().name(format!("worker-{number}")).spawn(move || {
        let beat = context.beat.clone();
        let ended = catch_unwind(AssertUnwindSafe(|| {
            let start = |source| RunError::Start { worker: number, source };
            let runtime = Builder::new_current_thread().enable_all().build_local(LocalOptions::default());
            runtime.map_err(start)?.block_on(serve(number, context, service))
        }));
        let ended = match ended {
            Ok(ended) => {
                beat.end();
                ended
            }
            Err(panic) => match tasks::message(&*panic) {
                Some(message) => Err(RunError::Panicked { worker: number, message }),
                None => return,
            },
        };
        // Nothing receives the result if another worker failed before.
        let _ = exit.send(ended);
    })?;
    Ok(())
}

async fn serve<S: Service>(number: usize, context: WorkerContext, service: S) -> Result<(), RunError> {
    let WorkerContext {
        config,
        account,
        warnings,
        wake,
        beat,
        turn_every,
        mut draining,
        mut hurried,
        assigned,
        drained: all,
        api,
        acceptor,
    } = context;
    let (tasks, server) = (Tasks::default(), draining.clone());
    let runtime = Runtime::Tokio(tasks.clone());
    let connections =
        Connections::new(number, runtime, Arc::clone(&config), account, Arc::clone(&warnings), wake, beat);
    let worker = Worker::new(connections, service);
    let http = Http::new(Rc::clone(&worker), draining.clone(), Arc::clone(&warnings), api);
    if let Some(acceptor) = acceptor {
        tasks.spawn(async move { warnings.report_each_minute().await });
        accept(number, acceptor, &config, &http, &tasks)?;
    }
    tasks.spawn(serve_assigned(Rc::clone(&http), tasks.clone(), assigned));
    tasks.spawn(Rc::clone(&worker).watch_deadlines());
    tasks.spawn(worker.admission().run());
    tasks.spawn(worker.catching_up().run());
    tasks.spawn(Rc::clone(&worker).turns());
    if let Some(every) = turn_every {
        tasks.spawn(Rc::clone(&worker).turn_at_least_every(every));
    }
    let drained = async {
        if draining.wait_for(|draining| *draining).await.is_err() {
            // No drain is needed here: `has_ended` below completes too.
            return;
        }
        drain(number, &worker, &http, &tasks, config.drain.deadline, &mut hurried).await;
        // A worker that panicked never reaches the barrier.
        tokio::select! {
            _ = all.wait() => {}
            () = sleep_while_running(config.drain.deadline) => {}
            () = hurried.requested() => {}
        }
    };
    tokio::select! {
        biased;
        message = tasks.panicked() => Err(RunError::Panicked { worker: number, message }),
        () = has_ended(server) => Ok(()),
        () = drained => Ok(()),
    }
}

/// Begins to accept connections from all listeners, once there are the keys of tokens.
fn accept<S: Service>(
    number: usize,
    acceptor: Acceptor,
    config: &Config,
    http: &Rc<Http<S>>,
    tasks: &Tasks,
) -> Result<(), RunError> {
    let Acceptor { listeners, limit, worker_queues } = acceptor;
    let keys = jwks_refresh::start(&config.auth, tasks);
    // All listeners share one order of workers, whichever listener the next connection comes from.
    let worker_queues = WorkerQueues { of: worker_queues.into(), last: Rc::default() };
    for listener in listeners {
        let listener = TcpListener::from_std(listener);
        let listener = listener.map_err(|source| RunError::Start { worker: number, source })?;
        let accept = async move || listener.accept().await;
        let assign = assign_in_turn(Rc::clone(http), tasks.clone(), worker_queues.clone());
        let (keys, limit) = (keys.clone(), Arc::clone(&limit));
        tasks.spawn(async move {
            keys.wait().await;
            accept_all(accept, limit, assign).await;
        });
    }
    Ok(())
}

/// Sends the connections of a worker away, and returns when they have gone and no request is being answered, or when
/// the time is over.
async fn drain<S: Service>(
    number: usize,
    worker: &Rc<Worker<S>>,
    http: &Http<S>,
    tasks: &Tasks,
    deadline: Duration,
    hurried: &mut Hurried,
) {
    let sending_away = tasks.spawn(Rc::clone(worker).drain());
    let idle = async || {
        worker.idle().await;
        http.idle().await;
    };
    tokio::select! {
        biased;
        () = idle() => {}
        () = sleep_while_running(deadline) => {
            tracing::warn!(worker = number, connections = worker.len(), "some connections did not go in time and were cut");
        }
        () = hurried.requested() => {
            sending_away.abort();
            worker.disconnect_all();
            let _ = timeout(HURRIED_CLOSE, idle()).await;
        }
    }
}

/// Completes when the server has ended: another worker has panicked, or the future of the server was dropped.
async fn has_ended(mut draining: watch::Receiver<bool>) {
    while draining.changed().await.is_ok() {}
}

/// Distributes connections to all workers in turn. `http` serves those of the first worker.
fn assign_in_turn<S: Service>(
    http: Rc<Http<S>>,
    tasks: Tasks,
    worker_queues: WorkerQueues,
) -> impl FnMut((TcpStream, SocketAddr), Permit) {
    move |(stream, address), permit| {
        let next = (worker_queues.last.get() + 1) % worker_queues.of.len();
        worker_queues.last.set(next);
        if next == 0 {
            tasks.spawn(Rc::clone(&http).serve(stream, address, permit));
        } else if let Ok(stream) = stream.into_std() {
            // If the worker has ended, its connections are lost too.
            let _ = worker_queues.of[next].send((stream, address, permit));
        }
    }
}

async fn serve_assigned<S: Service>(http: Rc<Http<S>>, tasks: Tasks, mut assigned: UnboundedReceiver<Assigned>) {
    let mut faults = Paced::default();
    while let Some((stream, address, permit)) = assigned.recv().await {
        match TcpStream::from_std(stream) {
            Ok(stream) => drop(tasks.spawn(Rc::clone(&http).serve(stream, address, permit))),
            Err(fault) => {
                if let Some(times) = faults.note(Instant::now()) {
                    tracing::warn!(%fault, times, "cannot serve a connection");
                }
            }
        }
    }
}

/// How long connections have for the close, when the drain is shortened.
const HURRIED_CLOSE: Duration = Duration::from_millis(200);
