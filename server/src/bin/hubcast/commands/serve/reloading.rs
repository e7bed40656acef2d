//! Reads the settings anew while the server runs: after SIGHUP, and when the configuration file has changed.

use super::systemd;
use crate::settings::layered::Settings;
use crate::settings::resolve::{CliArgs, Resolved, Stamp, config, resolve, stamp};
use anyhow::Context as _;
use hubcast_server::{Reloader, Tls};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;
use tokio::task::spawn_blocking;
use tokio::time::sleep;

/// What the settings are read from, and where they go.
pub(super) struct Reloading<'a> {
    pub(super) given: &'a CliArgs,
    /// The settings with which the server was started.
    pub(super) running: &'a Settings,
    /// Those that were read last and were right.
    pub(super) in_force: Settings,
    /// What the configuration file was when these were read.
    pub(super) seen: Option<Stamp>,
    pub(super) reloader: Reloader,
    pub(super) tls: Option<Arc<Tls>>,
    /// Notified by SIGHUP.
    pub(super) asked: Arc<Notify>,
}

impl Reloading<'_> {
    /// Reads the settings whenever it is time, without end. Settings that are wrong change nothing.
    pub(super) async fn follow(mut self) -> ! {
        let path = self.given.config.as_deref();
        let mut seen = self.seen;
        loop {
            let was_asked = tokio::select! {
                () = self.asked.notified() => true,
                () = sleep(LOOK_AGAIN) => false,
            };
            let now = path.and_then(stamp);
            if !was_asked && (now == seen || now.is_none()) {
                continue;
            }
            seen = now;
            if was_asked {
                systemd::reloading();
                self.reload_certificate().await;
            }
            if let Err(wrong) = self.reload().await {
                self.reloader.note_refused();
                tracing::error!("the settings are wrong, and stay as they were: {wrong:#}");
            }
            if was_asked {
                systemd::reloaded();
            }
        }
    }

    async fn reload_certificate(&self) {
        let Some(tls) = self.tls.clone() else { return };
        match spawn_blocking(move || tls.reload()).await {
            Ok(Ok(is_new)) => tracing::info!(is_new, "read the certificate again"),
            Ok(Err(fault)) => tracing::error!("the certificate stays the old one: {fault}"),
            Err(fault) => tracing::error!(%fault, "the certificate stays the old one"),
        }
    }

    async fn reload(&mut self) -> anyhow::Result<()> {
        let resolved = resolve(self.given)?;
        let next = config(&resolved)?;
        self.reloader.reload(next).await.context("cannot put the settings in force")?;
        let Resolved { settings, access, .. } = resolved;
        for warning in &access.warnings {
            tracing::warn!("{warning}");
        }
        tracing::info!(changed = self.in_force.changed(&settings, true).join(", "), "the settings are in force");
        self.in_force = settings;
        let left = self.running.changed(&self.in_force, false);
        if !left.is_empty() {
            tracing::warn!(settings = left.join(", "), "these settings have changed, and need a restart");
        }
        Ok(())
    }
}

const LOOK_AGAIN: Duration = Duration::from_secs(2);
