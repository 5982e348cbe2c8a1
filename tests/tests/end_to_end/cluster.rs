//! Daemons that keep their state in one NATS server are one switchboard.

use std::{
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use switchboard_tests::{Daemon, Launch, Signal, folder, run, switchboard, until};
use tempfile::TempDir;

/// Where the server is: named, or where `scripts/test` puts it.
fn binary() -> PathBuf {
    let installed = Path::new(env!("CARGO_MANIFEST_DIR")).join("../.tools/nats/bin/nats-server");
    let named = std::env::var_os("SWITCHBOARD_NATS_SERVER").map(PathBuf::from);
    let binary = named.unwrap_or(installed);
    assert!(
        binary.is_file(),
        "{} is not there: run scripts/test once, or name one in SWITCHBOARD_NATS_SERVER",
        binary.display()
    );
    binary
}

/// A NATS server with JetStream; killed when dropped.
struct Nats {
    process: Child,
    url: String,
    _folder: TempDir,
}

impl Nats {
    fn start() -> Self {
        let folder = folder();
        // It cannot be asked which port it chose before it has chosen.
        let port = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
        let port = port.expect("a port").port();
        let process = Command::new(binary())
            .args([
                "--addr",
                "127.0.0.1",
                "--port",
                &port.to_string(),
                "--jetstream",
                "--store_dir",
            ])
            .arg(folder.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let nats = Self {
            process: process.expect("it starts"),
            url: format!("nats://127.0.0.1:{port}"),
            _folder: folder,
        };
        until("NATS listens", || TcpStream::connect(("127.0.0.1", port)).ok());
        nats
    }

    fn daemon(&self) -> Daemon {
        Launch::tcp().arguments(&["--engine", &self.url]).start()
    }
}

impl Drop for Nats {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn two_daemons_side_by_side_are_one_switchboard() {
    let nats = Nats::start();
    let (one, other) = (nats.daemon(), nats.daemon());

    one.run(&["put", "greeting", "hi"]).is(0, "");
    other.run(&["get", "greeting"]).is(0, "hi");
    other.run(&["incr", "n"]).is(0, "1\n");
    one.run(&["incr", "n"]).is(0, "2\n");

    let _upper = one.handle(&["upper", "--", "tr", "a-z", "A-Z"]);
    until("the other daemon knows of it", || {
        (other.run(&["call", "upper", "hello"]).status == 0).then_some(())
    });
    other.run(&["call", "upper", "hello"]).is(0, "HELLO");

    let mut subscriber = other.subscribe(&["home/#", "--count", "2"]);
    one.run(&["publish", "--retain", "home/lamp", "on"]).is(0, "");
    one.run(&["publish", "home/door", "open"]).is(0, "");
    assert_eq!(subscriber.line(), "home/lamp\ton");
    assert_eq!(subscriber.line(), "home/door\topen", "each comes once");

    // What they keep outlasts both.
    for daemon in [one, other] {
        daemon.process.send(Signal::SIGKILL);
        assert_eq!(daemon.process.end().status, 137);
    }
    let again = nats.daemon();
    again.run(&["get", "greeting"]).is(0, "hi");
    again.run(&["get", "topic:home/lamp"]).is(0, "on");
    let mut last = again.subscribe(&["home/#", "--count", "1"]);
    assert_eq!(last.line(), "home/lamp\ton");
}

#[test]
fn a_state_moves_into_a_cluster_and_back() {
    let nats = Nats::start();
    let daemon = Launch::tcp().start();
    daemon.run(&["put", "greeting", "hi"]).is(0, "");
    daemon
        .run(&["put", "--expires", "1h", "--bucket", "b", "odd \u{1}", "x"])
        .is(0, "");
    daemon.run(&["publish", "--retain", "home/lamp", "on"]).is(0, "");
    let place = Launch::beside(&daemon);
    assert_eq!(daemon.stop().status, 0);

    let folder = place.folder().to_owned();
    let at = |arguments: &[&str]| run(&mut switchboard(&folder, arguments), b"");
    at(&["export", "first"]).is(0, "");
    let into = at(&["import", "--engine", &nats.url, "first"]);
    into.is(0, "");
    assert!(into.stderr.contains("imported 3 keys"), "{}", into.stderr);
    let shared = nats.daemon();
    shared.run(&["get", "greeting"]).is(0, "hi");
    shared.run(&["get", "topic:home/lamp"]).is(0, "on");
    assert_eq!(shared.stop().status, 0);

    at(&["export", "--engine", &nats.url, "second"]).is(0, "");
    at(&["import", "--data", "back", "second"]).is(0, "");
    let back = place
        .listen("tcp://127.0.0.1:0")
        .arguments(&["--data", "back"])
        .start();
    back.run(&["get", "greeting"]).is(0, "hi");
    let entry = back.run(&["get", "--json", "--bucket", "b", "odd \u{1}"]);
    assert!(entry.text().contains("expires_unix_ms"), "{}", entry.text());
    back.run(&["get", "topic:home/lamp"]).is(0, "on");
    let again = at(&["import", "--engine", &nats.url, "first"]);
    again.fails(1, &["not empty"]);
}
