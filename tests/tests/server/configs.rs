//! No configuration makes the server panic: it is refused by name, or the server runs with it.

use hubcast_server::{BindError, Config};
use hubcast_tests::{Handshake, Socket};
use proptest::prelude::*;
use std::net::TcpListener;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

/// A change of one field: its number, and a size and a duration of which the field takes one.
type Change = (usize, usize, Duration);

/// Applies a change.
fn change(config: &mut Config, (field, size, wait): Change) {
    let (times, count) = (&mut config.timeouts, u32::try_from(size).unwrap_or(u32::MAX));
    match field {
        0 => config.workers = Some(size),
        1 => config.max_connections = size,
        2 => config.http.head = size,
        3 => config.http.headers = size,
        4 => config.messages.message = size,
        5 => config.messages.frame = size,
        6 => config.messages.fragments = count,
        7 => config.outbox = size,
        8 => config.max_waiting = size,
        9 => config.linger_bytes = size,
        10 => config.limits.topic = size,
        11 => config.limits.subscriptions = size,
        12 => config.limits.requests_per_second = Some(count),
        13 => config.history_max_bytes = size,
        14 => times.head = wait,
        15 => times.upgrade = wait,
        16 => times.message = wait,
        17 => times.ping = wait,
        18 => times.pong = wait,
        19 => times.write = wait,
        20 => times.close = wait,
        21 => times.linger = wait,
        22 => times.publisher_pause = wait,
        23 => config.drain.spread = wait,
        _ => config.drain.deadline = wait,
    }
}

/// One to three changes, with values at the edges of the types and of the limits.
fn changes() -> impl Strategy<Value = Vec<Change>> {
    let month = Duration::from_secs(30 * 24 * 3600);
    let sizes = [0, 1, 36, 8 * 1024, 1 << 20, 1 << 24, 1 << 40, usize::MAX / 2, usize::MAX];
    let waits = [Duration::ZERO, Duration::from_secs(1), month, month + Duration::from_nanos(1), Duration::MAX];
    let one = (0..25_usize, prop::sample::select(sizes.to_vec()), prop::sample::select(waits.to_vec()));
    prop::collection::vec(one, 1..4)
}

/// Checks that a configuration is refused, or that a server with it answers a health check, opens a WebSocket and
/// stops.
fn is_refused_or_serves(mut config: Config) {
    config.workers = config.workers.or(Some(1));
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let (is_valid, shown) = (config.validate().is_ok(), format!("{config:?}"));
    let server = match hubcast_server::Server::bind(config, [listener]) {
        Ok(server) => server,
        Err(BindError::Config(error)) => return assert!(!is_valid && !error.invalid.is_empty(), "{error}"),
        Err(error) => panic!("{error}: {shown}"),
    };
    let (address, (stop, stopped), (end, ended)) =
        (server.local_addr().expect("a bound listener"), tokio::sync::oneshot::channel::<()>(), mpsc::channel());
    thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        let _ = end.send(runtime.block_on(server.run(async { _ = stopped.await })));
    });
    let alive = Handshake::default().request("GET /healthz HTTP/1.1");
    let mut websocket = Socket::connect(address);
    // The configuration may limit the head so much that the handshake is refused.
    let status = websocket.asks(&Handshake::default()).status;
    assert!([101, 431].contains(&status), "{status}: {shown}");
    assert!([200, 431].contains(&Socket::connect(address).asks(&alive).status), "{shown}");
    websocket.resets();
    drop(stop);
    ended.recv_timeout(hubcast_tests::DEADLINE).expect("it stops").expect("it stops well");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_configuration_is_refused_or_served(changes in changes()) {
        let mut config = Config::default();
        changes.into_iter().for_each(|it| change(&mut config, it));
        is_refused_or_serves(config);
    }
}

#[test]
fn each_field_at_each_edge_is_refused_or_served() {
    for field in 0..25 {
        for size in [0, 1 << 24, usize::MAX] {
            let mut config = Config::default();
            change(&mut config, (field, size, if size == 0 { Duration::ZERO } else { Duration::MAX }));
            is_refused_or_serves(config);
        }
    }
}
