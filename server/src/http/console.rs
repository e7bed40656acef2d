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
        (CROSS_ORIGIN_OPENER_POLICY.clone(), "same-origin"),
    ])
});

static FILES: LazyLock<[(&str, File); 18]> = LazyLock::new(|| {
    [
        ("console.css", File::new("text/css; charset=utf-8", include_str!("console/console.css").to_owned())),
        ("access.js", File::program(include_str!("console/access.js"))),
        ("api.js", File::program(include_str!("console/api.js"))),
        ("charts.js", File::program(include_str!("console/charts.js"))),
        ("compose.js", File::program(include_str!("console/compose.js"))),
        ("connection.js", File::program(include_str!("console/connection.js"))),
        ("console.js", File::program(include_str!("console/console.js"))),
        ("copy.js", File::program(include_str!("console/copy.js"))),
        ("dom.js", File::program(include_str!("console/dom.js"))),
        ("filter.js", File::program(include_str!("console/filter.js"))),
        ("inspector.js", File::program(include_str!("console/inspector.js"))),
        ("listen.js", File::program(include_str!("console/listen.js"))),
        ("lists.js", File::program(include_str!("console/lists.js"))),
        ("plain.js", File::program(include_str!("console/plain.js"))),
        ("reasons.js", File::program(include_str!("console/reasons.js"))),
        ("server.js", File::program(include_str!("console/server.js"))),
        ("stream.js", File::program(include_str!("console/stream.js"))),
        ("views.js", File::program(include_str!("console/views.js"))),
    ]
});

/// Nothing from elsewhere, no code in the page itself, and no text that becomes markup.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src \
                      'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
                      require-trusted-types-for 'script'";

static CROSS_ORIGIN_OPENER_POLICY: HeaderName = HeaderName::from_static("cross-origin-opener-policy");
