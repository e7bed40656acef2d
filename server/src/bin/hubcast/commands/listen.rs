//! What the commands share that read messages: `sub` and `record` subscribe, and `history` reads the same messages.

pub(crate) mod args;
pub(crate) mod body;
pub(crate) mod limits;
pub(crate) mod resume;
pub(crate) mod streams;
pub(crate) mod told;

use self::resume::ResumeFile;
use self::streams::{Streams, Wanted};
use super::client::connect::connect;
use super::client::exit::Failure;
use super::client::options::ClientOptions;
use super::client::running::Stop;
use super::client::terminal::Terminal;
use hubcast_client::Client;

/// Connects and subscribes. `None` if a signal comes first.
pub(crate) async fn open(
    options: &ClientOptions,
    wanted: Wanted<'_>,
    resume: Option<&ResumeFile>,
    terminal: Terminal,
    stop: &mut Stop,
) -> Result<Option<(Client, Streams)>, Failure> {
    let client = connect(options, terminal, stop, |builder| {
        builder.subscription_queue(QUEUE).subscription_queue_bytes(QUEUE_BYTES)
    })
    .await?;
    let streams = tokio::select! {
        biased;
        () = stop.requested() => return Ok(None),
        streams = Streams::open(&client, wanted, resume, terminal) => streams?,
    };
    Ok(Some((client, streams)))
}

/// Messages that may wait for a slow reader of the output, in each subscription.
const QUEUE: usize = 65_536;
/// The same in bytes.
const QUEUE_BYTES: usize = 32 << 20;
