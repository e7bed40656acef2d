//! A proxy between clients and a server that can cut connections.

use crate::Server;
use std::collections::BTreeMap;
use std::io::{self, Read};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

/// A proxy on a port of its own that copies bytes to a server and back. It cuts connections when a test calls
/// [`Proxy::cuts_all`], or after a pseudo-random number of bytes, which may be within a frame.
///
/// A client cannot distinguish a change to another server from a restart on the same port.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    route: Route,
}

/// The state that all threads of a proxy share.
#[derive(Clone, Debug, Default)]
struct Route(Arc<Mutex<Inner>>);

/// Where new connections go, which ones are open, and what is to be cut.
#[derive(Debug, Default)]
struct Inner {
    /// The server that new connections go to; with `None` the proxy cuts them at once.
    server: Option<SocketAddr>,
    /// Both sockets of every open connection, by its number.
    open: BTreeMap<u64, [TcpStream; 2]>,
    connections: u64,
    chance: Chance,
    cuts: usize,
    is_over: bool,
}

/// The cuts by chance that are still to come: how many, and after how many bytes at most.
#[derive(Debug, Default)]
struct Chance {
    times: usize,
    within: u64,
}

impl Proxy {
    /// Starts a proxy to this server.
    ///
    /// # Panics
    /// If the operating system has no free port.
    pub fn to(server: &Server) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("a bound listener");
        let route = Route::default();
        route.lock().server = Some(server.address());
        let proxy = Self { address, route: route.clone() };
        thread::spawn(move || {
            for client in listener.incoming() {
                if route.lock().is_over {
                    break;
                }
                // If a connection cannot be forwarded, it is dropped, which cuts it.
                let _ = client.and_then(|client| route.carry(client));
            }
        });
        proxy
    }

    /// The URL that a client connects to.
    pub fn url(&self) -> String {
        format!("ws://{}/socket", self.address)
    }

    /// Sends new connections to this server. Open connections stay with theirs.
    pub fn leads_to(&self, server: &Server) {
        self.route.lock().server = Some(server.address());
    }

    /// Cuts new connections at once. Open connections stay.
    pub fn leads_nowhere(&self) {
        self.route.lock().server = None;
    }

    /// Cuts all open connections.
    pub fn cuts_all(&self) {
        let mut inner = self.route.lock();
        let open: Vec<u64> = inner.open.keys().copied().collect();
        open.into_iter().for_each(|number| inner.cut(number));
    }

    /// Cuts the next `times` connections, each after a pseudo-random number of bytes from the server, at most `within`.
    pub fn cuts_by_chance(&self, times: usize, within: u64) {
        self.route.lock().chance = Chance { times, within };
    }

    /// Number of connections that were cut by chance.
    pub fn cuts_made(&self) -> usize {
        self.route.lock().cuts
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.leads_nowhere();
        self.cuts_all();
        self.route.lock().is_over = true;
        // This wakes the listener, which then sees that the proxy is over.
        let _ = TcpStream::connect(self.address);
    }
}

impl Route {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Connects a client to the server, and starts to copy bytes in both directions until either side ends.
    fn carry(&self, client: TcpStream) -> io::Result<()> {
        let mut inner = self.lock();
        let Some(server) = inner.server.filter(|_| inner.open.len() < MOST) else { return Ok(()) };
        let server = TcpStream::connect(server)?;
        client.set_nodelay(true)?;
        server.set_nodelay(true)?;
        inner.connections += 1;
        let (number, most) = (inner.connections, inner.chance());
        inner.open.insert(number, [client.try_clone()?, server.try_clone()?]);
        let (from_client, to_server) = (client.try_clone()?, server.try_clone()?);
        self.copy(number, from_client, to_server, None);
        self.copy(number, server, client, most);
        Ok(())
    }

    /// Starts a thread that copies bytes in one direction, at most `most`, and then cuts the connection.
    fn copy(&self, number: u64, from: TcpStream, mut to: TcpStream, most: Option<u64>) {
        let route = self.clone();
        thread::spawn(move || {
            let copied = io::copy(&mut from.take(most.unwrap_or(u64::MAX)), &mut to);
            let mut inner = route.lock();
            if copied.is_ok_and(|copied| Some(copied) == most) {
                inner.cuts += 1;
            }
            inner.cut(number);
        });
    }
}

impl Inner {
    /// After how many bytes the next connection is cut; `None` if it is not cut.
    fn chance(&mut self) -> Option<u64> {
        self.chance.times = self.chance.times.checked_sub(1)?;
        // Scattered well enough, and the same in every run (D. Knuth, "The Art of Computer Programming", 6.4).
        let scattered = self.connections.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32;
        Some(1 + scattered % self.chance.within)
    }

    /// Shuts down both sockets of a connection.
    fn cut(&mut self, number: u64) {
        for end in self.open.remove(&number).into_iter().flatten() {
            // This fails only if the peer has already closed the connection.
            let _ = end.shutdown(Shutdown::Both);
        }
    }
}

/// Greatest number of open connections; each needs two threads.
const MOST: usize = 100;
