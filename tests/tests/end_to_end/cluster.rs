//! Daemons that keep their state in one NATS cluster are one switchboard.

mod calls;
mod nats;
mod outage;
mod topics;

use std::{path::PathBuf, process::Command};

use nats::Nats;
use switchboard_tests::{Daemon, Launch, Ran, Signal, run, switchboard, until};

/// Waits until a hub lists an operation as served.
#[track_caller]
fn serves(hub: &Daemon, operation: &str) {
    until(&format!("{operation} is served"), || {
        lists(hub, operation).then_some(())
    });
}

/// Waits until it does not.
#[track_caller]
fn until_missed(hub: &Daemon, operation: &str) {
    until(&format!("{operation} is missed"), || {
        (!lists(hub, operation)).then_some(())
    });
}

#[track_caller]
fn lists(hub: &Daemon, operation: &str) -> bool {
    let ops = hub.run(&["ops"]);
    assert_eq!(ops.status, 0, "{ops:?}");
    ops.text()
        .lines()
        .any(|line| line.split_whitespace().next() == Some(operation))
}

/// Commands that talk to a hub, for a thread of their own.
struct Client {
    folder: PathBuf,
    url: String,
}

impl Client {
    fn of(hub: &Daemon) -> Self {
        Self {
            folder: hub.folder().to_owned(),
            url: hub.url().to_owned(),
        }
    }

    #[track_caller]
    fn run(&self, arguments: &[&str]) -> Ran {
        let mut command = switchboard(&self.folder, arguments);
        run(command.env("SWITCHBOARD_HUB", &self.url), b"")
    }
}

/// Kills a daemon. What starts one at its first address, in its folder.
#[track_caller]
fn killed(daemon: Daemon) -> Launch {
    let place = Launch::beside(&daemon).listen(daemon.url());
    daemon.process.send(Signal::SIGKILL);
    assert_eq!(daemon.process.end().status, 137);
    place
}

#[test]
fn two_daemons_side_by_side_are_one_switchboard() {
    let nats = Nats::start();
    let (one, other) = (nats.hub(), nats.hub());

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
    let again = nats.hub();
    again.run(&["get", "greeting"]).is(0, "hi");
    again.run(&["incr", "n"]).is(0, "3\n");
    let url = format!("http://{}/keys/greeting", again.http_address());
    let read = run(Command::new("curl").args(["-sS", "--include", &url]), b"");
    let text = read.text().to_lowercase();
    assert!(
        text.contains("\r\netag: \"") && text.ends_with("\r\n\r\nhi"),
        "{text}"
    );
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
    let into = at(&["import", "--engine", &nats.url(), "first"]);
    into.is(0, "");
    assert!(into.stderr.contains("imported 3 keys"), "{}", into.stderr);
    let shared = nats.hub();
    shared.run(&["get", "greeting"]).is(0, "hi");
    shared.run(&["get", "topic:home/lamp"]).is(0, "on");
    shared.run(&["backup", "copy"]).is(0, "");
    assert!(shared.folder().join("copy/engine").is_dir(), "of a cluster too");
    assert_eq!(shared.stop().status, 0);

    at(&["export", "--engine", &nats.url(), "second"]).is(0, "");
    at(&["import", "--data", "back", "second"]).is(0, "");
    let back = place
        .listen("tcp://127.0.0.1:0")
        .arguments(&["--data", "back"])
        .start();
    back.run(&["get", "greeting"]).is(0, "hi");
    let entry = back.run(&["get", "--json", "--bucket", "b", "odd \u{1}"]);
    assert!(entry.text().contains("expires_unix_ms"), "{}", entry.text());
    back.run(&["get", "topic:home/lamp"]).is(0, "on");
    let again = at(&["import", "--engine", &nats.url(), "first"]);
    again.fails(1, &["not empty"]);
}
