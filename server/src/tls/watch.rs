//! Notices that the files of the certificate have changed.

use super::certificate::Tls;
use crate::wall_clock::unix_now;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::task::spawn_blocking;
use tokio::time::sleep;

/// Takes up new files of the certificate, without end.
///
/// It looks at the files themselves every few seconds, and follows links anew each time: that notices a file that was
/// written over, one that another was moved onto, and a link that leads elsewhere, on every file system.
pub(crate) async fn watch(tls: Arc<Tls>) {
    // The first look reads the files in any case: they may have changed since they were read at the start.
    let (mut seen, mut told) = (None, String::new());
    loop {
        sleep(LOOK_AGAIN).await;
        let now = Some(stamps(&tls));
        if now == seen {
            continue;
        }
        let reloading = Arc::clone(&tls);
        match spawn_blocking(move || reload(&reloading)).await {
            Ok(Ok(())) => (seen, told) = (now, String::new()),
            // A new certificate may be there before its key is: it is tried again until both fit.
            Ok(Err(fault)) if fault != told => {
                tracing::error!("the certificate stays the old one: {fault}");
                told = fault;
            }
            Ok(Err(_)) | Err(_) => {}
        }
    }
}

/// Reads the files, and says what came of it.
pub(crate) fn reload(tls: &Tls) -> Result<(), String> {
    match tls.reload() {
        Ok(true) => {
            let (certificate, _) = tls.files();
            let days = tls.expires().map(|end| end.saturating_sub(unix_now()) / 86_400);
            tracing::info!(certificate = %certificate.display(), valid_days = days, "a new certificate is in force");
            Ok(())
        }
        Ok(false) => Ok(()),
        Err(fault) => Err(fault.to_string()),
    }
}

/// What changes with the contents of a file.
type Stamp = Option<(SystemTime, u64, u64)>;

fn stamps(tls: &Tls) -> [Stamp; 2] {
    let (certificate, key) = tls.files();
    [certificate, key].map(stamp)
}

fn stamp(path: &Path) -> Stamp {
    use std::os::unix::fs::MetadataExt as _;
    let file = fs::metadata(path).ok()?;
    Some((file.modified().ok()?, file.len(), file.ino()))
}

const LOOK_AGAIN: Duration = Duration::from_secs(2);
