//! The addresses on which the program listens.

use crate::client::{connect, request};
use crate::run::{Run, file, hubcast};
use std::net::{SocketAddr, TcpListener, ToSocketAddrs};

#[test]
fn a_name_listens_on_each_of_its_addresses_with_one_port() {
    let server = Run::of(&mut hubcast(&["--listen", "localhost:0"]));
    let port = server.address().port();
    let has = |address: &SocketAddr| TcpListener::bind(SocketAddr::new(address.ip(), 0)).is_ok();
    let addresses: Vec<_> = ("localhost", port).to_socket_addrs().unwrap().filter(has).collect();
    assert!(!addresses.is_empty());
    for address in addresses {
        assert_eq!(request(&mut connect(address), "/healthz", ""), 200, "{address}");
    }
}

#[test]
fn what_to_try_is_said_where_it_can_be_done() {
    let granted = file("granted.toml", "[anonymous]\nsubscribe = [\"a\"]");
    for (words, can_be_done) in [(&[][..], true), (&["--config", granted.to_str().unwrap()], false)] {
        let mut server = Run::start(words);
        server.signal("TERM");
        let said = server.rest_of_output();
        assert_eq!(said.contains("try it"), can_be_done, "{said}");
        assert_eq!(said.contains("hubcast explain"), !can_be_done, "{said}");
    }
}
