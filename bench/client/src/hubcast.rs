//! The runs with the client of hubcast.

use anyhow::{Context, Result, ensure};
use futures_util::StreamExt;
use futures_util::stream::FuturesOrdered;
use hubcast_client::Client;
use std::future::IntoFuture;
use std::process::Command;
use std::time::Instant;

/// Publishes `count` texts, after a tenth of them to warm up. Returns messages a second, until the last confirmation.
pub async fn publish(url: String, bytes: usize, count: u64) -> Result<f64> {
    let client = Client::connect(&url).await?;
    let mut publisher = client.publisher::<&str>("bench").window(256);
    let text = "x".repeat(bytes);
    let text: &'static str = text.leak();
    let mut began = Instant::now();
    for number in 0..count + count / 10 {
        if number == count / 10 {
            publisher.flush().await?;
            began = Instant::now();
        }
        publisher.send(text).await?;
    }
    publisher.flush().await?;
    let took = began.elapsed();
    client.close().await?;
    Ok(count as f64 / took.as_secs_f64())
}

/// Receives `count` texts by the default typed stream, after a tenth of them to warm up. Returns messages a second.
pub async fn receive(url: String, bytes: usize, count: u64, flood_core: Option<usize>) -> Result<f64> {
    let client = Client::connect(&url).await?;
    let mut texts = client.subscribe::<String>("bench").await?;
    let address = url.trim_start_matches("ws://").split('/').next().unwrap_or_default().to_owned();
    let program = std::env::current_exe()?;
    let mut flood = match flood_core {
        Some(core) => {
            let mut command = Command::new("taskset");
            command.arg("-c").arg(core.to_string()).arg(program);
            command
        }
        None => Command::new(program),
    };
    flood.args(["flood", &address, "--bytes", &bytes.to_string(), "--count", &count.to_string()]);
    let mut flood = flood.spawn()?;
    let mut began = Instant::now();
    for number in 0..count + count / 10 {
        if number == count / 10 {
            began = Instant::now();
        }
        let text = texts.next().await.context("the stream ended")??;
        ensure!(text.len() == bytes, "a text of {} bytes", text.len());
    }
    let took = began.elapsed();
    flood.wait()?;
    client.close().await?;
    Ok(count as f64 / took.as_secs_f64())
}

/// The same with `Client::publish`, whose futures wait in a queue of 256.
pub async fn publish_by_futures(url: String, bytes: usize, count: u64) -> Result<f64> {
    let client = Client::connect(&url).await?;
    let text = "x".repeat(bytes);
    let mut confirmations = FuturesOrdered::new();
    let mut began = Instant::now();
    for number in 0..count + count / 10 {
        if number == count / 10 {
            while let Some(confirmation) = confirmations.next().await {
                confirmation?;
            }
            began = Instant::now();
        }
        if confirmations.len() == 256 {
            confirmations.next().await.context("256 are under way")??;
        }
        confirmations.push_back(client.publish("bench", text.as_str()).into_future());
    }
    while let Some(confirmation) = confirmations.next().await {
        confirmation?;
    }
    let took = began.elapsed();
    client.close().await?;
    Ok(count as f64 / took.as_secs_f64())
}
