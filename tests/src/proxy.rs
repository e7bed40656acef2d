//! A way to the server that breaks.

use crate::Server;
use std::collections::BTreeMap;
use std::io::{self, Read};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

/// A proxy on a port of its own that carries bytes to a server and back, and cuts connections: when it is told to, or
/// by chance, in the middle of whatever is on its way.
///
/// To a client, leading to another server is what a restart on the same port is.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    route: Route,
}

#[derive(Clone, Debug, Default)]
struct Route(Arc<Mutex<Inner>>);

#[derive(Debug, Default)]
struct Inner {
    /// `None` leads nowhere: who connects is cut at once.
    server: Option<SocketAddr>,
    /// Both ends of every open connection, by its number.
    open: BTreeMap<u64, [TcpStream; 2]>,
    connections: u64,
    chance: Chance,
    cuts: usize,
    is_over: bool,
}

/// What is still to be cut by chance.
#[derive(Debug, Default)]
struct Chance {
    times: usize,
    within: u64,
}

impl Proxy {
    /// Leads to a server until it is told otherwise.
    ///
    /// # Panics
    /// When the system has no port.
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
                // A connection that cannot be carried is dropped, which cuts it.
                let _ = client.and_then(|client| route.carry(client));
            }
        });
        proxy
    }

    /// Where a client of the server connects to.
    pub fn url(&self) -> String {
        format!("ws://{}/socket", self.address)
    }

    /// From now on new connections go to this server; those that are open stay where they are.
    pub fn leads_to(&self, server: &Server) {
        self.route.lock().server = Some(server.address());
    }

    /// From now on new connections are cut at once; those that are open stay.
    pub fn leads_nowhere(&self) {
        self.route.lock().server = None;
    }

    /// Cuts all connections that are open.
    pub fn cuts_all(&self) {
        let mut inner = self.route.lock();
        let open: Vec<u64> = inner.open.keys().copied().collect();
        open.into_iter().for_each(|number| inner.cut(number));
    }

    /// Of the connections to come, so many are cut at a byte by chance of those that the server sends, no later than
    /// `within` bytes.
    pub fn cuts_by_chance(&self, times: usize, within: u64) {
        self.route.lock().chance = Chance { times, within };
    }

    /// How many connections it has cut by chance.
    pub fn cuts_made(&self) -> usize {
        self.route.lock().cuts
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.leads_nowhere();
        self.cuts_all();
        self.route.lock().is_over = true;
        // Its listener looks up once more.
        let _ = TcpStream::connect(self.address);
    }
}

impl Route {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Carries bytes in both directions until either ends.
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
    /// After how many bytes the next connection is to be cut.
    fn chance(&mut self) -> Option<u64> {
        self.chance.times = self.chance.times.checked_sub(1)?;
        // Scattered well enough, and the same in every run (D. Knuth, "The Art of Computer Programming", 6.4).
        let scattered = self.connections.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32;
        Some(1 + scattered % self.chance.within)
    }

    fn cut(&mut self, number: u64) {
        for end in self.open.remove(&number).into_iter().flatten() {
            // Fails only where the peer was faster.
            let _ = end.shutdown(Shutdown::Both);
        }
    }
}

/// Open connections, each with two threads.
const MOST: usize = 100;
