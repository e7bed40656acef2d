//! Small publications to many readers, all at once: a few kilobytes of input become gigabytes of output.

use super::{Row, USUAL};
use crate::flood::{Flood, times};
use crate::stage::Stage;
use crate::wire::{PATIENCE, block};
use anyhow::Result;
use serde_json::json;
use std::time::Instant;

pub(super) fn rows() -> Vec<Row> {
    vec![
        Row {
            name: "burst",
            about: "8 publishers send 64 KiB of the smallest publications each, at once, to 4,000 readers",
            plain: true,
            play: |stage| play(stage, 4_000),
            ..USUAL
        },
        Row {
            name: "burst-large",
            about: "the same to 9,000 readers",
            plain: true,
            play: |stage| play(stage, 9_000),
            ..USUAL
        },
    ]
}

/// Sends one burst and measures how many readers received all of it.
fn play(stage: &mut Stage, readers: usize) -> Result<String> {
    let crowd = stage.readers(readers, "t")?;
    let publishers = stage.clients(PUBLISHERS)?;
    let (block, copies) = block(&json!({"action": "publish", "topic": "t"}), BURST_BYTES);
    let before = crowd.messages();
    stage.begin()?;
    let began = Instant::now();
    let flood = Flood::start(publishers, times(block, 1), began + PATIENCE)?;
    let publications = copies * PUBLISHERS;
    let complete = crowd.await_messages(&before, publications as u64, PATIENCE);
    let took = began.elapsed();
    stage.end()?;
    flood.wait()?;
    let closed = crowd.closed_in_words();
    Ok(format!("{complete} of {readers} heard all {publications} within {:.1} s, {closed}", took.as_secs_f64()))
}

/// Connections that publish at once.
const PUBLISHERS: usize = 8;

/// Bytes that each of them sends: one read of the server.
const BURST_BYTES: usize = 64 * 1024;
