//! Becoming somebody else after binding.

use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt},
};

use nix::unistd::{Uid, User};
use switchboard_tests::{Daemon, Launch, Signal};

/// A user that is on every system and may do nothing.
const NOBODY: &str = "nobody";

fn launch() -> Launch {
    let launch = Launch::new()
        .listen("unix://{data}/switchboard.sock")
        .set("server", "user", NOBODY);
    // The folder of a test is its owner's alone; the daemon must get in after it has become somebody else.
    fs::set_permissions(launch.folder(), fs::Permissions::from_mode(0o755)).expect("ours");
    launch
}

/// Numbers of a line of `/proc/ID/status`.
fn status(daemon: &Daemon, name: &str) -> Vec<String> {
    let text = fs::read_to_string(format!("/proc/{}/status", daemon.process.id())).expect("it runs");
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix(name))
        .expect("a line");
    line.split_whitespace().map(str::to_owned).collect()
}

/// The number of `nobody`, if the test may become anybody.
fn nobody() -> Option<u32> {
    let user = User::from_name(NOBODY)
        .expect("a database")
        .expect("every system has one");
    Uid::effective().is_root().then_some(user.uid.as_raw())
}

#[test]
fn root_binds_and_nobody_serves() {
    let Some(nobody) = nobody() else {
        return launch()
            .run()
            .fails(1, &["only root can change to user `nobody`"]);
    };
    let daemon = launch().listen("tcp://127.0.0.1:0").start();
    assert_eq!(status(&daemon, "Uid:"), vec![nobody.to_string(); 4]);
    assert!(!status(&daemon, "Gid:").contains(&"0".to_owned()));
    assert!(
        !status(&daemon, "Groups:").contains(&"0".to_owned()),
        "root's own groups are gone"
    );
    assert_eq!(status(&daemon, "CapEff:"), ["0000000000000000"]);

    let folder = daemon.folder().to_owned();
    let data = fs::metadata(folder.join("data")).expect("the data folder");
    assert_eq!((data.uid(), data.mode() & 0o777), (nobody, 0o700));
    for url in &daemon.doors {
        let _upper = daemon.handle(&["--hub", url, "upper", "--", "tr", "a-z", "A-Z"]);
        daemon
            .run(&["--hub", url, "call", "upper", "hello"])
            .is(0, "HELLO");
    }
    let again = Launch::beside(&daemon)
        .listen("unix://{data}/switchboard.sock")
        .set("server", "user", NOBODY);
    daemon.stop();
    assert!(
        !folder.join("data/switchboard.sock").exists(),
        "nobody may remove it"
    );
    // And so it starts again in what it left.
    again.start().run(&["publish", "t", "x"]).is(0, "");
}

#[test]
fn the_users_own_programs_may_open_the_socket() {
    let Some(nobody) = nobody() else { return };
    let daemon = launch().start();
    let socket = fs::metadata(daemon.folder().join("data/switchboard.sock")).expect("the socket");
    assert_eq!((socket.uid(), socket.mode() & 0o777), (nobody, 0o600));
}

#[test]
fn a_certificate_of_its_own_can_be_read_again() {
    if nobody().is_none() {
        return;
    }
    let mut daemon = launch()
        .listen("tls://127.0.0.1:0")
        .arguments(&["--tls-self-signed"])
        .start();
    daemon.process.send(Signal::SIGHUP);
    daemon.process.says("certificate read again");
}

#[test]
fn who_cannot_be_become_is_told() {
    if nobody().is_none() {
        return;
    }
    let ran = Launch::new()
        .listen("unix://s")
        .set("server", "user", "no-such-user")
        .run();
    assert_ne!(ran.status, 0);
    ran.fails(ran.status, &["no user `no-such-user`"]);
    let root = Launch::new()
        .listen("unix://s")
        .set("server", "user", "root")
        .run();
    assert_ne!(root.status, 0);
    root.fails(root.status, &["is root"]);
}
