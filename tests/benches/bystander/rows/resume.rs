//! Connections that resume very many topics at once.

use super::{Row, USUAL};
use crate::crowd::Crowd;
use crate::stage::Stage;
use crate::wire::{Client, PATIENCE, frame};
use anyhow::{Context, Result, ensure};
use serde_json::{Map, Value, json};
use std::time::Instant;

pub(super) fn rows() -> Vec<Row> {
    vec![Row {
        name: "resume",
        about: "1,300 topics have 100 small publications each; 10 connections resume all of them, under one pattern, \
                at the same time",
        play,
        ..USUAL
    }]
}

/// Fills the histories, lets all connections resume at once, and measures when they are answered and have everything.
fn play(stage: &mut Stage) -> Result<String> {
    let mut listener = stage.client()?;
    listener.ask(0, json!({"action": "subscribe", "pattern": "many.*", "slow": "latest"}))?;
    let (listener, mut publisher) = (Crowd::of(vec![listener])?, stage.client()?);
    let round: Vec<u8> = names().flat_map(|topic| frame(&json!({"action": "publish", "topic": topic}))).collect();
    for _ in 0..PUBLICATIONS {
        publisher.send(&round)?;
        publisher.ask(0, json!({"action": "ping"}))?;
    }
    let recover = beginnings(&mut publisher)?;
    let request = frame(&json!({"id": 1, "action": "subscribe", "pattern": "many.*", "recover": recover}));
    let mut resuming = stage.clients(RESUMING)?;

    stage.begin()?;
    let began = Instant::now();
    for client in &mut resuming {
        client.send(&request)?;
    }
    for client in &mut resuming {
        let answer = client.answer(1)?;
        ensure!(answer["replayed"] == TOPICS * PUBLICATIONS, "not everything is replayed: {answer}");
    }
    let took = began.elapsed().as_secs_f64();
    for client in &mut resuming {
        for _ in 0..TOPICS * PUBLICATIONS {
            client.event(PATIENCE)?;
        }
    }
    let read = began.elapsed().as_secs_f64();
    stage.end()?;
    Ok(format!("answered after {took:.2} s, replayed after {read:.1} s; {}", listener.closed_in_words()))
}

/// The names of all topics.
fn names() -> impl Iterator<Item = String> {
    (0..TOPICS).map(|topic| format!("many.{topic}"))
}

/// For each topic, the position before its first publication.
fn beginnings(client: &mut Client) -> Result<Value> {
    let mut beginnings = Map::new();
    for (id, topic) in (0..).zip(names()) {
        let answer = client.ask(id, json!({"action": "history", "topic": topic, "limit": 0}))?;
        let epoch = answer["epoch"].as_str().context("a topic with a history")?;
        beginnings.insert(topic, json!({"epoch": epoch, "offset": 0}));
    }
    Ok(Value::Object(beginnings))
}

/// Number of topics. The positions of more topics do not fit into one message.
const TOPICS: usize = 1300;

/// Publications to each topic.
const PUBLICATIONS: usize = 100;

/// Connections that resume.
const RESUMING: usize = 10;
