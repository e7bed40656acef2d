//! Many readers on another worker than their publisher, and many publishers at once.

use super::{Row, USUAL};
use crate::flood::{Flood, always};
use crate::stage::Stage;
use crate::wire::block;
use anyhow::Result;
use serde_json::json;
use std::time::Instant;

pub(super) fn rows() -> Vec<Row> {
    vec![
        Row {
            name: "mail",
            about: "with two workers: a publisher on one floods 2,000 readers on the other",
            workers: Some(2),
            play: play_mail,
            ..USUAL
        },
        Row {
            name: "crowd",
            about: "2,000 connections publish at once, as fast as they can, to a topic with 20 readers",
            plain: true,
            play: play_crowd,
            ..USUAL
        },
    ]
}

/// Floods readers that are all on the other worker.
fn play_mail(stage: &mut Stage) -> Result<String> {
    // The server assigns connections to its two workers in turn, so every second one is on the same worker.
    let mut publishers = vec![stage.client()?];
    let mut readers = Vec::new();
    for _ in 0..MAIL_READERS {
        readers.push(stage.client()?);
        publishers.push(stage.client()?);
    }
    publishers.truncate(1);
    let crowd = stage.readers_of(readers, "t")?;
    let message = json!({"action": "publish", "topic": "t", "message": "x".repeat(MAIL_MESSAGE_BYTES)});
    let (block, _) = block(&message, BLOCK_BYTES);
    let before = crowd.messages();
    stage.begin()?;
    let flood = Flood::start(publishers, always(block), Instant::now() + stage.length)?;
    flood.wait()?;
    let heard = crowd.heard_by_each_since(&before);
    stage.end()?;
    let rate = heard as f64 / stage.length.as_secs_f64();
    Ok(format!("the slowest reader heard {rate:.0} publications/s, {}", crowd.closed_in_words()))
}

/// Lets many connections publish at once to a topic with a few readers.
fn play_crowd(stage: &mut Stage) -> Result<String> {
    let crowd = stage.readers(CROWD_READERS, "t")?;
    let publishers = stage.clients(CROWD)?;
    let (block, _) = block(&json!({"action": "publish", "topic": "t", "message": "x"}), BLOCK_BYTES);
    let before = crowd.messages();
    stage.begin()?;
    let flood = Flood::start(publishers, always(block), Instant::now() + stage.length)?;
    let spent = flood.wait()?;
    let heard = crowd.heard_by_each_since(&before);
    stage.end()?;
    let rate = heard as f64 / stage.length.as_secs_f64();
    let taken = spent.written / 1_000_000;
    Ok(format!("{taken} MB taken, {rate:.0} publications/s heard by each reader, {}", crowd.closed_in_words()))
}

/// Bytes of one write of a publisher.
const BLOCK_BYTES: usize = 64 * 1024;

/// Readers on the other worker.
const MAIL_READERS: usize = 2_000;

/// Bytes of each message to them.
const MAIL_MESSAGE_BYTES: usize = 64;

/// Connections that publish at once.
const CROWD: usize = 2_000;

/// Readers of what these connections publish.
const CROWD_READERS: usize = 20;
