//! The runtime of a client is dropped while something is under way: nothing looks healthy, and nothing is taken for done.

use crate::server::{Peer, Server};
use hubcast_client::{Client, Closed, PublishError, State};
use tokio::runtime::{Builder, Runtime};

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

/// A connected client on a runtime of its own, and its server on the same.
fn connected() -> (Runtime, Client, Peer) {
    let of_client = runtime();
    let (client, peer) = of_client.block_on(async { Server::start().await.connected().await });
    (of_client, client, peer)
}

#[test]
fn a_publication_that_was_sent_has_a_key_when_the_runtime_is_gone() {
    let (of_client, client, mut peer) = connected();
    let (sent, unsent) = (client.publish("a", &1).into_future(), client.publish("a", &2).into_future());
    let of_program = runtime();
    let sent = of_program.spawn(sent);
    of_program.block_on(async { tokio::task::yield_now().await });
    of_client.block_on(peer.hears());
    drop(of_client);
    let gone = of_program.block_on(sent).unwrap();
    assert!(matches!(gone, Err(PublishError::Closed { why: Closed::RuntimeGone, key: Some(_) })), "{gone:?}");
    let gone = of_program.block_on(unsent);
    assert!(matches!(gone, Err(PublishError::Closed { why: Closed::RuntimeGone, key: None })), "{gone:?}");
}

#[test]
fn a_publisher_gets_the_keys_of_what_was_sent_when_the_runtime_is_gone() {
    let (of_client, client, mut peer) = connected();
    let mut publisher = client.publisher::<u32>("a");
    of_client.block_on(publisher.send(1)).unwrap();
    let receipt = of_client.block_on(publisher.send_with_receipt(2));
    of_client.block_on(peer.hears());
    of_client.block_on(peer.hears());
    drop(of_client);
    let of_program = runtime();
    let has_key = |why: &PublishError| matches!(why, PublishError::Closed { why: Closed::RuntimeGone, key: Some(_) });
    let failed = of_program.block_on(publisher.flush()).unwrap_err();
    assert!(failed.value == 1 && has_key(&failed.source), "{failed:?}");
    let failed = of_program.block_on(receipt).unwrap_err();
    assert!(failed.value == 2 && has_key(&failed.source), "{failed:?}");
}

#[test]
fn a_close_whose_runtime_goes_says_what_was_left_unanswered() {
    let (of_client, client, mut peer) = connected();
    let of_program = runtime();
    let publishing = of_program.spawn(client.publish("a", &1).into_future());
    of_program.block_on(async { tokio::task::yield_now().await });
    of_client.block_on(peer.hears());
    let closing = of_program.spawn({
        let client = client.clone();
        async move { client.close().await }
    });
    of_program.block_on(async { tokio::task::yield_now().await });
    of_client.block_on(async { client.reconnect().await });
    drop(of_client);
    let closed = of_program.block_on(closing).unwrap();
    assert_eq!(closed.unwrap_err().unanswered, 1);
    assert!(of_program.block_on(publishing).unwrap().is_err());
}

#[test]
fn a_runtime_that_goes_during_the_goodbye_leaves_no_client_that_looks_connected() {
    let (of_client, client, mut peer) = connected();
    let of_program = runtime();
    let closing = of_program.spawn({
        let client = client.clone();
        async move { client.close().await }
    });
    of_program.block_on(async { tokio::task::yield_now().await });
    // The close frame has come, and the client waits for its answer.
    of_client.block_on(peer.hears_close_without_answer());
    drop(of_client);
    assert_eq!(client.status().state, State::Closed(Closed::ByUser));
    assert_eq!(of_program.block_on(closing).unwrap(), Ok(()));
}
