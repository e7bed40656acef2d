//! Files that are part of the program: the browser client, and those of the console.

use super::response::Answer;
use aws_lc_rs::digest::{SHA256, digest};
use data_encoding::HEXLOWER;
use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::{
    ACCESS_CONTROL_ALLOW_ORIGIN, CACHE_CONTROL, CONTENT_TYPE, ETAG, HeaderMap, HeaderName, HeaderValue, IF_NONE_MATCH,
    X_CONTENT_TYPE_OPTIONS,
};
use hyper::{Response, StatusCode};
use std::sync::LazyLock;

/// A file that anyone may read.
pub(super) struct File {
    content_type: HeaderValue,
    /// Changes with the content (RFC 9110 section 8.8.3).
    tag: HeaderValue,
    content: Bytes,
    /// What else the answer says.
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl File {
    pub(super) fn new(content_type: &'static str, content: String) -> Self {
        let hash = digest(&SHA256, content.as_bytes());
        let tag = format!("\"{}\"", &HEXLOWER.encode(hash.as_ref())[..16]);
        Self {
            content_type: HeaderValue::from_static(content_type),
            tag: HeaderValue::try_from(tag).unwrap_or(HeaderValue::from_static("\"none\"")),
            content: Bytes::from(content),
            headers: Vec::new(),
        }
    }

    /// A program, which browsers get without its comments.
    pub(super) fn program(source: &str) -> Self {
        Self::new("text/javascript; charset=utf-8", without_comments(source))
    }

    /// The same file, with these headers.
    pub(super) fn with(self, headers: &[(HeaderName, &'static str)]) -> Self {
        let headers = headers.iter().map(|(name, value)| (name.clone(), HeaderValue::from_static(value)));
        Self { headers: headers.collect(), ..self }
    }

    /// The file, or 304 if the client has it already.
    pub(super) fn answer(&self, headers: &HeaderMap) -> Answer {
        let is_known = headers.get_all(IF_NONE_MATCH).iter().any(|tags| names(tags, &self.tag));
        let mut answer = Response::new(Full::new(if is_known { Bytes::new() } else { self.content.clone() }));
        if is_known {
            *answer.status_mut() = StatusCode::NOT_MODIFIED;
        }
        answer.headers_mut().extend([
            (CONTENT_TYPE, self.content_type.clone()),
            (ETAG, self.tag.clone()),
            // It is asked for each time, so that a new server has no page with the old file.
            (CACHE_CONTROL, HeaderValue::from_static("no-cache")),
            (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
        ]);
        answer.headers_mut().extend(self.headers.iter().cloned());
        answer
    }
}

/// A program without the lines that are comments: people read them in the repository, and each page would load them.
fn without_comments(program: &str) -> String {
    let mut kept = String::with_capacity(program.len());
    let mut is_in_comment = false;
    for line in program.lines() {
        let text = line.trim();
        let begins = text.starts_with("/*");
        if !is_in_comment && !begins && !text.starts_with("//") {
            kept.extend([line, "\n"]);
        }
        is_in_comment = (is_in_comment || begins) && !text.ends_with("*/");
    }
    kept
}

/// Whether a list of tags has this one. A proxy may have made it a weak one.
fn names(tags: &HeaderValue, tag: &HeaderValue) -> bool {
    let (Ok(tags), Ok(tag)) = (tags.to_str(), tag.to_str()) else { return false };
    tags.split(',').map(str::trim).any(|given| given == "*" || given.trim_start_matches("W/") == tag)
}

/// The client of browsers, at `/hubcast.js`.
pub(super) static BROWSER_CLIENT: LazyLock<File> = LazyLock::new(|| {
    // Pages of other origins import it too: it holds nothing of a user.
    File::program(include_str!("files/hubcast.js")).with(&[(ACCESS_CONTROL_ALLOW_ORIGIN, "*")])
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_comments_are_left_out() {
        let program = "/** One. */\nlet a;\n/**\n * Two.\nthree\n */\nclass B {\n  // Four.\n  *lines() {}\n}\n";
        assert_eq!(without_comments(program), "let a;\nclass B {\n  *lines() {}\n}\n");
    }
}
