//! One publisher that fills all the memory that histories share.

use super::{Row, USUAL};
use crate::crowd::Crowd;
use crate::stage::Stage;
use crate::wire::{Client, PATIENCE, frame};
use anyhow::{Context, Result};
use serde_json::json;
use std::collections::HashMap;
use std::time::Instant;

pub(super) fn rows() -> Vec<Row> {
    vec![Row {
        name: "histories",
        about: "100 quiet topics have 20 small publications each; one publisher sends 200 MB into 20 topics of its own; \
                then somebody resumes the quiet topics from offset 10",
        play,
        ..USUAL
    }]
}

/// Fills quiet topics, floods others, and counts how many quiet topics can still be resumed.
fn play(stage: &mut Stage) -> Result<String> {
    let (listener, epochs) = remember_quiet_topics(stage)?;
    let mut flooding = stage.client()?;
    for topic in 0..FLOODED_TOPICS {
        let subscribe = json!({"action": "subscribe", "topic": format!("flooded.{topic}"), "slow": "latest"});
        flooding.ask(topic as u64, subscribe)?;
    }
    let message = "x".repeat(MESSAGE_BYTES);
    let frames = (0..FLOODED_TOPICS)
        .map(|topic| format!("flooded.{topic}"))
        .map(|topic| frame(&json!({"action": "publish", "topic": topic, "message": message, "echo": false})));
    let round = frames.collect::<Vec<_>>().concat();

    stage.begin()?;
    let began = Instant::now();
    for _ in 0..FLOOD_BYTES.div_ceil(round.len()) {
        flooding.send(&round)?;
    }
    flooding.ask(0, json!({"action": "ping"}))?;
    let took = began.elapsed().as_secs_f64();
    let resumed = resumable(&mut stage.client()?, &epochs)?;
    stage.end()?;
    Ok(format!("{resumed} of {QUIET_TOPICS} resumed, after {took:.1} s of flood; {}", listener.closed_in_words()))
}

/// Publishes to the quiet topics. Returns their subscriber and the epoch of each topic.
fn remember_quiet_topics(stage: &Stage) -> Result<(Crowd, HashMap<String, String>)> {
    let (mut listener, mut publisher) = (stage.client()?, stage.client()?);
    for topic in 0..QUIET_TOPICS {
        listener.ask(topic as u64, json!({"action": "subscribe", "topic": format!("quiet.{topic}")}))?;
    }
    let mut epochs = HashMap::new();
    for _ in 0..QUIET_PUBLICATIONS {
        for topic in 0..QUIET_TOPICS {
            let publish = json!({"action": "publish", "topic": format!("quiet.{topic}"), "message": "quiet"});
            publisher.send(&frame(&publish))?;
        }
        for _ in 0..QUIET_TOPICS {
            let event = listener.event(PATIENCE)?;
            let text = |name: &str| Some(event[name].as_str()?.to_owned());
            let (topic, epoch) = text("topic").zip(text("epoch")).context("a topic with a history")?;
            epochs.insert(topic, epoch);
        }
    }
    Ok((Crowd::of(vec![listener])?, epochs))
}

/// Counts the topics that can be resumed without a gap.
fn resumable(client: &mut Client, epochs: &HashMap<String, String>) -> Result<usize> {
    let mut resumed = 0;
    for (id, (topic, epoch)) in (0..).zip(epochs) {
        let recover = json!({"epoch": epoch, "offset": QUIET_PUBLICATIONS / 2});
        let answer = client.ask(id, json!({"action": "subscribe", "topic": topic, "recover": recover}))?;
        if answer["recovered"] == true {
            resumed += 1;
        }
    }
    Ok(resumed)
}

/// Quiet topics.
const QUIET_TOPICS: usize = 100;

/// Publications to each quiet topic.
const QUIET_PUBLICATIONS: usize = 20;

/// Topics of the publisher that floods.
const FLOODED_TOPICS: usize = 20;

/// Bytes of each of its messages.
const MESSAGE_BYTES: usize = 60_000;

/// Bytes of all of its messages together.
const FLOOD_BYTES: usize = 200_000_000;
