//! Clients that answer every ping in time, while the server is too busy to read their answers.

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

/// Makes the server work with publications to many patterns, and counts the clients that it closes.
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
    // The server may close the publisher too. Then this measures how long the publisher stayed connected.
    let answered = publisher.ask(0, json!({"action": "ping"}));
    let took = began.elapsed().as_secs_f64();
    thread::sleep(AFTER);
    stage.end()?;
    let (closed, of_the_holders) = (answering.closed_in_words(), holders.closed_in_words());
    let publisher = answered.err().map(|fault| format!("; the publisher: {fault:#}")).unwrap_or_default();
    Ok(format!("after {took:.1} s of work: {closed}; of those who hold patterns: {of_the_holders}{publisher}"))
}

/// Suspends the server's process twice, and counts the clients that it closes.
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

/// Opens clients that only answer pings. They connect one after another, so that their pings come at different times:
/// whenever the server stops, some pings are not yet answered.
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

/// Short timeouts, so that the row does not take half a minute.
const FLAGS: [&str; 6] = ["--ping", "2s", "--pong-timeout", "1s", "--write-timeout", "1s"];

/// The ping interval in [`FLAGS`].
const PING: Duration = Duration::from_secs(2);

/// Clients that only answer pings.
const ANSWERING: u32 = 50;

/// How long such a client waits before it answers a ping; much less than the server allows.
const PAUSE: Duration = Duration::from_millis(300);

/// Publications in one write of the publisher.
const PUBLICATIONS: usize = 3_840;

/// Writes of the publisher.
const BLOCKS: usize = 3;

/// How long the process is suspended; longer than a ping may wait for its pong.
const SUSPENDED: Duration = Duration::from_secs(3);

/// Long enough for one ping and its pong timeout.
const AFTER: Duration = Duration::from_secs(4);
