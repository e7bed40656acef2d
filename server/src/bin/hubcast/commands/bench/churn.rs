//! The measurement of short connections: connect, subscribe, receive one message, close.

use super::args::BenchArgs;
use super::connection::{Connection, GREETING, Heard, PATIENCE, Scratch, Target, request, scratch};
use super::faults::Faults;
use super::frame::{self, CLOSE};
use super::latency::{nanoseconds, new_latency};
use super::progress;
use super::report::Report;
use super::timeline::Timeline;
use super::usage::{Meter, Process};
use anyhow::{Context, bail, ensure};
use hdrhistogram::Histogram;
use std::cell::RefCell;
use std::rc::Rc;
use std::time::Instant;
use tokio::task::spawn_local;
use tokio::time::timeout;

pub(super) async fn run(
    args: BenchArgs,
    clients: u32,
    target: Target,
    server: Option<Process>,
) -> anyhow::Result<Report> {
    let scratch = scratch();
    // The first cycle runs alone, so that an absent or refusing server is reported before all clients start.
    cycle(&target, &scratch, "bench.first").await?;
    let state = Rc::new(RefCell::new(Cycles {
        done: 0,
        failed: 0,
        first: None,
        latency: new_latency(),
        begun: Instant::now(),
        timeline: None,
    }));
    for client in 0..clients {
        spawn_local(come_and_go(client, target.clone(), scratch.clone(), state.clone()));
    }
    progress::watch("warming up", args.warmup.0, || state.borrow().done).await;

    let meter = Meter::begin(server)?;
    state.borrow_mut().measure(&args);
    let before = state.borrow().done;
    progress::watch("measuring", args.duration.0, || state.borrow().done - before).await;
    let done = state.borrow().done - before;
    let usage = meter.end()?;

    let mut state = state.borrow_mut();
    let timeline = state.timeline.take().map(|timeline| timeline.end(state.now())).unwrap_or_default();
    let mut report = Report::new(args, "cycles", done, &state.latency, usage).with_timeline(timeline);
    report.faults = Faults { failed: state.failed, first: state.first.clone(), ..Faults::default() };
    Ok(report)
}

/// The results of all clients together.
#[derive(Debug)]
struct Cycles {
    done: u64,
    failed: u64,
    /// The error of the first cycle that failed.
    first: Option<String>,
    latency: Histogram<u64>,
    begun: Instant,
    timeline: Option<Timeline>,
}

impl Cycles {
    /// Forgets what was before the measurement.
    fn measure(&mut self, args: &BenchArgs) {
        self.latency.reset();
        self.timeline = args.wants_timeline().then(|| Timeline::new(self.now(), args.duration.0));
    }

    fn took(&mut self, time: u64) {
        self.done += 1;
        self.latency.saturating_record(time);
        let now = self.now();
        if let Some(timeline) = &mut self.timeline {
            timeline.record(now, time);
        }
    }

    fn now(&self) -> u64 {
        nanoseconds(self.begun.elapsed())
    }
}

/// Runs one client's cycles until one fails.
async fn come_and_go(client: u32, target: Target, scratch: Scratch, state: Rc<RefCell<Cycles>>) {
    let topic = format!("bench.{}.{client}", std::process::id());
    let why = loop {
        let begin = Instant::now();
        match cycle(&target, &scratch, &topic).await {
            Ok(()) => {
                state.borrow_mut().took(nanoseconds(begin.elapsed()));
            }
            Err(error) => break format!("{error:#}"),
        }
    };
    let mut state = state.borrow_mut();
    state.failed += 1;
    state.first.get_or_insert(why);
}

/// Runs one cycle: connects, subscribes to `topic`, receives the message that it publishes there itself, and closes as
/// in RFC 6455. The cycle ends when the server has closed.
async fn cycle(target: &Target, scratch: &Scratch, topic: &str) -> anyhow::Result<()> {
    let mut connection = Connection::open(target).await?;
    let mut bytes = Vec::with_capacity(256);
    request(&mut bytes, "subscribe", topic, "");
    request(&mut bytes, "publish", topic, MESSAGE);
    connection.write(&bytes).await?;
    let mut answer = None;
    let receiving = async {
        while answer.is_none() {
            let heard = connection.read(scratch, |text| {
                if !text.starts_with(GREETING) {
                    answer = Some(text == MESSAGE.as_bytes());
                }
            });
            if let Heard::End(why) = heard.await? {
                bail!("{why} before it was asked to");
            }
        }
        Ok(())
    };
    timeout(PATIENCE, receiving).await.context("a client heard nothing of what it published")??;
    ensure!(answer == Some(true), "a client heard something else than it published");
    bytes.clear();
    frame::append(&mut bytes, CLOSE, &1000_u16.to_be_bytes());
    connection.write(&bytes).await?;
    timeout(PATIENCE, connection.gone()).await.context("the server did not close when a client left")?
}

const MESSAGE: &str = "here for a moment";
