//! A client that only sends pings. It runs in a process of its own, so that the attack does not take its CPU time.
//!
//! It sends a ping every 5 ms, even if the last answer has not come yet. The wait for an answer starts at the moment
//! when its ping was due. So a server that stops for one second makes two hundred long waits, not one.

use crate::wire::{self, Client, Dialect, frame};
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

/// Handle of the bench for the process of one bystander.
pub(crate) struct Bystander {
    process: Child,
}

/// How long a bystander waited for its answers.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(crate) struct Waits {
    /// Number of answers that came.
    pub(crate) answers: usize,
    /// Median wait in milliseconds.
    pub(crate) median_ms: f64,
    /// Wait in milliseconds that 99 of 100 answers did not exceed.
    pub(crate) p99_ms: f64,
    /// Longest wait in milliseconds. An answer that never came counts too.
    pub(crate) max_ms: f64,
    /// Why the bystander lost its connection; `None` if it kept it.
    pub(crate) lost: Option<String>,
}

impl Bystander {
    /// Starts a bystander, and waits until it has received its first answer.
    pub(crate) fn start(address: SocketAddr, dialect: Dialect) -> Result<Self> {
        let mut command = Command::new(env::current_exe()?);
        command.args(["--as-bystander", &address.to_string()]);
        if wire::shows_tokens() {
            command.arg("--tokens");
        }
        if dialect == Dialect::Plain {
            command.args(["--as-dialect", "plain"]);
        }
        let mut process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let output = process.stdout.as_mut().context("its output is a pipe")?;
        let mut ready = [0; 1];
        output.read_exact(&mut ready).context("the bystander did not get an answer")?;
        Ok(Self { process })
    }

    /// Stops the bystander, and returns what it measured.
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
        // Both calls fail only if the process has already ended.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Waits {
    /// The worse of two measurements, field by field; the answers are added up.
    pub(crate) fn worse(self, other: Self) -> Self {
        Self {
            answers: self.answers + other.answers,
            median_ms: self.median_ms.max(other.median_ms),
            p99_ms: self.p99_ms.max(other.p99_ms),
            max_ms: self.max_ms.max(other.max_ms),
            lost: self.lost.or(other.lost),
        }
    }

    /// Computes the percentiles of `waits`.
    fn of(mut waits: Vec<Duration>, answers: usize, lost: Option<String>) -> Self {
        waits.sort_unstable();
        let at = |hundredths: usize| -> f64 {
            let place = (waits.len() * hundredths / 100).min(waits.len().saturating_sub(1));
            waits.get(place).map_or(0.0, |wait| wait.as_secs_f64() * 1000.0)
        };
        Self { answers, median_ms: at(50), p99_ms: at(99), max_ms: at(100), lost }
    }
}

/// The main function of the bystander's process: sends pings until standard input ends, then prints its [`Waits`].
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
            // The pipe ends when the bench closes it, and also when the bench itself ends.
            let _ = std::io::stdin().read_to_end(&mut Vec::new());
            stopped.store(true, Ordering::Relaxed);
        });
        scope.spawn(move || ask_on_schedule(writer, dialect, &topic, began, stopped, asked));
        let waits = note_answers(&mut client, began, stopped, asked);
        // The other thread may be blocked while it writes a ping that the server does not read.
        client.shut_down();
        waits
    });
    println!("{}", serde_json::to_string(&waits)?);
    Ok(())
}

/// Sends one question after another, each when it is due, until `stopped` is set. `asked` counts them.
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
        // The count goes up before the write: a question that the server does not read must count as a wait too.
        asked.store(number + 1, Ordering::Relaxed);
        // An error is ignored here: the reading thread finds out that the connection is gone.
        if writer.write_all(&frame(&question(dialect, topic, number))).is_err() {
            return;
        }
    }
}

/// Reads answers until the last question is answered, the connection is lost, or [`ANSWER_MAX`] is over.
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

/// Counts each unanswered question as a wait that lasts until now.
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

/// The question with this number. Only the hub can answer it: a ping, or in the plain dialect a publication to a topic
/// that only the bystander subscribes to.
fn question(dialect: Dialect, topic: &str, number: u64) -> Value {
    match dialect {
        Dialect::Typed => json!({"id": number, "action": "ping"}),
        Dialect::Plain => json!({"action": "publish", "topic": topic, "message": number.to_string()}),
    }
}

/// The number of the question that this message answers.
fn number_of(heard: &Heard) -> Option<u64> {
    let Heard::Text(text) = heard else { return None };
    text.parse().ok().or_else(|| serde_json::from_str::<Value>(text).ok()?["id"].as_u64())
}

/// The moment when the question with this number is due.
fn due(began: Instant, number: u64) -> Instant {
    began + INTERVAL * u32::try_from(number).unwrap_or(u32::MAX)
}

/// Time between two questions.
const INTERVAL: Duration = Duration::from_millis(5);

/// How long the bystander waits for the last answers after it was stopped.
const ANSWER_MAX: Duration = Duration::from_secs(30);

/// How often the reading thread checks whether it must stop.
const STOP_POLL: Duration = Duration::from_millis(20);
