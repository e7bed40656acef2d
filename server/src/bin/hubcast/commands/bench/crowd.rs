//! The measurement of deliveries, with subscribers, publishers and idle connections.

use super::args::BenchArgs;
use super::connection::{Connection, Heard, Scratch, Target, scratch};
use super::faults::Faults;
use super::load::Load;
use super::pace::Pace;
use super::progress;
use super::publisher::Publisher;
use super::report::Report;
use super::tally::Tally;
use super::usage::{Meter, Process};
use anyhow::Context;
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};
use tokio::sync::Notify;
use tokio::task::spawn_local;
use tokio::time::sleep;

pub(super) async fn run(args: BenchArgs, target: Target, server: Option<Process>) -> anyhow::Result<Report> {
    let crowd = Crowd { target, scratch: scratch() };
    let load = crowd.assemble(&args).await?;
    let memory_before = server.as_ref().map(Process::memory).transpose()?;
    crowd.idle(&load, args.idle).await?;

    if args.subscribers > 0 {
        begin(&load, pace(&args));
    }
    progress::watch("warming up", args.warmup.0, || load.borrow().counts().delivered).await;

    let meter = Meter::begin(server)?;
    load.borrow_mut().open_window(args.duration.0);
    if args.wants_timeline() {
        load.borrow_mut().begin_timeline(args.duration.0);
    }
    let before = load.borrow().counts().delivered;
    progress::watch("measuring", args.duration.0, || load.borrow().counts().delivered - before).await;
    let delivered = load.borrow().counts().delivered - before;
    let usage = meter.end()?;
    let timeline = load.borrow_mut().end_timeline();

    drain(&load).await;
    let load = load.borrow();
    let mut report = Report::new(args, "deliveries", delivered, load.latency(), usage).with_timeline(timeline);
    if let Some(before) = memory_before {
        report.idle_memory(before);
    }
    let counts = load.counts();
    report.faults = Faults {
        lost: counts.lost,
        duplicated: counts.duplicated,
        out_of_order: counts.out_of_order,
        unexpected: counts.unexpected,
        disconnected: counts.disconnected,
        first: load.trouble().map(str::to_owned),
        ..Faults::default()
    };
    Ok(report)
}

/// The arguments of every connection.
#[derive(Clone, Debug)]
struct Crowd {
    target: Target,
    scratch: Scratch,
}

impl Crowd {
    /// Connects the subscribers and publishers, subscribes, and starts their tasks. Nothing is published yet.
    async fn assemble(&self, args: &BenchArgs) -> anyhow::Result<Rc<RefCell<Load>>> {
        let subscribed = (0..args.topics).flat_map(|topic| (0..args.subscribers).map(move |_| Some(name(topic))));
        let subscribers = self.open("subscribers", subscribed.collect()).await?;
        let publishing = if args.subscribers > 0 { args.topics * args.publishers } else { 0 };
        let connections = self.open("publishers", vec![None; publishing as usize]).await?;

        let pace = pace(args);
        let publisher =
            |index| Publisher::new(index, &name(u32::from(index) / args.publishers), args.payload as usize, pace);
        let publishers: Vec<_> = (0..u16::try_from(publishing)?).map(publisher).collect();
        let bells: Vec<_> = publishers.iter().map(Publisher::bell).collect();
        let load = Load::new(pace, args.subscribers, args.publishers as usize, publishers);
        let load = Rc::new(RefCell::new(load));
        for (index, (connection, bell)) in connections.into_iter().zip(bells).enumerate() {
            spawn_local(self.clone().publish(load.clone(), connection, index, bell));
        }
        for (index, connection) in subscribers.into_iter().enumerate() {
            let (topic, publishers) = (index / args.subscribers as usize, args.publishers as usize);
            spawn_local(self.clone().listen(load.clone(), connection, topic, publishers));
        }
        Ok(load)
    }

    /// Connects the idle connections, which only subscribe, a hundred to each topic.
    async fn idle(&self, load: &Rc<RefCell<Load>>, count: u32) -> anyhow::Result<()> {
        let topics = (0..count).map(|index| Some(format!("{}.idle", name(index / 100)))).collect();
        for connection in self.open("idle connections", topics).await? {
            // Nothing is published to these topics, so there are no tallies: any message is unexpected.
            spawn_local(self.clone().listen(load.clone(), connection, 0, 0));
        }
        Ok(())
    }

