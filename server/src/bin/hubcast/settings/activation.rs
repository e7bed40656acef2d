//! Listeners that a service manager such as systemd has bound: socket activation. They take the place of the setting
//! `listen`.

use anyhow::{Context, bail};
use listenfd::ListenFd;
use std::net::{SocketAddr, TcpListener};

/// The listeners that the process was started with; usually none. Must be called before there is a second thread,
/// because this takes them out of the environment too.
///
/// # Errors
/// When one of them is something else than a TCP socket.
pub(crate) fn take() -> anyhow::Result<Vec<TcpListener>> {
    let mut given = ListenFd::from_env();
    let mut listeners = Vec::with_capacity(given.len());
    for number in 0..given.len() {
        let place = format!("the socket number {} that the service manager gives (LISTEN_FDS)", number + 1);
        match given.take_tcp_listener(number) {
            Ok(Some(listener)) => listeners.push(listener),
            Ok(None) => bail!("{place} is not there"),
            Err(error) => return Err(error).with_context(|| format!("{place} is no TCP socket")),
        }
    }
    Ok(listeners)
}

/// The address of the listeners that most programs can reach, which decides who may do what. `None` without listeners.
///
/// # Errors
/// When the system does not return an address.
pub(crate) fn widest(listeners: &[TcpListener]) -> anyhow::Result<Option<SocketAddr>> {
    let addresses: Vec<_> = listeners.iter().map(TcpListener::local_addr).collect::<Result<_, _>>()?;
    let reachable = |address: &&SocketAddr| !address.ip().to_canonical().is_loopback();
    Ok(addresses.iter().find(reachable).or(addresses.first()).copied())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_listener_for_other_machines_is_enough_to_count_as_open_to_them() {
        let bind = |address: &str| TcpListener::bind(address).unwrap();
        assert_eq!(widest(&[]).unwrap(), None);
        let only = [bind("127.0.0.1:0")];
        assert_eq!(widest(&only).unwrap(), Some(only[0].local_addr().unwrap()));
        let both = [bind("127.0.0.1:0"), bind("0.0.0.0:0")];
        assert_eq!(widest(&both).unwrap(), Some(both[1].local_addr().unwrap()));
    }
}
