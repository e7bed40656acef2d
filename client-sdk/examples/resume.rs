//! A program that goes on where it ended, also over its own restart: it keeps its position in a file.
//!
//! With a server running: `cargo run -p hubcast-client --example resume -- numbers.position`. Stop it, publish to
//! `numbers`, and start it again.

use anyhow::Context;
use hubcast_client::{Client, Event, Position};
use std::path::Path;
use std::{fs, io};

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let mut args = std::env::args().skip(1);
    let file = args.next().context("name the file for the position")?;
    let client = Client::connect(&args.next().unwrap_or_else(|| "ws://127.0.0.1:8080/socket".to_owned())).await?;
    follow(&client, file.as_ref(), |line| println!("{line}")).await
}

/// Handles every message, and then stores its position. A message that was handled when the program is killed, and not
/// stored, is handled again.
async fn follow(client: &Client, file: &Path, mut handle: impl FnMut(String)) -> anyhow::Result<()> {
    let mut subscribe = client.subscribe::<u64>("numbers");
    if let Some(position) = read(file)? {
        subscribe = subscribe.recover(position);
    }
    let mut events = subscribe.await?.events();
    // There is a position before the first message comes: what is published while the program is away is not missed.
    write(file, events.position())?;
    while let Some(event) = events.next().await {
        match event? {
            Event::Message(message) => handle(message.value.to_string()),
            // The program was away for too long, or the server has forgotten.
            Event::Gap(gap) => handle(gap.to_string()),
            _ => {}
        }
        write(file, events.position())?;
    }
    Ok(())
}

/// Reads a position: an epoch and an offset in one line.
fn read(file: &Path) -> anyhow::Result<Option<Position>> {
    let text = match fs::read_to_string(file) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let (epoch, offset) = text.trim().split_once(' ').context("the file holds no position")?;
    Ok(Some(Position { epoch: epoch.parse()?, offset: offset.parse()? }))
}

/// Writes a position into a new file and then renames it, so that there is always a whole one.
fn write(file: &Path, position: Option<Position>) -> anyhow::Result<()> {
    let Some(Position { epoch, offset }) = position else { return Ok(()) };
    let new = file.with_extension("new");
    fs::write(&new, format!("{epoch} {offset}\n"))?;
    Ok(fs::rename(new, file)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use hubcast_client::testing::TestServer;
    use tokio::time::{Duration, timeout};

    #[tokio::test(start_paused = true)]
    async fn what_is_published_while_the_program_is_away_is_not_missed() {
        let server = TestServer::start();
        let file = std::env::temp_dir().join(format!("hubcast-resume-{}", std::process::id()));
        let mut handled = Vec::new();
        for number in 1..=3_u64 {
            // Each run of the program ends after a second.
            let client = server.client().await.unwrap();
            let running = follow(&client, &file, |line| handled.push(line));
            assert!(timeout(Duration::from_secs(1), running).await.is_err());
            drop(client);
            server.publish("numbers", &number).unwrap();
        }
        fs::remove_file(&file).unwrap();
        assert_eq!(handled, ["1", "2"], "the third came when no program ran any more");
    }
}
