//! Topics whose histories expire while patterns match them: the server must check whether a subscriber still needs
//! each.

use super::patterns::{hold, matched_by_all};
use super::{Row, USUAL};
use crate::stage::Stage;
use crate::wire::frame;
use anyhow::Result;
use serde_json::json;
use std::thread;
use std::time::Duration;

pub(super) fn rows() -> Vec<Row> {
    vec![Row {
        name: "look-over",
        about: "3 connections hold 2,048 patterns, 1,500 topics that all of them match are remembered for 3 s; then \
                nobody says anything",
        flags: &["--topics", r#"[{match = ">", history = {size = 100, ttl = "3s"}}]"#],
        play,
        ..USUAL
    }]
}

/// Publishes once to each topic, and then waits while no client sends anything.
fn play(stage: &mut Stage) -> Result<String> {
    let crowd = hold(stage, CHOSEN_TOKENS, HOLDERS)?;
    let mut publisher = stage.client()?;
    for topic in 0..TOPICS {
        let topic = matched_by_all(&topic.to_string());
        publisher.send(&frame(&json!({"action": "publish", "topic": topic})))?;
    }
    publisher.ask(0, json!({"action": "ping"}))?;
    crowd.await_quiet();
    stage.begin()?;
    thread::sleep(SILENCE);
    stage.end()?;
    Ok(format!("{} s of silence, {}", SILENCE.as_secs(), crowd.closed_in_words()))
}

/// Tokens that are `a` in some patterns and `*` in others.
const CHOSEN_TOKENS: usize = 11;

/// Connections that hold the patterns.
const HOLDERS: usize = 3;

/// Topics that have a history.
const TOPICS: usize = 1_500;

/// Time without publications; longer than three times the `ttl` of the histories.
const SILENCE: Duration = Duration::from_secs(10);
