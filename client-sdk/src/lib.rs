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
//!   resumed from its last position. Only when the server says not to reconnect, or refuses the handshake again and
//!   again, all streams end with that reason. [`Client::status`] says what was lost, why, and when the next attempt is.
//! - **Every loss is reported, once.** Where publications are missing, a stream has the item [`ItemError::Gap`], which
//!   says which and why: because the server does not have them any more, because the connection was slow, or because the
//!   program did not read.
//! - **A publication takes effect once.** Without a connection a publication waits for the next one. Without a
//!   confirmation it is sent again with the same number. By default the server remembers the last 256 numbers of each
//!   client for two minutes, and refuses older numbers. Therefore at most 256 publications of a client are sent and not
//!   confirmed at a time; others wait. A server with a state folder remembers the numbers over an orderly restart, but
//!   not over a crash: a publication that is sent again after a crash may take effect twice. See [`IdempotencyKey`].
//! - **Everything is bounded** in time, in number and in bytes: see [`ClientBuilder`].
//! - **Every future may be dropped.** A dropped `next` has taken nothing from its stream. Where dropping has an effect,
//!   such as that a publication goes out nevertheless, the function says so.
//!
//! # Reading, and what is missing
//! A gap is an item in its place among the values, and the stream goes on after it. So a loop must not end at each error:
//!
//! ```no_run
//! # async fn example(client: hubcast_client::Client) -> Result<(), Box<dyn std::error::Error>> {
//! use hubcast_client::ItemError;
//!
//! let mut prices = client.subscribe::<f64>("prices").last(10).await?; // the last ten, then live
//! while let Some(price) = prices.next().await {
//!     match price {
//!         Ok(price) => println!("{price}"),
//!         Err(ItemError::Gap(gap)) => eprintln!("{gap}"), // "prices" misses publications 3 to 5: ...
//!         Err(ItemError::Decode(error)) => eprintln!("{error}"),
//!         Err(error) => return Err(error.into()), // the subscription is over
//!     }
//! }
//! # Ok(())
//! # }
//! ```
//!
//! [`Subscribe::last`] also gives what the server still has after a gap. [`Subscribe::skip_gaps`] is for programs that
//! only want the newest value. [`Subscription::events`] has the positions, and joins and leaves.
//!
//! # Resuming after a restart of the program
//! The client keeps nothing on disk. A program stores [`Subscription::position`] together with the effect of the items
//! that it has handled, and passes it to [`Subscribe::recover`] when it starts again. There is a position from the first
//! moment on, also before the first item.
//!
//! ```no_run
//! # async fn example(client: hubcast_client::Client) -> Result<(), Box<dyn std::error::Error>> {
//! use hubcast_client::Position;
//!
//! let stored = std::fs::read("position.json").ok();
//! let mut orders = client.subscribe::<String>("orders").last(100);
//! if let Some(stored) = stored {
//!     orders = orders.recover(serde_json::from_slice::<Position>(&stored)?);
//! }
//! let mut orders = orders.await?;
//! while let Some(order) = orders.next().await {
//!     println!("{order:?}");
//!     std::fs::write("position.json", serde_json::to_vec(&orders.position())?)?;
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # Publishing
//! [`Client::publish`] waits for the confirmation of one publication. A [`Publisher`] sends many in order, without waiting
//! for each, and holds the program up when the server does not keep up. Errors return the value and the key with which
//! it can be published again, with effect once:
//!
//! ```no_run
//! # async fn example(client: hubcast_client::Client) -> Result<(), Box<dyn std::error::Error>> {
//! let mut readings = client.publisher::<f64>("readings");
//! for reading in [20.5, 20.7, 21.0] {
//!     readings.send(reading).await?;
//! }
//! while let Err(failed) = readings.flush().await {
//!     let again = client.publish("readings", &failed.value);
//!     match failed.key {
//!         Some(key) => again.key(key).await?, // it is not known whether the first one took effect
//!         None => again.await?,
//!     };
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # Who is there
//! [`Client::members`] is a list of the members of a topic that keeps itself up to date. [`ClientBuilder::info`] says
//! what others see of this client, such as a name; it is shown as unverified unless a token proves the user.
//!
//! # Tokens
//! A server that knows users demands a token: a JWT that your backend signs. [`ClientBuilder::token_from`] takes a function
//! that fetches one:
//!
//! ```no_run
//! # async fn log_in(_: bool) -> Result<Option<String>, std::io::Error> { Ok(None) }
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use hubcast_client::{Client, TokenError, TokenReason};
//!
//! let client = Client::builder("wss://hub.example/socket")
//!     .token_from(|reason| async move {
//!         // A token that was refused must not come out of a cache again.
//!         let may_be_cached = reason != TokenReason::Refused;
//!         match log_in(may_be_cached).await.map_err(TokenError::failed)? {
//!             Some(token) => Ok(token),
//!             None => Err(TokenError::NotAllowed("the account is closed".to_owned())),
//!         }
//!     })
//!     .connect()
//!     .await?;
//! println!("connected as {:?}", client.user());
//! # Ok(())
//! # }
//! ```
//!
//! | when | the client |
//! |---|---|
//! | it connects | shows the token in the handshake. It keeps the token over reconnects, so an outage of the server is none for the backend |
//! | 70 to 90 percent of the token's lifetime are over | asks for the next one, and shows it on the connection that there is. Subscriptions go on |
//! | the token has ended | asks at once. Requests wait for the next token, and subscriptions go on; 25 seconds later the server closes the connection, and the client connects with a new token |
//! | the function fails, or has not answered after ten seconds | asks again, after a pause |
//! | the function answers [`TokenError::NotAllowed`] | is closed, with [`Closed::NotAllowed`] |
//! | the server refuses the token | asks for a fresh one. After three refused ones in a row it is closed, with [`Closed::TokenRefused`] |
//!
//! What a token grants decides what happens to a subscription:
//! - A subscription that is not granted fails with [`SubscribeError::Refused`] and [`ErrorCode::Forbidden`].
//! - One that the next token does not grant any more ends with [`Ended::Forbidden`], at once or after the next reconnect. One
//!   that an operator ends, ends with [`Ended::Operator`]. Either is an [error item](ItemError::Ended), and the last one.
//! - Without the grant `history`, a subscription goes on after a reconnect, but what it has missed does not come: a
//!   [`Gap`] says so.
//!
//! [`Client::direct`] gets the messages to this user and to this connection. The token appears in no status, no error, no
//! event of `tracing` and no `Debug` of this crate.
//!
//! # Reaching the server
//! [`ClientBuilder`] has the options: [headers that are made for each attempt](ClientBuilder::headers), such as a key of
//! a proxy that changes; [TLS](ClientBuilder::tls) with roots of your own or a client certificate;
//! [proxies](ClientBuilder::proxy), which are taken from the environment; [several addresses](ClientBuilder::address); a
//! [connector](ClientBuilder::connector) of your own; and [`connect_lazily`](ClientBuilder::connect_lazily), which does
//! not wait for the server.
//!
//! ```no_run
//! # async fn fresh_key() -> Result<String, std::io::Error> { Ok(String::new()) }
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use hubcast_client::{Client, Tls};
//!
//! let client = Client::builder("wss://hub.example/socket")
//!     .tls(Tls::web_roots().root_certificates(std::fs::read("company-ca.pem")?))
//!     .headers(|| async { Ok(vec![("X-Proxy-Key".to_owned(), fresh_key().await?)]) })
//!     .connect()
//!     .await?;
//! # Ok(())
//! # }
//! ```
//!
//! # Logging
//! The client emits [`tracing`](https://docs.rs/tracing) events with the target `hubcast_client`: connected and closed at
//! `info`, lost connections, refusals, gaps and tokens that do not come at `warn`, attempts and resumes at `debug`. They contain no payloads and no
//! secrets. What `tungstenite` logs at the level trace does: see [`ClientBuilder::header`].
//!
//! # Features
//! | feature | default | what it adds |
//! |---|---|---|
//! | `tls` | yes | `wss://` by rustls, with the root certificates of the web built in |
//! | `native-roots` | no | `Tls::native_roots`: the root certificates of the operating system |
//! | `testing` | no | `testing::TestServer`: a server inside the test's process, in virtual time |
//!
//! # Testing with it
//! `testing::TestServer` (feature `testing`) is a server without sockets. A test breaks its connections when it wants to, and an hour takes
//! a second.
//!
//! A state machine makes all decisions, without a socket or a clock. A small tokio task runs it. The machine is not part
//! of the public interface: the feature `unstable-machine` opens it to the tests of this repository only.
#![cfg_attr(doctest, doc = include_str!("../../README.md"))]
#![cfg_attr(doctest, doc = include_str!("../../docs/clients.md"))]

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
mod token;
mod topic;
mod window;

pub use builder::ClientBuilder;
pub use client::{Client, History};
pub use connector::ByteStream;
pub use error::{CloseError, ConnectError, EncodeError, PublishError, RequestError, SubscribeError};
pub use event::{DecodeError, Event, ItemError, Message};
pub use idempotency::IdempotencyKey;
pub use machine::{
    Backoff, Closed, Ended, Gap, GapReason, Loss, Published, Refused, Resumed, State, Status, TokenReason,
};
pub use members::{MemberList, Members};
pub use publish::Publish;
pub use publisher::{Publisher, Receipt, SendError};
pub use statuses::Statuses;
pub use subscribe::Subscribe;
pub use subscription::{Events, PatternSubscription, Subscription};
#[cfg(feature = "tls")]
pub use tls::Tls;
pub use token::TokenError;
pub use topic::Topic;

pub use hubcast_protocol::event::{Author, Member, Presence, Present};
pub use hubcast_protocol::request::Slow;
pub use hubcast_protocol::{
    AnonymousId, ClientId, CloseCode, Epoch, ErrorCode, InvalidPattern, InvalidPayload, InvalidSecret, MemberSecret,
    Payload, Position, Topic as TopicName,
};
