//! The console: a page at `/` with which people look at the server and try it.
//!
//! It is files and nothing else. What it shows and does goes through the WebSocket and the HTTP API, with the token and
//! the API key that its user types.

use super::files::File;
use hyper::header::{CONTENT_SECURITY_POLICY, HeaderName, REFERRER_POLICY};
use std::sync::LazyLock;

/// Finds a file of the console.
pub(super) fn file(path: &str) -> Option<&'static File> {
    if path == "/" {
        return Some(&PAGE);
    }
    let name = path.strip_prefix("/console/")?;
    FILES.iter().find(|(known, _)| *known == name).map(|(_, file)| file)
}

static PAGE: LazyLock<File> = LazyLock::new(|| {
    File::new("text/html; charset=utf-8", include_str!("console/index.html").to_owned()).with(&[
        (CONTENT_SECURITY_POLICY, POLICY),
        (REFERRER_POLICY, "no-referrer"),
        (CROSS_ORIGIN_OPENER_POLICY, "same-origin"),
    ])
});

static FILES: LazyLock<[(&str, File); 1]> = LazyLock::new(|| {
    [
        ("console.css", File::new("text/css; charset=utf-8", include_str!("console/console.css").to_owned())),
    ]
});

/// Nothing from elsewhere, no code in the page itself, and no text that becomes markup.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src \
                      'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
                      require-trusted-types-for 'script'";

static CROSS_ORIGIN_OPENER_POLICY: HeaderName = HeaderName::from_static("cross-origin-opener-policy");
