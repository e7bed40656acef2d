//! What the HTTP API answers, as far as it is shown.

use serde::Deserialize;

/// All that is known of the server at one moment.
#[derive(Clone, Debug, Default)]
pub(super) struct Snapshot {
    pub(super) stats: Stats,
    pub(super) topics: Vec<TopicInfo>,
    /// The clients for which something waits.
    pub(super) clients: Vec<ClientInfo>,
    /// Whether the lists have all topics and clients.
    pub(super) is_complete: bool,
}

/// The answer of `/api/stats`.
#[derive(Clone, Debug, Default, Deserialize)]
pub(super) struct Stats {
    pub(super) server: String,
    pub(super) uptime_seconds: u64,
    pub(super) workers: u64,
    pub(super) sessions: u64,
    pub(super) channels: u64,
    pub(super) history_bytes: u64,
    pub(super) waiting_bytes: u64,
    /// Not on every system.
    pub(super) memory_bytes: Option<u64>,
    pub(super) publications: u64,
    pub(super) deliveries: u64,
}

/// A part of a list: an answer of `/api/topics` or `/api/clients`.
#[derive(Debug, Deserialize)]
pub(super) struct Page<T> {
    #[serde(alias = "topics", alias = "clients")]
    pub(super) items: Vec<T>,
    pub(super) cursor: Option<String>,
}

/// One topic.
#[derive(Clone, Debug, Default, Deserialize)]
pub(super) struct TopicInfo {
    pub(super) topic: String,
    pub(super) subscribers: u64,
    /// The identity of its history, if it keeps one.
    pub(super) epoch: Option<String>,
    pub(super) offset: Option<u64>,
    /// The publications that are kept.
    pub(super) publications: u64,
}

/// One client.
#[derive(Clone, Debug, Default, Deserialize)]
pub(super) struct ClientInfo {
    pub(super) client: String,
    pub(super) user: Option<String>,
    pub(super) address: Option<String>,
    #[serde(default)]
    pub(super) waiting_bytes: u64,
    /// For how long its socket has taken nothing.
    #[serde(default)]
    pub(super) behind_ms: u64,
}
