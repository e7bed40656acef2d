//! Signals: what each one does. Only the third one in a row makes the server lose the histories and keys that it keeps.

use crate::client::Client;
use crate::run::{Run, folder, hubcast};
use rustix::pty::{OpenptFlags, ioctl_tiocgptpeer, openpt, unlockpt};
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

/// Starts a server with this state folder. It waits up to 10 minutes for connections that do not close.
fn patient(state: &Path) -> Run {
    Run::start(&["--close-timeout", "10m", "--drain-deadline", "10m", "--state-dir", state.to_str().unwrap()])
}

/// Opens a client, subscribes it to `news` and publishes one message there. Returns the epoch of `news` and the client,
/// which stays open and reads nothing more.
#[track_caller]
fn one_publication(server: &Run) -> (Value, Client) {
    let mut client = Client::open(server.address());
    let epoch = client.subscribe("news")["epoch"].clone();
    assert_eq!(client.publish("news", "one")["offset"], 1);
    (epoch, client)
}

/// Whether `news` can be resumed in this epoch after offset 1. It can if the server has the history that
/// `one_publication` made.
#[track_caller]
fn goes_on(server: &Run, epoch: &Value) -> bool {
    let recover = json!({"epoch": epoch, "offset": 1});
    let request = json!({"id": 1, "action": "subscribe", "topic": "news", "recover": recover});
    Client::open(server.address()).ask(&request)["recovered"] == true
}

#[test]
fn a_second_signal_hurries_the_drain_and_what_is_kept_is_stored() {
    for signals in [["TERM", "TERM"], ["TERM", "INT"], ["INT", "INT"]] {
        let state = folder("hurried");
        let mut server = patient(&state);
        let (epoch, _stays) = one_publication(&server);
        server.signal(signals[0]);
        server.logs("draining");
        server.signal(signals[1]);
        let (code, log) = server.end();
        assert_eq!(code, Some(0), "{log}");
        assert!(goes_on(&patient(&state), &epoch), "{log}");
    }
}

#[test]
fn who_is_left_gets_a_close_when_the_drain_is_hurried() {
    let words = ["--listen", "127.0.0.1:0", "--drain-spread", "10m", "--drain-deadline", "10m"];
    let mut server = Run::of(&mut hubcast(&words));
    let mut clients = [(); 3].map(|()| Client::open(server.address()));
    server.signal("TERM");
    server.logs("draining");
    server.signal("TERM");
    for client in &mut clients {
        assert_eq!(client.hear()["event"], "closing");
    }
    assert_eq!(server.end().0, Some(0));
}

#[test]
fn a_third_signal_ends_a_server_at_once_that_cannot_store() {
    let state = folder("stuck");
    let mut server = patient(&state);
    // No process reads this FIFO. The server waits forever when it opens the FIFO to write the state file.
    let made = Command::new("mkfifo").arg(state.join("histories.unfinished")).status().unwrap();
    assert!(made.success());
    server.signal("TERM");
    server.logs("draining");
    server.signal("TERM");
    server.logs("hurrying");
    server.signal("INT");
    assert_eq!(server.end().0, Some(130));
}

#[test]
fn sighup_without_a_terminal_reads_the_settings_again_and_ends_nothing() {
    let state = folder("ignored_hangup");
    let mut server = patient(&state);
    let (epoch, client) = one_publication(&server);
    for _ in 0..2 {
        server.signal("HUP");
        server.logs("the settings are in force");
    }
    assert!(goes_on(&server, &epoch), "it serves as before");
    drop(client);
    server.signal("TERM");
    assert_eq!(server.end().0, Some(0));
    assert!(goes_on(&patient(&state), &epoch));
}

#[test]
fn a_terminal_that_is_closed_drains_the_server_and_what_is_kept_is_stored() {
    let state = folder("terminal");
    let terminal = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    unlockpt(&terminal).unwrap();
    let end = ioctl_tiocgptpeer(&terminal, OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    let words = ["--listen", "127.0.0.1:0", "--drain-spread", "0s", "--state-dir", state.to_str().unwrap()];
    let server = Run::of(hubcast(&words).stdin(end));
    let (epoch, client) = one_publication(&server);
    drop((client, terminal));
    server.signal("HUP");
    let (code, log) = server.end();
    assert_eq!(code, Some(0), "{log}");
    assert!(goes_on(&patient(&state), &epoch));
}

#[test]
fn what_a_killed_run_left_unfinished_is_removed() {
    let state = folder("unfinished");
    fs::create_dir_all(&state).unwrap();
    fs::write(state.join("histories.unfinished"), "half of it").unwrap();
    let _server = patient(&state);
    assert!(!state.join("histories.unfinished").exists());
}

#[test]
fn a_state_folder_that_is_removed_while_the_server_runs_is_made_again() {
    let state = folder("removed");
    let server = patient(&state);
    let (epoch, client) = one_publication(&server);
    drop(client);
    fs::remove_dir_all(&state).unwrap();
    server.signal("TERM");
    let (code, log) = server.end();
    assert_eq!(code, Some(0), "{log}");
    assert_eq!(fs::metadata(&state).unwrap().permissions().mode() & 0o777, 0o700);
    assert!(goes_on(&patient(&state), &epoch));
}
