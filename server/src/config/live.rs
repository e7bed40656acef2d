//! The settings in force, which can be replaced while the server runs.

use super::Config;
use crate::wall_clock::unix_now;
use arc_swap::ArcSwap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// The settings in force, for who looks at them anew with each request.
#[derive(Debug)]
pub(crate) struct LiveConfig {
    current: ArcSwap<Config>,
    /// How often they were replaced, and how often others were refused.
    reloads: [AtomicU64; 2],
    /// When they were put in force.
    at: AtomicU64,
}

impl LiveConfig {
    pub(crate) fn new(config: Arc<Config>) -> Arc<Self> {
        let at = AtomicU64::new(unix_now());
        Arc::new(Self { current: ArcSwap::new(config), reloads: Default::default(), at })
    }

    /// The settings in force now.
    pub(crate) fn get(&self) -> Arc<Config> {
        self.current.load_full()
    }

    /// Puts other settings in force.
    pub(crate) fn replace(&self, config: Arc<Config>) {
        self.current.store(config);
        self.reloads[0].fetch_add(1, Relaxed);
        self.at.store(unix_now(), Relaxed);
    }

    /// Counts settings that were wrong, and changed nothing.
    pub(crate) fn note_refused(&self) {
        self.reloads[1].fetch_add(1, Relaxed);
    }

    /// How often the settings were replaced, and how often others were refused.
    pub(crate) fn reloads(&self) -> [u64; 2] {
        self.reloads.each_ref().map(|count| count.load(Relaxed))
    }

    /// When the settings were put in force, in seconds since 1970-01-01 UTC.
    pub(crate) fn at(&self) -> u64 {
        self.at.load(Relaxed)
    }
}
