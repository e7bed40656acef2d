//! The error of one publication of a publisher.

use crate::IdempotencyKey;
use crate::error::PublishError;
use std::error::Error;
use std::fmt;

/// Why one publication of a [`Publisher`](crate::Publisher) failed, with its value and its key.
#[non_exhaustive]
pub struct SendError<T> {
    /// The value that was not published, or whose outcome is unknown.
    pub value: T,
    /// If present, the publication may or may not have been published. [Published again](crate::Publish::key) with this
    /// key, it takes effect once, as long as the server knows the key. Without one, nothing was published.
    pub key: Option<IdempotencyKey>,
    /// What went wrong.
    pub source: PublishError,
}

impl<T> SendError<T> {
    pub(super) fn new(value: T, source: PublishError) -> Self {
        let key = match &source {
            PublishError::Uncertain { key, .. } => Some(key.clone()),
            PublishError::Timeout { key } | PublishError::Closed { key, .. } => key.clone(),
            _ => None,
        };
        Self { value, key, source }
    }

    /// The value.
    pub fn into_value(self) -> T {
        self.value
    }
}

impl<T> fmt::Debug for SendError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SendError").field("key", &self.key).field("source", &self.source).finish_non_exhaustive()
    }
}

/// The same text as that of its `source`.
impl<T> fmt::Display for SendError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.source, f)
    }
}

impl<T> Error for SendError<T> {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.source()
    }
}
