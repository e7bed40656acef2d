//! Long answers that no client reads. A request of a few bytes pins megabytes if the server encodes the answer before
//! it can send it, or if what waits keeps publications alive that the history has already evicted.

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
    /// One history; all connections ask at once.
    History,
    /// One replay; all connections ask at once.
    Replay,
    /// Replays of several topics. The connections ask one after another, so that each pins other publications.
    Latest,
}

/// Lets the connections ask and read nothing, and counts how many of them the server closed.
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
                // This fails if the server has cut the connection, which it may do.
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

/// Fills the histories of the topics. Returns a reader whose subscriptions keep them alive, and the epoch of the first.
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
    /// Number of topics that one connection asks about.
    fn topics(self) -> usize {
        if self == Self::Latest { 4 } else { 1 }
    }

    /// The requests of one connection, encoded.
    fn requests(self, epoch: &str) -> Vec<u8> {
        // The topic got one publication more than a history keeps. So offset 1 is the last that may be missing.
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

/// For each topic, as many publications as a history keeps.
fn round(topics: usize) -> Vec<u8> {
    (0..topics).map(|topic| publication(topic).repeat(PUBLICATIONS)).collect::<Vec<_>>().concat()
}

/// One publication to a topic, encoded.
fn publication(topic: usize) -> Vec<u8> {
    frame(&json!({"action": "publish", "topic": name(topic), "message": "x".repeat(MESSAGE_BYTES)}))
}

/// The name of a topic.
fn name(topic: usize) -> String {
    format!("long.{topic}")
}

/// Connections that ask.
const ASKERS: usize = 200;

/// Publications that one history keeps.
const PUBLICATIONS: usize = 100;

/// Bytes of each message.
const MESSAGE_BYTES: usize = 60_000;
