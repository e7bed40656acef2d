//! A worker that hangs is told from one that is idle or busy.

use hubcast_server::{Arrival, Closed, Config, Disconnect, Message, Outbound, Peer, Pulse, Server, Service};
use hubcast_tests::{DEADLINE, Frame, Handshake, Socket};
use std::net::{SocketAddr, TcpListener};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// A service that hangs at each message until it is released.
struct Hanging(Arc<Mutex<Receiver<()>>>);

impl Service for Hanging {
    fn accepts(&self, _path: &str) -> bool {
        true
    }

    fn opened(&mut self, _peer: Peer, _arrival: Arrival, _out: &mut Outbound<'_>) {}

    fn message(&mut self, _peer: Peer, _message: Message<'_>, _out: &mut Outbound<'_>) {
        self.0.lock().expect("one hangs at a time").recv().expect("the test releases it");
    }

    fn closed(&mut self, _peer: Peer, _closed: Closed) {}

    fn disconnect(&mut self, peer: Peer, why: Disconnect, out: &mut Outbound<'_>) {
        out.close(peer.slot, why.code, &why.reason);
    }

    fn turn(&mut self, _now: Instant, _out: &mut Outbound<'_>) {}
}

/// A server with two workers that are watched, and what it needs to end.
struct Watched {
    address: SocketAddr,
    pulse: Pulse,
    release: Sender<()>,
    stop: oneshot::Sender<()>,
    server: thread::JoinHandle<()>,
}

fn start() -> Watched {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let mut config = Config { workers: Some(2), ..Config::default() };
    config.drain.spread = Duration::ZERO;
    let mut server = Server::bind(config, [listener]).expect("a fit listener");
    let (address, pulse) = (server.local_addr().expect("a bound listener"), server.pulse(TURN_EVERY));
    let ((release, released), (stop, stopped)) = (mpsc::channel(), oneshot::channel());
    let released = Arc::new(Mutex::new(released));
    let server = thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        let shutdown = async { _ = stopped.await };
        runtime.block_on(server.run_service(|| Hanging(Arc::clone(&released)), shutdown)).expect("no fault");
    });
    Watched { address, pulse, release, stop, server }
}

/// Waits until exactly these workers have taken no turn for many times [`TURN_EVERY`].
#[track_caller]
fn hang(pulse: &mut Pulse, workers: &[usize]) {
    let begun = Instant::now();
    let mut since = Instant::now();
    while since.elapsed() < 20 * TURN_EVERY {
        thread::sleep(TURN_EVERY);
        if pulse.without_turn() != workers {
            since = Instant::now();
        }
        assert!(begun.elapsed() < DEADLINE, "these hang and no others: {workers:?}");
    }
}

/// Waits until all workers have taken a turn, some times over.
#[track_caller]
fn all_turn(pulse: &mut Pulse) {
    for _ in 0..3 {
        let begun = Instant::now();
        while !pulse.without_turn().is_empty() {
            assert!(begun.elapsed() < DEADLINE, "all take turns");
            thread::yield_now();
        }
    }
}

const TURN_EVERY: Duration = Duration::from_millis(10);

#[test]
fn a_worker_that_hangs_is_named_while_the_others_go_on() {
    let Watched { address, mut pulse, release, stop, server } = start();
    all_turn(&mut pulse);
    // Connections are dealt to the workers in turn, the second worker first.
    for worker in [1, 0] {
        let mut socket = Socket::connect(address);
        assert_eq!(socket.asks(&Handshake::default()).status, 101);
        socket.sends([&Frame::text("hang")]);
        hang(&mut pulse, &[worker]);
        release.send(()).expect("it waits for this");
        all_turn(&mut pulse);
    }
    stop.send(()).expect("it waits for this");
    server.join().expect("no panic");
    assert!(pulse.without_turn().is_empty() && pulse.without_turn().is_empty(), "who has ended in order does not hang");
}