    /// Opens a connection for each item of `topics`, at most [`CONNECTING_AT_ONCE`] at a time. If the item is a topic,
    /// subscribes to it.
    async fn open(&self, what: &'static str, topics: Vec<Option<String>>) -> anyhow::Result<Vec<Connection>> {
        let mut connections = Vec::with_capacity(topics.len());
        let bar = progress::count(what, topics.len());
        for topics in topics.chunks(CONNECTING_AT_ONCE) {
            let opening = topics.iter().cloned().map(|topic| {
                let crowd = self.clone();
                spawn_local(async move {
                    let mut connection = Connection::open(&crowd.target).await?;
                    if let Some(topic) = topic {
                        connection.subscribe(&topic, &crowd.scratch).await?;
                    }
                    anyhow::Ok(connection)
                })
            });
            for connection in opening.collect::<Vec<_>>() {
                let connected = connections.len();
                connections.push(connection.await?.with_context(|| format!("with {connected} {what} connected"))?);
                bar.inc(1);
            }
        }
        bar.finish_and_clear();
        Ok(connections)
    }

    /// Receives what is published to `topic`, until the connection ends.
    async fn listen(self, load: Rc<RefCell<Load>>, mut connection: Connection, topic: usize, publishers: usize) {
        let mut tallies = vec![Tally::default(); publishers];
        let why = loop {
            let mut now = None;
            let each = |text: &[u8]| {
                let mut load = load.borrow_mut();
                let now = *now.get_or_insert_with(|| load.now());
                load.heard(topic, &mut tallies, text, now);
            };
            match connection.read(&self.scratch, each).await {
                Ok(Heard::Texts) => {}
                Ok(Heard::End(why)) => break why,
                Err(error) => break format!("{error:#}"),
            }
        };
        load.borrow_mut().ended(why);
    }

    /// Writes the publisher's outbox whenever its bell rings, until the connection ends.
    async fn publish(self, load: Rc<RefCell<Load>>, mut connection: Connection, index: usize, bell: Rc<Notify>) {
        let frame_len = load.borrow().frame_len(index);
        let mut writing = Vec::new();
        let why = 'ended: loop {
            tokio::select! {
                heard = connection.read(&self.scratch, |text| load.borrow_mut().unexpected(text)) => match heard {
                    Ok(Heard::Texts) => {}
                    Ok(Heard::End(why)) => break why,
                    Err(error) => break format!("{error:#}"),
                },
                () = bell.notified() => {
                    writing.clear();
                    writing = load.borrow_mut().take_outbox(index, writing);
                    // One write for each message, as client libraries do: combining them is the server's work.
                    for frame in writing.chunks(frame_len) {
                        if let Err(error) = connection.write(frame).await {
                            break 'ended format!("{error:#}");
                        }
                    }
                }
            }
        };
        load.borrow_mut().ended(why);
    }
}

/// Begins publishing.
fn begin(load: &Rc<RefCell<Load>>, pace: Pace) {
    let begun = load.borrow_mut().begin();
    let Pace::Every(interval) = pace else { return };
    let tick = Arc::new(Notify::new());
    let ticks = Arc::downgrade(&tick);
    // This is a thread, because the runtime's timers are only exact to a millisecond, which would show in every
    // percentile.
    thread::spawn(move || {
        let interval = interval.max(SHORTEST_TICK);
        // The schedule's own times: each publication would be as late as this thread was otherwise.
        let mut due = begun;
        while let Some(tick) = ticks.upgrade() {
            tick.notify_one();
            due += interval;
            thread::sleep(due.saturating_duration_since(Instant::now()));
        }
    });
    let load = load.clone();
    spawn_local(async move {
        loop {
            tick.notified().await;
            load.borrow_mut().publish_due();
        }
    });
}

/// Stops publishing and waits for missing deliveries, until none has arrived for [`QUIET`].
async fn drain(load: &RefCell<Load>) {
    load.borrow_mut().stop();
    let (mut quiet_since, mut before) = (Instant::now(), load.borrow().counts().lost);
    while before > 0 && quiet_since.elapsed() < QUIET {
        sleep(Duration::from_millis(20)).await;
        let lost = load.borrow().counts().lost;
        if lost < before {
            (quiet_since, before) = (Instant::now(), lost);
        }
    }
}

fn pace(args: &BenchArgs) -> Pace {
    match args.rate {
        Some(rate) => Pace::Every(Duration::from_secs_f64(1.0 / rate)),
        None => Pace::Outstanding(args.outstanding.unwrap_or(1)),
    }
}

/// The name of a topic. The process id separates two loads of one server.
fn name(topic: u32) -> String {
    format!("bench.{}.{topic}", std::process::id())
}

/// The most handshakes at the same time: fewer than the backlog of any listener.
const CONNECTING_AT_ONCE: usize = 64;

/// How long no delivery must arrive before the missing ones count as lost.
const QUIET: Duration = Duration::from_secs(3);

/// The shortest sleep of the pacing thread. Publications that are due during a sleep are sent together.
const SHORTEST_TICK: Duration = Duration::from_micros(50);
