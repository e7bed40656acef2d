//! What a service manager is told, and the sockets that it gives: the protocols of systemd.

use crate::client::{connect, request};
use crate::run::{Run, hubcast};
use std::fs;
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;
use std::{env, process};

/// The socket of a service manager.
struct Manager {
    socket: UnixDatagram,
    path: PathBuf,
}

impl Manager {
    fn new(name: &str) -> Self {
        // The path of a socket has to be short.
        let path = env::temp_dir().join(format!("hubcast-{name}-{}", process::id()));
        let _ = fs::remove_file(&path);
        Self { socket: UnixDatagram::bind(&path).unwrap(), path }
    }

    /// Starts a server that reports to this, with these further variables.
    fn start(&self, variables: &[(&str, &str)]) -> Run {
        let words = ["--listen", "127.0.0.1:0", "--drain-spread", "0s", "--workers", "3"];
        Run::of(hubcast(&words).env("NOTIFY_SOCKET", &self.path).envs(variables.iter().copied()))
    }

    /// What comes next, if it comes within this time.
    fn hears(&self, within: Duration) -> Option<String> {
        let mut text = [0; 1024];
        self.socket.set_read_timeout(Some(within)).unwrap();
        let length = self.socket.recv(&mut text).ok()?;
        Some(String::from_utf8(text[..length].to_vec()).unwrap())
    }

    /// Checks that this comes next, soon.
    #[track_caller]
    fn hears_only(&self, expected: &str) {
        assert_eq!(self.hears(PATIENCE).as_deref(), Some(expected));
    }
}

impl Drop for Manager {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

const PATIENCE: Duration = Duration::from_secs(20);

#[test]
fn it_says_when_it_is_ready_when_it_was_asked_to_reload_and_when_it_stops() {
    let manager = Manager::new("ready");
    let mut server = manager.start(&[]);
    manager.hears_only(&format!("READY=1\nSTATUS=listening on {}\n", server.address()));
    assert_eq!(request(&mut connect(server.address()), "/healthz", ""), 200);
    server.signal("HUP");
    let reloading = manager.hears(PATIENCE).unwrap();
    assert!(reloading.starts_with("RELOADING=1\nMONOTONIC_USEC="), "{reloading}");
    manager.hears_only("READY=1\n");
    server.logs("the settings are in force");
    server.signal("TERM");
    manager.hears_only("STOPPING=1\nSTATUS=sending the connections away\n");
    assert_eq!(server.end().0, Some(0));
    assert_eq!(manager.hears(Duration::from_millis(1)), None, "without a watchdog there are no signs of life");
}

#[test]
fn signs_of_life_come_while_it_is_idle_and_not_while_it_is_stopped() {
    let manager = Manager::new("watchdog");
    let limit = Duration::from_secs(2);
    let server = manager.start(&[("WATCHDOG_USEC", "2000000")]);
    assert!(manager.hears(PATIENCE).unwrap().starts_with("READY=1\n"));
    for _ in 0..5 {
        assert_eq!(manager.hears(limit).as_deref(), Some("WATCHDOG=1\n"), "in time");
    }
    server.signal("STOP");
    // Those that came before it was stopped.
    while manager.hears(Duration::from_millis(50)).is_some() {}
    assert_eq!(manager.hears(limit), None);
    server.signal("CONT");
    manager.hears_only("WATCHDOG=1\n");
}

#[test]
fn the_watchdog_of_another_process_is_not_fed() {
    let manager = Manager::new("other");
    let _server = manager.start(&[("WATCHDOG_USEC", "40000"), ("WATCHDOG_PID", "1")]);
    assert!(manager.hears(PATIENCE).unwrap().starts_with("READY=1\n"));
    assert_eq!(manager.hears(Duration::from_millis(200)), None);
}

/// A command that starts the program with this listener as its first socket of the service manager.
fn activated(listener: impl Into<OwnedFd>, words: &[&str]) -> Command {
    let mut command = Command::new("sh");
    let script = "exec 3<&0 </dev/null; LISTEN_PID=$$ LISTEN_FDS=1 exec \"$0\" \"$@\"";
    command.env_clear().args(["-c", script, env!("CARGO_BIN_EXE_hubcast")]).args(words);
    command.stdin(listener.into()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

#[test]
fn a_socket_of_the_service_manager_takes_the_place_of_listen() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    // It would fail to listen there.
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let listen = taken.local_addr().unwrap().to_string();
    let server = Run::of(&mut activated(listener.try_clone().unwrap(), &["--listen", &listen, "--drain-spread", "0s"]));
    assert_eq!(server.address(), address);
    assert_eq!(request(&mut connect(address), "/healthz", ""), 200);
    server.stop();
    // Who connects between two servers waits for the next one.
    let mut early = connect(address);
    let next = Run::of(&mut activated(listener, &[]));
    assert_eq!(request(&mut early, "/healthz", ""), 200);
    drop(next);
}

#[test]
fn a_socket_that_others_can_reach_opens_nothing_by_accident() {
    let output = activated(TcpListener::bind("0.0.0.0:0").unwrap(), &[]).output().unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{told}");
    assert!(
        told.contains("a socket of the service manager (LISTEN_FDS): other machines could do everything"),
        "{told}"
    );
}

#[test]
fn a_socket_of_another_kind_is_refused() {
    let output = activated(UnixDatagram::unbound().unwrap(), &[]).output().unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{told}");
    assert!(told.contains("socket number 1 that the service manager gives (LISTEN_FDS) is no TCP socket"), "{told}");
}
