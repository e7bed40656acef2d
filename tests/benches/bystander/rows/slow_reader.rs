//! One slow reader that is subscribed to everything, and a publisher whose messages it receives.

use super::{Row, USUAL};
use crate::flood::{Flood, always};
use crate::stage::Stage;
use crate::wire::{Client, Counted, Counter, Dialect, block, frame};
use anyhow::{Result, anyhow};
use serde_json::json;
use std::io::{ErrorKind, Read};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

pub(super) fn rows() -> Vec<Row> {
    vec![
        Row {
            name: "slow-reader",
            about: "one connection subscribes to >, reads 256 KB/s and comes back when it is closed; somebody publishes \
                    1 KB after 1 KB to a topic of its own, each when the one before is answered; then a second \
                    publisher floods the same reader",
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

/// Measures the publisher alone, then beside the slow reader, both without and with a flood.
fn play(stage: &mut Stage, slow: &'static str) -> Result<String> {
    let mut publisher = stage.client()?;
    let address = stage.server.address();
    stage.begin()?;
    let (alone, _) = publish_one_at_a_time(&mut publisher, ALONE)?;
    let flooded_alone = publish_beside_flood(stage, &mut publisher, ALONE)?;

    let reader = SlowReader::subscribed(address, slow)?;
    let until = seconds_from_now(SETTLING + BESIDE + SETTLING + FLOODED);
    let reading = thread::spawn(move || reader.read_until(until));
    publish_one_at_a_time(&mut publisher, SETTLING)?;
    let (beside, slowest) = publish_one_at_a_time(&mut publisher, BESIDE)?;
    let flooded = publish_beside_flood(stage, &mut publisher, FLOODED)?;
    let closed = reading.join().map_err(|_| anyhow!("the slow reader panicked"))??;
    stage.end()?;
    Ok(format!(
        "{alone:.0} publications/s alone, {beside:.0} beside the reader ({slowest:.0} in the slowest second); with the \
         flood {flooded_alone:.0} and {flooded:.0}; the reader was closed {closed}"
    ))
}

/// Lets another publisher flood the readers, and returns how many publications a second `publisher` makes meanwhile.
fn publish_beside_flood(stage: &Stage, publisher: &mut Client, seconds: u32) -> Result<f64> {
    let message = json!({"action": "publish", "topic": "flood", "message": "x".repeat(MESSAGE_BYTES)});
    let (block, _) = block(&message, 64 * 1024);
    let flood = Flood::start(vec![stage.client()?], always(block), seconds_from_now(SETTLING + seconds))?;
    publish_one_at_a_time(publisher, SETTLING)?;
    let (rate, _) = publish_one_at_a_time(publisher, seconds)?;
    flood.wait()?;
    Ok(rate)
}

/// Publishes one message after another for `seconds` seconds. Returns the rate per second, on average and in the
/// slowest second.
fn publish_one_at_a_time(publisher: &mut Client, seconds: u32) -> Result<(f64, f64)> {
    let message = json!({"action": "publish", "topic": "own", "message": "x".repeat(MESSAGE_BYTES)});
    let (began, mut total, mut slowest) = (Instant::now(), 0_u64, f64::INFINITY);
    for second in 1..=seconds {
        let (since, before) = (Instant::now(), total);
        while began.elapsed() < Duration::from_secs(second.into()) {
            publisher.ask(total, message.clone())?;
            total += 1;
        }
        let rate = (total - before) as f64 / since.elapsed().as_secs_f64();
        // If one answer took longer than a second, no time is left in the next second: its rate is 0.
        slowest = slowest.min(rate);
    }
    Ok((total as f64 / began.elapsed().as_secs_f64(), slowest))
}

/// The moment that is `seconds` seconds from now.
fn seconds_from_now(seconds: u32) -> Instant {
    Instant::now() + Duration::from_secs(seconds.into())
}

/// A connection that is subscribed to every topic and reads at most [`CHUNK`] bytes in each [`PACE`].
struct SlowReader {
    address: SocketAddr,
    slow: &'static str,
    stream: TcpStream,
}

impl SlowReader {
    /// Connects and subscribes to `>` with this `slow` option.
    fn subscribed(address: SocketAddr, slow: &'static str) -> Result<Self> {
        let mut client = Client::open_narrow(address, Dialect::Typed, READER_BUFFER)?;
        client.send(&frame(&json!({"action": "subscribe", "pattern": ">", "slow": slow})))?;
        let stream = client.into_stream()?;
        stream.set_read_timeout(Some(PACE))?;
        Ok(Self { address, slow, stream })
    }

    /// Reads until `until` and reconnects each time the server closes the connection. Returns in words how often that
    /// happened and with which codes.
    fn read_until(mut self, until: Instant) -> Result<String> {
        let mut codes = Vec::new();
        while let Some(code) = self.read_until_closed(until) {
            codes.push(code.map_or_else(|| "no code".to_owned(), |code| code.to_string()));
            self = Self::subscribed(self.address, self.slow)?;
        }
        let number = codes.len();
        codes.dedup();
        Ok(if number == 0 { "never".to_owned() } else { format!("{number} times ({})", codes.join(", ")) })
    }

    /// Reads until `until`, or until the connection is closed or cut. Returns `None` if it stayed open, else its close
    /// code if there was one.
    fn read_until_closed(&mut self, until: Instant) -> Option<Option<u16>> {
        let (mut counter, mut chunk, mut code) = (Counter::default(), [0; CHUNK], None);
        while Instant::now() < until {
            let next = Instant::now() + PACE;
            match self.stream.read(&mut chunk) {
                Ok(length @ 1..) => counter.take(&chunk[..length], |counted| {
                    if let Counted::Close(closed) = counted {
                        code = Some(closed);
                    }
                }),
                Err(fault) if fault.kind() == ErrorKind::WouldBlock => {}
                Ok(0) | Err(_) => return Some(None),
            }
            if code.is_some() {
                return Some(code);
            }
            thread::sleep(next.saturating_duration_since(Instant::now()));
        }
        None
    }
}

/// Bytes of one read. With sixteen reads a second this is 256 KB/s.
const CHUNK: usize = 16 * 1024;

/// Time between two reads of the reader.
const PACE: Duration = Duration::from_micros(62_500);

/// Receive buffer of the reader in bytes; small, so that what it does not read soon waits at the server.
const READER_BUFFER: usize = 32 * 1024;

/// Bytes of each message.
const MESSAGE_BYTES: usize = 1_000;

/// Seconds for which the publisher is measured alone.
const ALONE: u32 = 3;

/// Seconds in which buffers may fill before the next measurement.
const SETTLING: u32 = 2;

/// Seconds for which the publisher is measured beside the reader.
const BESIDE: u32 = 6;

/// Seconds for which the publisher is measured beside the reader and the flood.
const FLOODED: u32 = 5;
