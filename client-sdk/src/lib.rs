//! A typed client for hubcast: streams that survive every reconnect.
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
//! - **It comes back.** When the connection breaks, the client connects again, after random pauses that grow, or when
//!   the server says; every subscription is resumed from where it was. Only when the server says not to come back,
//!   all streams end with that.
//! - **Nothing is lost without a word.** A [`Subscription`] is a stream of values; its [events](Subscription::events)
//!   also say [`Resumed`] after every reconnect, and [`Gap`] wherever something is missing: because the server does
//!   not have it any more, because the connection was slow, or because the program did not read.
//! - **What is published takes effect once.** Without a connection a publication waits for the next one; without a
//!   confirmation it is sent again, with the same number. The server knows the last 256 numbers of each client for two
//!   minutes, unless its operator says otherwise, and refuses what is below them; so no more than 256 publications go
//!   without an answer at a time, and others wait. It knows them also over a restart in good order where it keeps its
//!   state, but not over a crash: what is sent again after that may take effect twice. See [`IdempotencyKey`].
//! - **Everything is bounded**, in time and in number: see [`ClientBuilder`].
//!
//! # What it is not
//! It keeps nothing on disk. A program that wants to resume after its own restart keeps the position of the last
//! message that it handled, and hands it to [`Subscribe::recover`].
//!
//! # Testing with it
//! The feature `testing` has a server within the test's process, without sockets and in virtual time, whose
//! connections break when the test says so: `testing::TestServer`.
//!
//! The [`machine`] decides all of this without a socket or a clock; a small tokio task drives it.
#![cfg_attr(doctest, doc = include_str!("../../README.md"))]

pub mod machine;
#[cfg(feature = "testing")]
pub mod testing;

mod builder;
mod client;
mod driver;
mod error;
mod event;
mod handle;
mod headers;
mod idempotency;
mod inbox;
mod publish;
mod subscribe;
mod subscription;
mod topic;

pub use builder::ClientBuilder;
pub use client::{Client, History};
pub use error::{CloseError, ConnectError, EncodeError, PublishError, RequestError, SubscribeError};
pub use event::{DecodeError, Event, ItemError, Message};
pub use idempotency::IdempotencyKey;
pub use machine::{Backoff, Closed, Ended, Gap, GapReason, Published, Refused, Resumed, State, Status};
pub use publish::Publish;
pub use subscribe::Subscribe;
pub use subscription::{Events, PatternSubscription, Subscription};
pub use topic::Topic;

pub use hubcast_protocol::event::{Member, Presence, Present};
pub use hubcast_protocol::request::Slow;
pub use hubcast_protocol::{
    ClientId, CloseCode, Epoch, ErrorCode, InvalidPattern, InvalidPayload, Payload, Position, Topic as TopicName,
};
pub use rustls;
