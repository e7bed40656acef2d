//! The thread of a worker: its runtime, its tasks, and how it ends.

use super::error::RunError;
use super::reload::{Reloads, Running};
use super::shutdown::Hurried;
use crate::config::{Config, LiveConfig};
use crate::encode::account::Account;
use crate::hook_delivery::{self, HookDelivery};
use crate::http::Http;
use crate::http::api::Api;
use crate::jwks_refresh;
use crate::listener::accept::accept_all;
use crate::listener::incoming::{Accepted, Detached, Door, Listener, Origin};
use crate::listener::limit::{ConnectionLimit, Permit};
use crate::log::warnings::{Paced, Warnings};
use crate::metrics::Metrics;
use crate::runtime::Runtime;
use crate::runtime::patience::sleep_while_running;
use crate::runtime::pulse::Beat;
use crate::runtime::tasks::{self, Tasks};
use crate::tls;
use crate::worker::Worker;
use crate::worker::connections::Connections;
use crate::worker::service::Service;
use std::cell::Cell;
use std::future::pending;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::runtime::{Builder, LocalOptions};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender};
use tokio::sync::{Barrier, Notify, watch};
use tokio::time::timeout;

/// A connection that another worker accepted, and where it comes from.
type Assigned = (Detached, Origin, Permit);

/// The arguments of one worker.
pub(crate) struct WorkerContext {
    pub(crate) config: Arc<Config>,
    /// The settings that can be replaced.
    pub(crate) settings: Arc<LiveConfig>,
    pub(crate) account: Arc<Account>,
    pub(crate) warnings: Arc<Warnings>,
    pub(crate) metrics: Arc<Metrics>,
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
    pub(crate) listeners: Vec<(Listener, Door)>,
    pub(crate) limit: Arc<ConnectionLimit>,
    /// The queue of new connections of each worker.
    pub(crate) worker_queues: Vec<UnboundedSender<Assigned>>,
    /// Follows requests for other settings, and delivers hooks, if the service has any.
    pub(crate) reloads: Option<Reloads>,
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
    let metrics = Arc::clone(&context.metrics);
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
        if matches!(ended, Err(RunError::Panicked { .. })) {
            metrics.note_panic();
        }
        // Nothing receives the result if another worker failed before.
        let _ = exit.send(ended);
    })?;
    Ok(())
}

async fn serve<S: Service>(number: usize, context: WorkerContext, service: S) -> Result<(), RunError> {
    let WorkerContext {
        config,
        settings,
        account,
        warnings,
        metrics,
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
    let counted = (Arc::clone(&warnings), Arc::clone(&metrics.workers[number]));
    let connections = Connections::new(number, runtime, Arc::clone(&config), account, counted, wake, beat);
    let worker = Worker::new(connections, service);
    let http = Http::new(Rc::clone(&worker), draining.clone(), Arc::clone(&warnings), api, Arc::clone(&settings));
    let mut hooks = None;
    if let Some(acceptor) = acceptor {
        let start = |source| RunError::Start { worker: number, source };
        hooks = accept(acceptor, &http, &tasks, settings, warnings).map_err(start)?;
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
        hooks.iter().for_each(|hooks| hooks.note_draining());
        drain(number, &worker, &http, &tasks, config.drain.deadline, &mut hurried).await;
        // A worker that panicked never reaches the barrier.
        tokio::select! {
            _ = all.wait() => {}
            () = sleep_while_running(config.drain.deadline) => {}
            () = hurried.requested() => {}
        }
        flush(hooks.as_deref(), &mut hurried).await;
    };
    tokio::select! {
        biased;
        message = tasks.panicked() => Err(RunError::Panicked { worker: number, message }),
        () = has_ended(server) => Ok(()),
        () = drained => Ok(()),
    }
}

/// Begins to accept, and what else the first worker does for all, such as to deliver hooks, if there are any.
fn accept<S: Service>(
    Acceptor { listeners, limit, worker_queues, reloads }: Acceptor,
    http: &Rc<Http<S>>,
    tasks: &Tasks,
    settings: Arc<LiveConfig>,
    warnings: Arc<Warnings>,
) -> io::Result<Option<Rc<HookDelivery>>> {
    let config = settings.get();
    tasks.spawn(async move { warnings.report_each_minute().await });
    if let Some(tls) = &config.tls {
        tasks.spawn(tls::watch::watch(Arc::clone(tls)));
    }
    let refreshing = jwks_refresh::start(&config.auth, tasks);
    let keys = refreshing.first_attempt();
    let hooks = reloads.as_ref().map(|reloads| hook_delivery::start(reloads.hooks(), &config, tasks));
    match (reloads, &hooks) {
        (Some(reloads), Some(hooks)) => {
            let running = Running { settings, refreshing, hooks: Rc::clone(hooks), limit: Arc::clone(&limit) };
            tasks.spawn(reloads.follow(running, tasks.clone()));
        }
        _ => {
            _ = tasks.spawn(async move {
                let _refreshing = refreshing;
                pending::<()>().await;
            });
        }
    }
    // All listeners share one order of workers, whichever listener the next connection comes from.
    let worker_queues = WorkerQueues { of: worker_queues.into(), last: Rc::default() };
    for (listener, door) in listeners {
        let listener = listener.start()?;
        let accept = async move || listener.accept(door).await;
        let assign = assign_in_turn(Rc::clone(http), tasks.clone(), worker_queues.clone());
        let (keys, limit, http) = (keys.clone(), Arc::clone(&limit), Rc::clone(http));
        tasks.spawn(async move {
            keys.wait().await;
            accept_all(accept, limit, assign, || http.metrics().accept_failures.add(1)).await;
        });
    }
    Ok(hooks)
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

/// Delivers what waits for hooks, after all connections are gone.
async fn flush(hooks: Option<&HookDelivery>, hurried: &mut Hurried) {
    if let Some(hooks) = hooks {
        tokio::select! {
            () = hooks.flush() => {}
            () = hurried.requested() => {}
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
) -> impl FnMut((Accepted, Origin), Permit) {
    move |(stream, origin), permit| {
        let next = (worker_queues.last.get() + 1) % worker_queues.of.len();
        worker_queues.last.set(next);
        if next == 0 {
            tasks.spawn(Rc::clone(&http).serve(stream, origin, permit));
        } else if let Ok(stream) = stream.detach() {
            // If the worker has ended, its connections are lost too.
            let _ = worker_queues.of[next].send((stream, origin, permit));
        }
    }
}

async fn serve_assigned<S: Service>(http: Rc<Http<S>>, tasks: Tasks, mut assigned: UnboundedReceiver<Assigned>) {
    let mut faults = Paced::default();
    while let Some((stream, origin, permit)) = assigned.recv().await {
        match stream.attach() {
            Ok(stream) => drop(tasks.spawn(Rc::clone(&http).serve(stream, origin, permit))),
            Err(fault) => {
                http.metrics().accept_failures.add(1);
                if let Some(times) = faults.note(Instant::now()) {
                    tracing::warn!(%fault, times, "cannot serve a connection");
                }
            }
        }
    }
}

/// How long connections have for the close, when the drain is shortened.
const HURRIED_CLOSE: Duration = Duration::from_millis(200);
