//! Clients that answer every ping in time, while the server does not come to read their answers.

use super::patterns::{CHOSEN_TOKENS, HOLDERS, hold, matched_by_all};
use super::{Row, USUAL};
use crate::crowd::Crowd;
use crate::stage::Stage;
use crate::wire::frame;
use anyhow::{Result, ensure};
use serde_json::json;
use std::thread;
use std::time::{Duration, Instant};

pub(super) fn rows() -> Vec<Row> {
    vec![
        Row {
            name: "pongs",
            about: "50 clients answer each ping after 0.3 s, while 11,520 publications find their way through 4,096 \
                    patterns; a ping comes after 2 s and has to be answered within 1 s",
            flags: &FLAGS,
            play: play_pongs,
            ..USUAL
        },
        Row {
            name: "suspended",
            about: "the same 50 clients, and the server's process stands still for 3 s, twice; so the bystander waits 3 s",
            flags: &FLAGS,
            play: play_suspended,
            ..USUAL
        },
    ]
}

fn play_pongs(stage: &mut Stage) -> Result<String> {
    let holders = hold(stage, CHOSEN_TOKENS, HOLDERS)?;
    let answering = answering(stage)?;
    let mut publisher = stage.client()?;
    let block = frame(&json!({"action": "publish", "topic": matched_by_all("a")})).repeat(PUBLICATIONS);
    stage.begin()?;
    let began = Instant::now();
    for _ in 0..BLOCKS {
        publisher.send(&block)?;
    }
    // The publisher may be among those who are closed: then this is how long it lived.
    let answered = publisher.ask(0, json!({"action": "ping"}));
    let took = began.elapsed().as_secs_f64();
    thread::sleep(AFTER);
    stage.end()?;
    let (closed, of_the_holders) = (answering.closed_in_words(), holders.closed_in_words());
    let publisher = answered.err().map(|fault| format!("; the publisher: {fault:#}")).unwrap_or_default();
    Ok(format!("after {took:.1} s of work: {closed}; of those who hold patterns: {of_the_holders}{publisher}"))
}

fn play_suspended(stage: &mut Stage) -> Result<String> {
    let answering = answering(stage)?;
    stage.begin()?;
    for _ in 0..2 {
        stage.server.suspend(SUSPENDED)?;
        thread::sleep(AFTER);
    }
    stage.end()?;
    Ok(answering.closed_in_words())
}

/// Clients that are quiet and answer pings. Their pings do not come at the same time, so that some are not yet
/// answered whenever the server stands still.
fn answering(stage: &Stage) -> Result<Crowd> {
    let mut clients = Vec::new();
    for _ in 0..ANSWERING {
        clients.push(stage.client()?);
        thread::sleep(PING / ANSWERING);
    }
    let crowd = Crowd::answering_after(PAUSE, clients)?;
    thread::sleep(AFTER);
    ensure!(crowd.closed() == 0, "before anything happened: {}", crowd.closed_in_words());
    Ok(crowd)
}

/// Short times, so that the row need not take half a minute.
const FLAGS: [&str; 6] = ["--ping", "2s", "--pong-timeout", "1s", "--write-timeout", "1s"];

/// The same for the clients.
const PING: Duration = Duration::from_secs(2);

/// Who are quiet and answer pings.
const ANSWERING: u32 = 50;

/// How long they think about a ping: much less than they may.
const PAUSE: Duration = Duration::from_millis(300);

/// Publications that the publisher writes at once.
const PUBLICATIONS: usize = 3_840;

/// How often it does, one block after another.
const BLOCKS: usize = 3;

/// Longer than a ping may wait for its answer.
const SUSPENDED: Duration = Duration::from_secs(3);

/// Long enough for a ping and the end of the time to answer it.
const AFTER: Duration = Duration::from_secs(4);
