//! One reader of everything that is slow, and a publisher who has nothing to do with it but that it is heard.

use super::{Row, USUAL};
use crate::flood::{Flood, always};
use crate::stage::Stage;
use crate::wire::{Client, Counted, Counter, block};
use anyhow::{Result, anyhow};
use serde_json::json;
use std::io::{ErrorKind, Read};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

pub(super) fn rows() -> Vec<Row> {
    vec![
        Row {
            name: "slow-reader",
            about: "one connection subscribes to > and reads 256 KB/s; somebody publishes 1 KB after 1 KB to a topic of \
                    his own, each when the one before is answered; then a second publisher floods the same reader",
            play: |stage| play(stage, "disconnect"),
            ..USUAL
        },
        Row {
            name: "slow-latest",
            about: "the same reader with slow: \"latest\"",
            play: |stage| play(stage, "latest"),
            ..USUAL
        },
    ]
}

fn play(stage: &mut Stage, slow: &str) -> Result<String> {
    let mut publisher = stage.client()?;
    let mut reader = Client::open_narrow(stage.server.address(), stage.server.dialect(), READER_BUFFER)?;
    stage.begin()?;
    let alone = publications_per_second(&mut publisher, ALONE)?;

    reader.ask(0, json!({"action": "subscribe", "pattern": ">", "slow": slow}))?;
    let (since, until) = (Instant::now(), Instant::now() + SETTLING + BESIDE + SETTLING + FLOODED);
    let stream = reader.into_stream()?;
    let reading = thread::spawn(move || read_slowly(stream, since, until));
    publications_per_second(&mut publisher, SETTLING)?;
    let beside = publications_per_second(&mut publisher, BESIDE)?;

    let message = json!({"action": "publish", "topic": "flood", "message": "x".repeat(MESSAGE_BYTES)});
    let (block, _) = block(&message, 64 * 1024);
    let flood = Flood::start(vec![stage.client()?], always(block), Instant::now() + SETTLING + FLOODED)?;
    publications_per_second(&mut publisher, SETTLING)?;
    let flooded = publications_per_second(&mut publisher, FLOODED)?;
    flood.wait()?;
    let reader = reading.join().map_err(|_| anyhow!("the slow reader panicked"))??;
    stage.end()?;
    Ok(format!(
        "{alone:.0} publications/s alone, {beside:.0} beside the reader, {flooded:.0} with the flood; reader {reader}"
    ))
}

/// Publishes one message at a time for so long.
fn publications_per_second(publisher: &mut Client, length: Duration) -> Result<f64> {
    let message = json!({"action": "publish", "topic": "own", "message": "x".repeat(MESSAGE_BYTES)});
    let (began, mut number) = (Instant::now(), 0);
    while began.elapsed() < length {
        publisher.ask(number, message.clone())?;
        number += 1;
    }
    Ok(number as f64 / began.elapsed().as_secs_f64())
}

/// Reads a little at a time until the end of the time or of the connection, and says which came first.
fn read_slowly(mut stream: TcpStream, since: Instant, until: Instant) -> Result<String> {
    let (mut counter, mut chunk, mut code) = (Counter::default(), [0; CHUNK], None);
    stream.set_read_timeout(Some(PACE))?;
    while Instant::now() < until {
        let next = Instant::now() + PACE;
        match stream.read(&mut chunk) {
            Ok(length @ 1..) => counter.take(&chunk[..length], |counted| {
                if let Counted::Close(closed) = counted {
                    code = Some(closed);
                }
            }),
            Err(fault) if fault.kind() == ErrorKind::WouldBlock => {}
            Ok(0) | Err(_) => code = code.or(Some(1006)),
        }
        if let Some(code) = code {
            return Ok(format!("closed with {code} after {:.1} s", since.elapsed().as_secs_f64()));
        }
        thread::sleep(next.saturating_duration_since(Instant::now()));
    }
    Ok("never closed".to_owned())
}

/// What the reader reads at once, sixteen times a second: 256 KB/s.
const CHUNK: usize = 16 * 1024;

/// Between two of its reads.
const PACE: Duration = Duration::from_micros(62_500);

/// Small, so that what the reader has not read soon waits at the server.
const READER_BUFFER: usize = 32 * 1024;

/// Bytes of each message.
const MESSAGE_BYTES: usize = 1_000;

/// How long the publisher is measured alone.
const ALONE: Duration = Duration::from_secs(3);

/// How long buffers may fill before it is measured again.
const SETTLING: Duration = Duration::from_secs(2);

/// How long it is measured beside the reader.
const BESIDE: Duration = Duration::from_secs(6);

/// And how long with the flood.
const FLOODED: Duration = Duration::from_secs(5);
