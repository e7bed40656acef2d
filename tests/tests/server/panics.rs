//! A panic in the server ends it, with an error that a supervisor sees.

use hubcast_server::frame::{self, Opcode};
use hubcast_server::{
    Arrival, CloseReason, Closed, Config, Disconnect, Message, Outbound, Peer, RunError, Server, Service,
};
use hubcast_tests::{DEADLINE, Frame, Handshake, Heard, Socket};
use std::future::pending;
use std::net::{SocketAddr, TcpListener};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Instant;

/// A service that answers each message, and panics at the place that a client names.
#[derive(Default)]
struct Fragile {
    panics_in_turn: bool,
}

impl Service for Fragile {
    fn accepts(&self, path: &str) -> bool {
        assert_ne!(path, "/panic", "a request");
        true
    }

    fn opened(&mut self, _peer: Peer, _arrival: Arrival, _out: &mut Outbound<'_>) {}

    fn message(&mut self, peer: Peer, message: Message<'_>, out: &mut Outbound<'_>) {
        assert_ne!(message, Message::Text("message"), "a message");
        self.panics_in_turn = message == Message::Text("turn");
        out.push(peer.slot, &frame::write(Opcode::Text, b"alive"));
        out.want_turn();
    }

    fn closed(&mut self, _peer: Peer, closed: Closed) {
        assert_ne!(closed.close_reason, CloseReason::Lost, "a loss");
    }

    fn disconnect(&mut self, peer: Peer, why: Disconnect, out: &mut Outbound<'_>) {
        out.close(peer.slot, why.code, &why.reason);
    }

    fn turn(&mut self, _now: Instant, _out: &mut Outbound<'_>) {
        assert!(!self.panics_in_turn, "a turn");
    }
}

/// Starts a server with two workers and without a shutdown; returns its address and the result of its run.
fn start() -> (SocketAddr, Receiver<Result<(), RunError>>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let server = Server::bind(Config { workers: Some(2), ..Config::default() }, [listener]).expect("a fit listener");
    let (address, (end, ended)) = (server.local_addr().expect("a bound listener"), mpsc::channel());
    thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        // This fails if a test has failed and no longer waits.
        let _ = end.send(runtime.block_on(server.run_service(Fragile::default, pending())));
    });
    (address, ended)
}

/// Starts a server, lets `cause` make it panic by one of its connections, and checks that both workers and the run end.
/// `said` is the text of the panic.
#[track_caller]
fn ends(said: &str, cause: impl FnOnce(&mut Vec<Socket>, SocketAddr)) {
    let (address, ended) = start();
    let mut peers: Vec<_> = (0..4)
        .map(|_| {
            let mut socket = Socket::connect(address);
            assert_eq!(socket.asks(&Handshake::default()).status, 101);
            socket.sends([&Frame::text("anything")]);
            socket.hears(&Heard::Text("alive".to_owned()));
            socket
        })
        .collect();
    cause(&mut peers, address);
    match ended.recv_timeout(DEADLINE).expect("the run ends") {
        Err(RunError::Panicked { message, .. }) if message.contains(said) => {}
        other => panic!("{said}: {other:?}"),
    }
    for mut peer in peers {
        peer.is_cut_without("alive");
    }
}

#[test]
fn a_panic_wherever_it_comes_ends_the_server_and_is_named() {
    ends("a message", |peers, _| peers[0].sends([&Frame::text("message")]));
    ends("a turn", |peers, _| peers[0].sends([&Frame::text("turn")]));
    ends("a loss", |peers, _| peers.remove(0).resets());
    ends("a request", |_, address| {
        Socket::connect(address).writes(&Handshake::default().request("GET /panic HTTP/1.1").bytes());
    });
}
