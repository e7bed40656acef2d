//! Long answers that nobody reads: a few bytes of request pin megabytes, if they are encoded before they can be sent.

use super::{Row, USUAL};
use crate::crowd::Crowd;
use crate::stage::Stage;
use crate::wire::{Client, PATIENCE, frame};
use anyhow::{Context, Result};
use hubcast_tests::Frame;
use serde_json::{Value, json};
use std::thread;
use std::time::{Duration, Instant};

pub(super) fn rows() -> Vec<Row> {
    vec![
        Row {
            name: "unread-history",
            about: "200 connections ask for a history of 6 MB each and read nothing",
            play: |stage| play(stage, Ask::History),
            ..USUAL
        },
        Row {
            name: "unread-replay",
            about: "200 connections resume a topic from its beginning, 6 MB each, and read nothing, while 6 MB more are \
                    published to it each second",
            play: |stage| play(stage, Ask::Replay),
            ..USUAL
        },
        Row {
            name: "unread-latest",
            about: "the same with slow: \"latest\" and a ping frame of each connection every second",
            play: |stage| play(stage, Ask::Latest),
            ..USUAL
        },
    ]
}

/// What the connections ask for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ask {
    History,
    Replay,
    Latest,
}

fn play(stage: &mut Stage, ask: Ask) -> Result<String> {
    let mut publisher = stage.client()?;
    let (keeper, epoch) = keep_history(stage, &mut publisher)?;
    let mut askers = stage.narrow_clients(ASKERS)?;
    let request = frame(&ask.request(&epoch));
    stage.begin()?;
    let files = stage.server.open_files()?;
    for asker in &mut askers {
        asker.send(&request)?;
    }
    let until = Instant::now() + stage.length;
    let mut second = Instant::now();
    while Instant::now() < until {
        if ask != Ask::History {
            publisher.send(&publication().repeat(PUBLICATIONS))?;
        }
        if ask == Ask::Latest {
            for asker in &mut askers {
                // Fails where the server has cut the connection, as it may.
                let _ = asker.send(&Frame::ping("").bytes());
            }
        }
        second += Duration::from_secs(1);
        thread::sleep(second.saturating_duration_since(Instant::now()));
    }
    let gone = files.saturating_sub(stage.server.open_files()?);
    stage.end()?;
    Ok(format!("{gone} of {ASKERS} closed; of those who read: {}", keeper.closed_in_words()))
}

/// Fills the topic's history, and gives the reader on account of which it is kept, and its epoch.
fn keep_history(stage: &Stage, publisher: &mut Client) -> Result<(Crowd, String)> {
    let mut keeper = stage.client()?;
    keeper.ask(0, json!({"action": "subscribe", "topic": TOPIC, "slow": "latest"}))?;
    publisher.send(&publication())?;
    let event = keeper.event(PATIENCE)?;
    let epoch = event["epoch"].as_str().context("a topic with a history")?.to_owned();
    let keeper = Crowd::of(vec![keeper])?;
    publisher.send(&publication().repeat(PUBLICATIONS))?;
    publisher.ask(0, json!({"action": "ping"}))?;
    keeper.await_quiet();
    Ok((keeper, epoch))
}

impl Ask {
    fn request(self, epoch: &str) -> Value {
        // Two publications of a hundred and one are no longer there.
        let recover = json!({"epoch": epoch, "offset": 2});
        match self {
            Self::History => json!({"id": 1, "action": "history", "topic": TOPIC}),
            Self::Replay => json!({"id": 1, "action": "subscribe", "topic": TOPIC, "recover": recover}),
            Self::Latest => {
                json!({"id": 1, "action": "subscribe", "topic": TOPIC, "recover": recover, "slow": "latest"})
            }
        }
    }
}

fn publication() -> Vec<u8> {
    frame(&json!({"action": "publish", "topic": TOPIC, "message": "x".repeat(MESSAGE_BYTES)}))
}

/// What is asked for.
const TOPIC: &str = "long";

/// Who ask.
const ASKERS: usize = 200;

/// As many as a history keeps.
const PUBLICATIONS: usize = 100;

/// Bytes of each.
const MESSAGE_BYTES: usize = 60_000;
