//! Long answers that nobody reads: a few bytes of request pin megabytes, if they are encoded before they can be sent,
//! or if what waits holds publications that the history has let go.

use super::{Row, USUAL};
use crate::crowd::Crowd;
use crate::stage::Stage;
use crate::wire::{Client, PATIENCE, frame};
use anyhow::{Context, Result};
use hubcast_tests::Frame;
use serde_json::json;
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
            about: "every second some of 200 connections ask for 6 MB of each of 4 topics with slow: \"latest\"; they read \
                    nothing but send a ping frame every second, and these topics hear 24 MB more each second",
            play: |stage| play(stage, Ask::Latest),
            ..USUAL
        },
    ]
}

/// What the connections ask for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ask {
    /// One history, all at once.
    History,
    /// One replay, all at once.
    Replay,
    /// Replays of several topics, one connection after another, so that each pins other publications.
    Latest,
}

fn play(stage: &mut Stage, ask: Ask) -> Result<String> {
    let seconds = stage.length.as_secs();
    let mut publisher = stage.client()?;
    let (keeper, epoch) = keep_histories(stage, &mut publisher, ask.topics())?;
    let mut askers = stage.narrow_clients(ASKERS)?;
    let round = round(ask.topics());
    stage.begin()?;
    let files = stage.server.open_files()?;
    let (mut second, mut asked) = (Instant::now(), 0);
    for number in 1..=seconds {
        let due =
            if ask == Ask::Latest { ASKERS * usize::try_from(number)? / usize::try_from(seconds)? } else { ASKERS };
        for asker in &mut askers[asked..due] {
            asker.send(&ask.requests(&epoch))?;
        }
        asked = due;
        if ask != Ask::History {
            publisher.send(&round)?;
        }
        if ask == Ask::Latest {
            for asker in &mut askers[..asked] {
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

/// Fills the histories of the topics, and gives the reader on account of which they are kept, and the first one's epoch.
fn keep_histories(stage: &Stage, publisher: &mut Client, topics: usize) -> Result<(Crowd, String)> {
    let mut keeper = stage.client()?;
    for topic in (0..topics).rev() {
        keeper.ask(0, json!({"action": "subscribe", "topic": name(topic), "slow": "latest"}))?;
    }
    publisher.send(&publication(0))?;
    let event = keeper.event(PATIENCE)?;
    let epoch = event["epoch"].as_str().context("a topic with a history")?.to_owned();
    let keeper = Crowd::of(vec![keeper])?;
    publisher.send(&round(topics))?;
    publisher.ask(0, json!({"action": "ping"}))?;
    keeper.await_quiet();
    Ok((keeper, epoch))
}

impl Ask {
    fn topics(self) -> usize {
        if self == Self::Latest { 4 } else { 1 }
    }

    /// What one connection sends.
    fn requests(self, epoch: &str) -> Vec<u8> {
        // One publication more than a history policy was made, so that the second is the last that may be gone.
        let recover = json!({"epoch": epoch, "offset": 1});
        match self {
            Self::History => frame(&json!({"id": 1, "action": "history", "topic": name(0)})),
            Self::Replay => frame(&json!({"action": "subscribe", "topic": name(0), "recover": recover})),
            Self::Latest => {
                let topics = (0..self.topics()).map(name);
                let requests = topics.map(|topic| {
                    frame(&json!({"action": "subscribe", "topic": topic, "last": PUBLICATIONS, "slow": "latest"}))
                });
                requests.collect::<Vec<_>>().concat()
            }
        }
    }
}

/// A whole history's publications to each of the topics.
fn round(topics: usize) -> Vec<u8> {
    (0..topics).map(|topic| publication(topic).repeat(PUBLICATIONS)).collect::<Vec<_>>().concat()
}

fn publication(topic: usize) -> Vec<u8> {
    frame(&json!({"action": "publish", "topic": name(topic), "message": "x".repeat(MESSAGE_BYTES)}))
}

fn name(topic: usize) -> String {
    format!("long.{topic}")
}

/// Who ask.
const ASKERS: usize = 200;

/// As many as a history policy.
const PUBLICATIONS: usize = 100;

/// Bytes of each.
const MESSAGE_BYTES: usize = 60_000;
