//! The listeners of the server: one for each address that its endpoint has.

use crate::settings::endpoints::Endpoint;
use crate::settings::file_mode::FileMode;
use anyhow::anyhow;
use rustix::io::Errno;
use std::fs::{self, Permissions};
use std::io::{self, ErrorKind};
use std::net::{SocketAddr, TcpListener, ToSocketAddrs};
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

/// Listens on every address of the endpoints, those of one with the same port. A name often has one of each family, such as
/// `127.0.0.1` and `::1`, and which of them a client tries first is its own choice.
///
/// # Errors
/// A name without an address, and an address that cannot be listened on. One that this machine does not have is left
/// out where there is another.
pub(crate) fn listen(endpoints: &[Endpoint]) -> anyhow::Result<Vec<TcpListener>> {
    let of_network = endpoints.iter().filter(|endpoint| endpoint.path().is_none());
    let each = of_network.map(listen_on).collect::<anyhow::Result<Vec<_>>>()?;
    Ok(each.into_iter().flatten().collect())
}

/// Listens on the Unix sockets among the endpoints. A socket file that a server has left behind is taken over.
///
/// # Errors
/// When a socket cannot be made, such as because another server listens on it.
pub(crate) fn listen_unix(endpoints: &[Endpoint], mode: FileMode) -> anyhow::Result<Vec<(UnixListener, PathBuf)>> {
    let paths = endpoints.iter().filter_map(Endpoint::path);
    let bound = paths.map(|path| {
        let listener = bind_unix(path, mode).map_err(|error| {
            let reason = match error.kind() {
                ErrorKind::AddrInUse => "another server listens on it, or the file is no socket".to_owned(),
                ErrorKind::NotFound => "there is no such folder".to_owned(),
                _ => error.to_string(),
            };
            anyhow!("cannot listen on unix:{}: {reason}", path.display())
        })?;
        Ok((listener, path.to_owned()))
    });
    bound.collect()
}

fn bind_unix(path: &Path, mode: FileMode) -> io::Result<UnixListener> {
    let is_left = fs::symlink_metadata(path).is_ok_and(|file| file.file_type().is_socket());
    if is_left && UnixStream::connect(path).is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused) {
        fs::remove_file(path)?;
    }
    let listener = UnixListener::bind(path)?;
    fs::set_permissions(path, Permissions::from_mode(mode.0))?;
    Ok(listener)
}

fn listen_on(endpoint: &Endpoint) -> anyhow::Result<Vec<TcpListener>> {
    let resolved = endpoint.as_str().to_socket_addrs().map_err(|error| {
        anyhow!("cannot listen on {endpoint}: the name has no address ({error}); write one, such as 127.0.0.1:8080")
    })?;
    let mut addresses: Vec<SocketAddr> = Vec::new();
    for address in resolved {
        if !addresses.contains(&address) {
            addresses.push(address);
        }
    }
    bind_each(&addresses).map_err(|Unbound { address, error }| {
        let place = if addresses.len() > 1 { format!("{endpoint} ({address})") } else { endpoint.to_string() };
        anyhow!("cannot listen on {place}: {}", reason(&error))
    })
}

/// The address that cannot be listened on, and why.
#[derive(Debug)]
struct Unbound {
    address: SocketAddr,
    error: io::Error,
}

/// Binds all addresses. Where the port is to be a free one, it has to be free on each of them.
fn bind_each(addresses: &[SocketAddr]) -> Result<Vec<TcpListener>, Unbound> {
    let mut tries = TRIES;
    loop {
        tries -= 1;
        match bind_once(addresses) {
            Err(Unbound { address, error })
                if address.port() == 0 && error.kind() == ErrorKind::AddrInUse && tries > 0 => {}
            bound => return bound,
        }
    }
}

/// Binds all addresses, those without a port with the one that the first of them gets.
fn bind_once(addresses: &[SocketAddr]) -> Result<Vec<TcpListener>, Unbound> {
    let (mut listeners, mut chosen, mut missing) = (Vec::new(), None, None);
    for &address in addresses {
        let port = if address.port() == 0 { chosen.unwrap_or(0) } else { address.port() };
        match TcpListener::bind(SocketAddr::new(address.ip(), port)) {
            Ok(listener) => {
                chosen = chosen.or(listener.local_addr().ok().map(|bound| bound.port()));
                listeners.push(listener);
            }
            Err(error) if is_missing(&error) => {
                tracing::debug!(%address, %error, "this machine does not have an address of the name");
                missing = Some(Unbound { address, error });
            }
            Err(error) => return Err(Unbound { address, error }),
        }
    }
    match missing {
        Some(missing) if listeners.is_empty() => Err(missing),
        _ => Ok(listeners),
    }
}

/// Whether the machine has no such address, or none of its family.
fn is_missing(error: &io::Error) -> bool {
    error.kind() == ErrorKind::AddrNotAvailable || error.raw_os_error() == Some(Errno::AFNOSUPPORT.raw_os_error())
}

fn reason(error: &io::Error) -> String {
    match error.kind() {
        ErrorKind::AddrInUse => "the port is taken by another program; stop it, or choose another port".to_owned(),
        ErrorKind::PermissionDenied => "this user may not; a port from 1024 up needs no privilege".to_owned(),
        _ if is_missing(error) => "no network interface of this machine has this address".to_owned(),
        _ => error.to_string(),
    }
}

/// How many ports are tried that are free on the first address.
const TRIES: u32 = 16;

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses<const N: usize>(texts: [&str; N]) -> [SocketAddr; N] {
        texts.map(|text| text.parse().unwrap())
    }

    #[test]
    fn all_addresses_of_a_name_get_the_same_free_port() {
        let listeners = bind_each(&addresses(["127.0.0.1:0", "127.0.0.2:0"])).unwrap();
        let bound: Vec<_> = listeners.iter().map(|listener| listener.local_addr().unwrap()).collect();
        assert_eq!(bound.iter().map(|bound| bound.ip().to_string()).collect::<Vec<_>>(), ["127.0.0.1", "127.0.0.2"]);
        assert_eq!(bound[0].port(), bound[1].port());
    }

    #[test]
    fn an_address_that_the_machine_does_not_have_is_left_out_where_there_is_another() {
        // Of a network for documentation (RFC 5737).
        let listeners = bind_each(&addresses(["192.0.2.1:0", "127.0.0.1:0"])).unwrap();
        assert_eq!(listeners.len(), 1);
        let unbound = bind_each(&addresses(["192.0.2.1:0"])).unwrap_err();
        assert_eq!(reason(&unbound.error), "no network interface of this machine has this address");
    }

    #[test]
    fn a_port_that_is_taken_on_one_address_is_a_fault() {
        let taken = TcpListener::bind("127.0.0.2:0").unwrap().local_addr().unwrap();
        let _taken = TcpListener::bind(taken).unwrap();
        let other = SocketAddr::new([127, 0, 0, 1].into(), taken.port());
        let unbound = bind_each(&[other, taken]).unwrap_err();
        assert_eq!((unbound.address, unbound.error.kind()), (taken, ErrorKind::AddrInUse));
    }

    #[test]
    fn a_name_without_an_address_is_said() {
        let fault = listen(&["no-such-name.invalid:80".parse().unwrap()]).unwrap_err().to_string();
        assert!(fault.starts_with("cannot listen on no-such-name.invalid:80: the name has no address"), "{fault}");
    }
}
