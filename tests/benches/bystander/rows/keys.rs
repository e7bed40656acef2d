//! Keyed publications of other clients between a keyed publication and its repetition.

use super::{Row, USUAL};
use crate::stage::Stage;
use crate::wire::{Client, frame};
use anyhow::{Result, anyhow};
use serde_json::json;
use std::thread;
use std::time::Instant;

pub(super) fn rows() -> Vec<Row> {
    vec![Row {
        name: "keys",
        about: "a publication with a key, 300,000 keyed publications by 4 others, and the first once more",
        play,
        ..USUAL
    }]
}

/// Publishes once, lets the others publish, publishes the same again, and counts what the subscriber received.
fn play(stage: &mut Stage) -> Result<String> {
    let subscriber = stage.readers(1, "orders")?;
    let mut publisher = stage.client()?;
    let others = stage.clients(OTHERS)?;
    let before = subscriber.messages();
    let order = json!({"action": "publish", "topic": "orders", "message": "paid", "key": "order-17-paid"});
    stage.begin()?;
    publisher.ask(1, order.clone())?;
    let began = Instant::now();
    let threads: Vec<_> =
        (0..).zip(others).map(|(who, other)| thread::spawn(move || publish_keys(other, who))).collect();
    for thread in threads {
        thread.join().map_err(|_| anyhow!("a publisher panicked"))??;
    }
    let took = began.elapsed().as_secs_f64();
    publisher.ask(2, order)?;
    subscriber.await_quiet();
    stage.end()?;
    let effects = subscriber.messages()[0] - before[0];
    Ok(format!("the first took effect {effects} times; the others were published in {took:.1} s"))
}

/// Publishes the keyed messages of one of the other clients, and waits until the server has handled all of them.
fn publish_keys(mut client: Client, who: usize) -> Result<()> {
    for block in 0..KEYS / BLOCK {
        let frames = (block * BLOCK..(block + 1) * BLOCK).map(|number| {
            let (topic, key) = (format!("other.{who}"), format!("key-{who}-{number:08}"));
            frame(&json!({"action": "publish", "topic": topic, "message": "x", "key": key}))
        });
        client.send(&frames.collect::<Vec<_>>().concat())?;
    }
    client.ask(0, json!({"action": "ping"}))?;
    Ok(())
}

/// Clients that publish between the publication and its repetition.
const OTHERS: usize = 4;

/// Keyed publications of each of these clients.
const KEYS: usize = 75_000;

/// Publications in one write.
const BLOCK: usize = 500;
