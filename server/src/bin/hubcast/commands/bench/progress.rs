//! Progress bars on standard error while the load runs; none if that is not a terminal.

use indicatif::{HumanCount, ProgressBar, ProgressStyle};
use std::time::{Duration, Instant};
use tokio::time::sleep;

/// A progress bar for `total` things.
pub(super) fn count(what: &'static str, total: usize) -> ProgressBar {
    ProgressBar::new(total as u64).with_style(style("{msg:>16} {bar:40} {human_pos} of {human_len}")).with_message(what)
}

/// Waits for `duration` and shows how fast `count` grows.
pub(super) async fn watch(what: &'static str, duration: Duration, count: impl Fn() -> u64) {
    let bar =
        ProgressBar::new(milliseconds(duration)).with_style(style("{prefix:>16} {bar:40} {msg}")).with_prefix(what);
    let (begin, before) = (Instant::now(), count());
    while let Some(left) = duration.checked_sub(begin.elapsed()).filter(|left| !left.is_zero()) {
        sleep(left.min(REFRESH)).await;
        let elapsed = milliseconds(begin.elapsed()).max(1);
        bar.set_position(elapsed);
        bar.set_message(format!("{} a second", HumanCount((count() - before) * 1000 / elapsed)));
    }
    bar.finish_and_clear();
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).expect("the templates above are well formed")
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

const REFRESH: Duration = Duration::from_millis(200);
