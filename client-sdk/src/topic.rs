//! Topics with a message type.

use crate::{ClientId, TopicName};
use std::hash::{Hash, Hasher};
use std::{fmt, marker::PhantomData};

/// The name of a topic together with the type of its messages.
///
/// Only the program knows the type, the server does not: a message that does not fit it is an error item of the stream.
/// Any text converts into a `Topic<T>`, so functions take plain names too.
///
/// ```
/// use hubcast_client::Topic;
///
/// #[derive(serde::Serialize, serde::Deserialize)]
/// struct Price { cents: u64 }
///
/// let prices: Topic<Price> = Topic::new("prices");
/// assert_eq!(prices.to_string(), "prices");
/// ```
pub struct Topic<T: ?Sized> {
    name: TopicName,
    of: PhantomData<fn(Box<T>) -> Box<T>>,
}

impl<T: ?Sized> Topic<T> {
    /// A topic by its name: any text, compared byte for byte.
    pub fn new(name: impl Into<TopicName>) -> Self {
        Self { name: name.into(), of: PhantomData }
    }

    /// The name without the type.
    pub fn name(&self) -> &TopicName {
        &self.name
    }

    pub(crate) fn into_name(self) -> TopicName {
        self.name
    }
}

impl<T: ?Sized> Clone for Topic<T> {
    fn clone(&self) -> Self {
        Self::new(self.name.clone())
    }
}

impl<T: ?Sized> PartialEq for Topic<T> {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl<T: ?Sized> Eq for Topic<T> {}

impl<T: ?Sized> Hash for Topic<T> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name.hash(state);
    }
}

impl<T: ?Sized> fmt::Debug for Topic<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.name.fmt(f)
    }
}

impl<T: ?Sized> fmt::Display for Topic<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.name.fmt(f)
    }
}

impl<T: ?Sized> From<&Self> for Topic<T> {
    fn from(topic: &Self) -> Self {
        topic.clone()
    }
}

impl<T: ?Sized> From<&str> for Topic<T> {
    fn from(name: &str) -> Self {
        Self::new(name)
    }
}

impl<T: ?Sized> From<String> for Topic<T> {
    fn from(name: String) -> Self {
        Self::new(name)
    }
}

impl<T: ?Sized> From<TopicName> for Topic<T> {
    fn from(name: TopicName) -> Self {
        Self::new(name)
    }
}

impl<T: ?Sized> From<&TopicName> for Topic<T> {
    fn from(name: &TopicName) -> Self {
        Self::new(name.clone())
    }
}

impl<T: ?Sized> From<&String> for Topic<T> {
    fn from(name: &String) -> Self {
        Self::new(name.as_str())
    }
}

impl<T: ?Sized> From<ClientId> for Topic<T> {
    /// The private topic of a connection.
    fn from(client: ClientId) -> Self {
        Self::new(client.to_string())
    }
}

impl<T: ?Sized> From<Topic<T>> for TopicName {
    fn from(topic: Topic<T>) -> Self {
        topic.name
    }
}

impl<T: ?Sized> From<&Topic<T>> for TopicName {
    fn from(topic: &Topic<T>) -> Self {
        topic.name.clone()
    }
}
