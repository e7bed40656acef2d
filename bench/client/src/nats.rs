//! The run with async-nats and JetStream.

use anyhow::{Context as _, Result};
use async_nats::jetstream::context::ContextBuilder;
use async_nats::jetstream::stream::{Config, StorageType};
use bytes::Bytes;
use std::collections::VecDeque;
use std::future::IntoFuture;
use std::time::Instant;

/// Publishes `count` payloads, after a tenth of them to warm up. Returns messages a second, until the last
/// acknowledgement.
///
/// This is the way of its documentation ("async publish"): `publish` returns a future of the acknowledgement, and the
/// futures are awaited later. Here the oldest is awaited when 256 are under way.
pub async fn publish(url: String, bytes: usize, count: u64) -> Result<f64> {
    let jetstream = ContextBuilder::new().max_ack_inflight(512).build(async_nats::connect(&url).await?);
    let _ = jetstream.delete_stream("bench").await;
    let config = Config {
        name: "bench".into(),
        subjects: vec!["bench".into()],
        storage: StorageType::Memory,
        ..Config::default()
    };
    jetstream.create_stream(config).await?;
    let payload = Bytes::from("x".repeat(bytes));
    let mut acknowledgements = VecDeque::new();
    let mut began = Instant::now();
    for number in 0..count + count / 10 {
        if number == count / 10 {
            while let Some(acknowledgement) = acknowledgements.pop_front() {
                acknowledgement.await?;
            }
            began = Instant::now();
        }
        if acknowledgements.len() == 256 {
            acknowledgements.pop_front().context("256 are under way")?.await?;
        }
        acknowledgements.push_back(jetstream.publish("bench", payload.clone()).await?.into_future());
    }
    while let Some(acknowledgement) = acknowledgements.pop_front() {
        acknowledgement.await?;
    }
    let took = began.elapsed();
    jetstream.delete_stream("bench").await?;
    Ok(count as f64 / took.as_secs_f64())
}
