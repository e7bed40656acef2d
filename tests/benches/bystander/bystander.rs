//! A client that does nothing but ping, in a process of its own, so that the attack does not take its time.
//!
//! It asks every 5 ms, whether or not the last answer has come, and an answer's wait counts from the moment at which
//! it was due to be asked: a server that stands still for a second shows in two hundred waits and not in one.

use crate::wire::{Client, Dialect, frame};
use anyhow::{Context, Result, ensure};
use hubcast_tests::Heard;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::env;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// The process of a bystander, seen from the bench.
pub(crate) struct Bystander {
    process: Child,
}

/// How long a bystander waited for its answers.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(crate) struct Waits {
    /// The answers that came.
    pub(crate) answers: usize,
    /// What half of them waited at most.
    pub(crate) median_ms: f64,
    /// What 99 of 100 waited at most.
    pub(crate) p99_ms: f64,
    /// The longest, which counts also if its answer never came.
    pub(crate) max_ms: f64,
    /// How it lost its connection, if it did.
    pub(crate) lost: Option<String>,
}

impl Bystander {
    /// Starts one, and waits until it has had its first answer.
    pub(crate) fn start(address: SocketAddr, dialect: Dialect) -> Result<Self> {
        let mut command = Command::new(env::current_exe()?);
        command.args(["--as-bystander", &address.to_string()]);
        if dialect == Dialect::Plain {
            command.args(["--as-dialect", "plain"]);
        }
        let mut process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let output = process.stdout.as_mut().context("its output is a pipe")?;
        let mut ready = [0; 1];
        output.read_exact(&mut ready).context("the bystander did not get an answer")?;
        Ok(Self { process })
    }

    /// Tells it to stop, and gives what it saw.
    pub(crate) fn stop(mut self) -> Result<Waits> {
        drop(self.process.stdin.take());
        let mut report = String::new();
        let mut output = self.process.stdout.take().context("its output is a pipe")?;
        output.read_to_string(&mut report)?;
        serde_json::from_str(&report).context("the bystander did not report")
    }
}

impl Drop for Bystander {
    fn drop(&mut self) {
        // Both fail only where it has ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Waits {
    /// The worse of two bystanders, figure by figure.
    pub(crate) fn worse(self, other: Self) -> Self {
        Self {
            answers: self.answers + other.answers,
            median_ms: self.median_ms.max(other.median_ms),
            p99_ms: self.p99_ms.max(other.p99_ms),
            max_ms: self.max_ms.max(other.max_ms),
            lost: self.lost.or(other.lost),
        }
    }

    fn of(mut waits: Vec<Duration>, answers: usize, lost: Option<String>) -> Self {
        waits.sort_unstable();
        let at = |hundredths: usize| -> f64 {
            let place = (waits.len() * hundredths / 100).min(waits.len().saturating_sub(1));
            waits.get(place).map_or(0.0, |wait| wait.as_secs_f64() * 1000.0)
        };
        Self { answers, median_ms: at(50), p99_ms: at(99), max_ms: at(100), lost }
    }
}

/// The whole life of the bystander's process: pings until standard input ends, and prints what it saw.
pub(crate) fn run(address: SocketAddr, dialect: Dialect) -> Result<()> {
    let mut client = Client::open(address, dialect)?;
    let topic = format!("bystander-{}", std::process::id());
    if dialect == Dialect::Plain {
        client.send(&frame(&json!({"action": "subscribe", "topic": topic})))?;
    }
    client.send(&frame(&question(dialect, &topic, 0)))?;
    ensure!(number_of(&client.next(ANSWER_MAX)?) == Some(0), "an answer to the first question was to come");
    print!(".");
    std::io::stdout().flush()?;

    let writer = client.stream()?;
    let (stopped, asked) = (&AtomicBool::new(false), &AtomicU64::new(1));
    let began = Instant::now();
    let waits = thread::scope(|scope| {
        scope.spawn(move || {
            // Ends when the bench closes the pipe, also by its own end.
            let _ = std::io::stdin().read_to_end(&mut Vec::new());
            stopped.store(true, Ordering::Relaxed);
        });
        scope.spawn(move || ask_on_schedule(writer, dialect, &topic, began, stopped, asked));
        let waits = note_answers(&mut client, began, stopped, asked);
        // The other thread may be in the middle of a question that the server does not take.
        client.shut_down();
        waits
    });
    println!("{}", serde_json::to_string(&waits)?);
    Ok(())
}

/// Asks question after question, each when it is due.
fn ask_on_schedule(
    mut writer: TcpStream,
    dialect: Dialect,
    topic: &str,
    began: Instant,
    stopped: &AtomicBool,
    asked: &AtomicU64,
) {
    for number in 1.. {
        thread::sleep(due(began, number).saturating_duration_since(Instant::now()));
        if stopped.load(Ordering::Relaxed) {
            return;
        }
        // Counted before it is written: a question that the server does not take waits as well.
        asked.store(number + 1, Ordering::Relaxed);
        // The reader finds out that the connection is gone.
        if writer.write_all(&frame(&question(dialect, topic, number))).is_err() {
            return;
        }
    }
}

/// Reads answers until the last question is answered, the connection is lost, or the last answers are overdue.
fn note_answers(client: &mut Client, began: Instant, stopped: &AtomicBool, asked: &AtomicU64) -> Waits {
    let (mut waits, mut next, mut overdue) = (Vec::new(), 1, None);
    loop {
        if stopped.load(Ordering::Relaxed) {
            if next == asked.load(Ordering::Relaxed) {
                let answers = waits.len();
                return Waits::of(waits, answers, None);
            }
            let overdue = *overdue.get_or_insert(Instant::now() + ANSWER_MAX);
            if Instant::now() > overdue {
                return with_unanswered(waits, began, next, asked, None);
            }
        }
        match client.next_within(STOP_POLL) {
            Ok(None) => {}
            Ok(Some(heard)) => {
                if number_of(&heard) == Some(next) {
                    waits.push(due(began, next).elapsed());
                    next += 1;
                }
            }
            Err(fault) => return with_unanswered(waits, began, next, asked, Some(format!("{fault:#}"))),
        }
    }
}

/// Those that were not answered have waited until now.
fn with_unanswered(
    mut waits: Vec<Duration>,
    began: Instant,
    next: u64,
    asked: &AtomicU64,
    lost: Option<String>,
) -> Waits {
    let answers = waits.len();
    waits.extend((next..asked.load(Ordering::Relaxed)).map(|number| due(began, number).elapsed()));
    Waits::of(waits, answers, lost)
}

/// What only the hub can answer: a ping, or in the plain dialect a publication to a topic of one's own.
fn question(dialect: Dialect, topic: &str, number: u64) -> Value {
    match dialect {
        Dialect::Typed => json!({"id": number, "action": "ping"}),
        Dialect::Plain => json!({"action": "publish", "topic": topic, "message": number.to_string()}),
    }
}

/// The number of the question that this answers.
fn number_of(heard: &Heard) -> Option<u64> {
    let Heard::Text(text) = heard else { return None };
    text.parse().ok().or_else(|| serde_json::from_str::<Value>(text).ok()?["id"].as_u64())
}

fn due(began: Instant, number: u64) -> Instant {
    began + INTERVAL * u32::try_from(number).unwrap_or(u32::MAX)
}

/// From one question to the next.
const INTERVAL: Duration = Duration::from_millis(5);

/// How long the last answers are waited for after the end.
const ANSWER_MAX: Duration = Duration::from_secs(30);

/// How often the reader looks whether it shall stop.
const STOP_POLL: Duration = Duration::from_millis(20);
