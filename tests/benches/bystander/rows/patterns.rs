//! Patterns with wildcards. For a publication that matches all of them, the server must visit all combinations.

use super::{Row, USUAL};
use crate::crowd::Crowd;
use crate::flood::{Blocks, Flood, always};
use crate::stage::Stage;
use crate::wire::{block, frame};
use anyhow::Result;
use serde_json::json;
use std::sync::Arc;
use std::time::Instant;

/// The rows `patterns`, `patterns-new` and `patterns-many`.
pub(super) fn rows() -> Vec<Row> {
    vec![
        Row {
            name: "patterns",
            about: "5 connections hold 4,096 patterns of 16 tokens; one publishes to a topic that all of them match, \
                    as fast as it can",
            play: |stage| {
                let (block, _) = block(&json!({"action": "publish", "topic": matched_by_all("a")}), BLOCK_BYTES);
                play(stage, (CHOSEN_TOKENS, HOLDERS), always(block))
            },
            ..USUAL
        },
        Row {
            name: "patterns-new",
            about: "the same, each publication to a topic of its own that all patterns match",
            play: |stage| play(stage, (CHOSEN_TOKENS, HOLDERS), new_topics(NEW_TOPICS)),
            ..USUAL
        },
        Row {
            name: "patterns-many",
            about: "the same with 32,768 patterns of 35 connections",
            play: |stage| play(stage, (15, 35), new_topics(20)),
            ..USUAL
        },
    ]
}

/// Lets one publisher flood topics that all patterns match; `chosen` and `holders` are those of [`hold`].
fn play(stage: &mut Stage, (chosen, holders): (usize, usize), blocks: Blocks) -> Result<String> {
    let crowd = hold(stage, chosen, holders)?;
    let publisher = stage.client()?;
    let before = crowd.messages();
    stage.begin()?;
    let flood = Flood::start(vec![publisher], blocks, Instant::now() + stage.length)?;
    // The operating system accepts bytes that the server has not read yet. So what the subscribers received counts, not
    // what was written.
    let spent = flood.wait()?;
    let heard = crowd.heard_by_each_since(&before) as f64 / stage.length.as_secs_f64();
    stage.end()?;
    let written = spent.written as f64 / 1e6;
    Ok(format!("{heard:.0} publications/s heard, {written:.1} MB written, {}", crowd.closed_in_words()))
}

/// Opens `holders` connections that together subscribe to 2^`chosen` patterns: every combination of `*` and `a` for the
/// first `chosen` tokens, and `*` for the rest of the [`TOKENS`] tokens. The connections read what they receive.
pub(super) fn hold(stage: &Stage, chosen: usize, holders: usize) -> Result<Crowd> {
    let patterns: Vec<String> = (0..1_usize << chosen)
        .map(|number| {
            let token = |place: usize| if place < chosen && number >> place & 1 == 1 { "a" } else { "*" };
            (0..TOKENS).map(token).collect::<Vec<_>>().join(".")
        })
        .collect();
    let mut clients = stage.clients(holders)?;
    for (client, share) in clients.iter_mut().zip(patterns.chunks(patterns.len().div_ceil(holders))) {
        for (id, pattern) in (0..).zip(share) {
            client.ask(id, json!({"action": "subscribe", "pattern": pattern, "slow": "latest"}))?;
        }
    }
    Crowd::of(clients)
}

/// A topic with this last token that all patterns of [`hold`] match.
pub(super) fn matched_by_all(last: &str) -> String {
    format!("{}{last}", "a.".repeat(TOKENS - 1))
}

/// Blocks of `in_a_block` publications each; every publication has a new topic.
fn new_topics(in_a_block: u64) -> Blocks {
    Box::new(move |number| {
        let topics = number * in_a_block..(number + 1) * in_a_block;
        let publications =
            topics.map(|topic| frame(&json!({"action": "publish", "topic": matched_by_all(&topic.to_string())})));
        Some(Arc::from(publications.flatten().collect::<Vec<u8>>()))
    })
}

/// Tokens of each pattern and topic. The server allows no more.
const TOKENS: usize = 16;

/// Tokens that are `a` in some patterns and `*` in others.
pub(super) const CHOSEN_TOKENS: usize = 12;

/// Connections that hold the patterns.
pub(super) const HOLDERS: usize = 5;

/// Bytes of one write of the publisher.
const BLOCK_BYTES: usize = 64 * 1024;

/// Publications in one block with new topics.
const NEW_TOPICS: u64 = 500;
