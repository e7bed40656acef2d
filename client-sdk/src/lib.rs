//! A typed client for hubcast. Its subscriptions are streams that continue after every reconnect.
//!
//! ```no_run
//! use hubcast_client::Client;
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let client = Client::connect("ws://127.0.0.1:8080/socket").await?;
//! let mut world = client.subscribe::<String>("world").await?;      // a Stream of typed values
//! client.publish("world", "Hello world!").await?;                  // acknowledged
//! if let Some(greeting) = world.next().await {
//!     println!("{}", greeting?);
//! }
//! client.close().await?;
//! # Ok(())
//! # }
//! ```
//!
//! # What it promises
//! - **It reconnects.** When the connection breaks, the client connects again. It waits for a random pause before each
//!   attempt; the pauses grow. If the server names a time, the client does not connect before it. Every subscription is
//!   resumed from its last position. Only when the server says not to reconnect, all streams end with that reason.
//! - **Every loss is reported.** A [`Subscription`] is a stream of values. Its [events](Subscription::events) also
//!   contain [`Resumed`] after every reconnect, and [`Gap`] wherever publications are missing: because the server does
//!   not have them any more, because the connection was slow, or because the program did not read.
//! - **A publication takes effect once.** Without a connection a publication waits for the next one. Without a
//!   confirmation it is sent again with the same number. By default the server remembers the last 256 numbers of each
//!   client for two minutes, and refuses older numbers. Therefore at most 256 publications of a client are sent and not
//!   confirmed at a time; others wait. A server with a state folder remembers the numbers over an orderly restart, but
//!   not over a crash: a publication that is sent again after a crash may take effect twice. See [`IdempotencyKey`].
//! - **Everything is bounded** in time and in number: see [`ClientBuilder`].
//!
//! # What it is not
//! It keeps nothing on disk. A program that wants to resume after its own restart stores the position of the last
//! message that it handled, and passes it to [`Subscribe::recover`].
//!
//! # Testing with it
//! The feature `testing` contains `testing::TestServer`: a server inside the test's process, without sockets and in
//! virtual time. A test breaks its connections when it wants to.
//!
//! A state machine makes all decisions, without a socket or a clock. A small tokio task runs it. The machine is not part
//! of the public interface: the feature `unstable-machine` opens it to the tests of this repository only.
#![cfg_attr(doctest, doc = include_str!("../../README.md"))]

#[cfg(feature = "unstable-machine")]
#[doc(hidden)]
pub mod machine;
#[cfg(not(feature = "unstable-machine"))]
#[allow(unreachable_pub, reason = "it is public with the feature `unstable-machine`")]
mod machine;
#[cfg(feature = "testing")]
pub mod testing;

mod builder;
mod client;
mod connector;
mod driver;
mod error;
mod event;
mod handle;
mod headers;
mod idempotency;
mod inbox;
mod members;
mod positions;
mod publish;
mod publisher;
mod room;
mod statuses;
mod subscribe;
mod subscription;
#[cfg(feature = "tls")]
mod tls;
mod topic;
mod window;

pub use builder::ClientBuilder;
pub use client::{Client, History};
pub use connector::Stream;
pub use error::{CloseError, ConnectError, EncodeError, PublishError, RequestError, SubscribeError};
pub use event::{DecodeError, Event, ItemError, Message};
pub use idempotency::IdempotencyKey;
pub use machine::{Backoff, Closed, Ended, Gap, GapReason, Loss, Published, Refused, Resumed, State, Status};
pub use members::{MemberList, Members};
pub use publish::Publish;
pub use publisher::{Publisher, Receipt, SendError};
pub use statuses::Statuses;
pub use subscribe::Subscribe;
pub use subscription::{Events, PatternSubscription, Subscription};
#[cfg(feature = "tls")]
pub use tls::Tls;
pub use topic::Topic;

pub use hubcast_protocol::event::{Member, Presence, Present};
pub use hubcast_protocol::request::Slow;
pub use hubcast_protocol::{
    AnonymousId, ClientId, CloseCode, Epoch, ErrorCode, InvalidPattern, InvalidPayload, InvalidSecret, MemberSecret,
    Payload, Position, Topic as TopicName,
};
