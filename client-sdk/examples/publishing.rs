//! A thousand readings in order, and what to do with those that fail:
//! `cargo run -p hubcast-client --example publishing`, with a server running. Stop the server while it runs, and start it
//! again.

use hubcast_client::{Client, IdempotencyKey, PublishError, Publisher};
use std::time::Duration;

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let url = std::env::args().nth(1).unwrap_or_else(|| "ws://127.0.0.1:8080/socket".to_owned());
    let client = Client::builder(&url).request_timeout(Duration::from_secs(10)).connect_lazily()?;
    let mut readings = client.publisher::<u64>("readings");
    let mut pace = tokio::time::interval(Duration::from_millis(10));
    for reading in 1..=1000 {
        pace.tick().await;
        // Waits only if 256 are under way. The error is about this reading or an earlier one; all others go on.
        if let Err(failed) = readings.send(reading).await {
            again(&client, failed.value, failed.key).await?;
        }
    }
    finish(&client, &mut readings).await?;
    println!("all readings are published");
    client.close().await?;
    Ok(())
}

/// Waits for all confirmations, and publishes again what failed.
async fn finish(client: &Client, readings: &mut Publisher<u64>) -> anyhow::Result<()> {
    while let Err(failed) = readings.flush().await {
        println!("reading {}: {}", failed.value, failed.source);
        again(client, failed.value, failed.key).await?;
    }
    Ok(())
}

/// Publishes a reading until it is confirmed. With the key of the first time it takes effect once.
async fn again(client: &Client, reading: u64, mut key: Option<IdempotencyKey>) -> Result<(), PublishError> {
    loop {
        let publish = client.publish("readings", &reading);
        let published = match key.clone() {
            Some(key) => publish.key(key).await,
            None => publish.await,
        };
        match published {
            Ok(_) => return Ok(()),
            Err(PublishError::Timeout { key: known }) => key = known,
            Err(PublishError::Uncertain { key: known, .. }) => key = Some(known),
            Err(PublishError::Refused(refused)) if refused.retry => tokio::time::sleep(Duration::from_secs(1)).await,
            Err(error) => return Err(error),
        }
    }
}
