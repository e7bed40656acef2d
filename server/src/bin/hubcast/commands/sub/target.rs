//! What a subscription is to.

/// The topic or pattern of a subscription.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// A topic.
    Topic(String),
    /// A pattern.
    Pattern(String),
}
