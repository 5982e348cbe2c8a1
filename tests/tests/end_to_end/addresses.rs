//! Where the daemon listens: what it finds there, inherits, and must share with nobody.

use std::{fs, os::fd::OwnedFd, os::unix::net::UnixListener, process::Command};

use switchboard_tests::{Daemon, Launch, Peer, Process, Signal, until};

const SOCKET: &str = "unix://{data}/switchboard.sock";

#[test]
fn a_socket_that_a_killed_daemon_left_is_replaced() {
    let daemon = Launch::new().listen(SOCKET).start();
    let again = Launch::beside(&daemon).listen(SOCKET);
    let socket = daemon.folder().join("data/switchboard.sock");
    daemon.process.send(Signal::SIGKILL);
    assert_eq!(daemon.process.end().status, 137);
    assert!(socket.exists(), "nobody could remove it");
    let daemon = again.start();
    daemon.run(&["publish", "t", "x"]).is(0, "");
    daemon.stop();
    assert!(!socket.exists());
}

#[test]
fn a_second_daemon_is_told_and_the_first_stays() {
    let daemon = Launch::new().listen(SOCKET).listen("tcp://127.0.0.1:0").start();
    let tcp = daemon.doors[1].clone();
    for address in [SOCKET, &tcp] {
        let second = Launch::beside(&daemon).listen(address).run();
        second.fails(1, &["switchboard: gotalk: ", "is in use"]);
        assert_eq!(second.text(), "");
    }
    // One door that cannot be had is enough: none is opened.
    let both = Launch::beside(&daemon).listen("unix://other").listen(&tcp);
    both.run().fails(1, &["is in use"]);
    assert!(!daemon.folder().join("other").exists());
    for url in &daemon.doors {
        daemon.run(&["--hub", url, "publish", "t", "x"]).is(0, "");
    }
}

#[test]
fn what_is_no_socket_is_left_alone() {
    let launch = Launch::new().listen("unix://notes");
    fs::write(launch.folder().join("notes"), "mine").expect("a file");
    launch.run().fails(1, &["notes exists and is not a socket"]);
    assert_eq!(
        fs::read(launch.folder().join("notes")).expect("still there"),
        b"mine"
    );
}

/// A daemon with this socket as its third descriptor, as an init system would start it.
fn inheriting(launch: Launch, socket: &UnixListener) -> Daemon {
    let daemon = launch.command();
    let script = "exec 3<&0 </dev/null; export LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES=door; exec \"$@\"";
    let mut shell = Command::new("sh");
    shell
        .args(["-c", script, "sh"])
        .arg(daemon.get_program())
        .args(daemon.get_args());
    shell.current_dir(launch.folder());
    let socket = OwnedFd::from(socket.try_clone().expect("a descriptor"));
    let process = Process::start_reading(&mut shell, socket);
    launch.ready(process)
}

#[test]
fn an_inherited_socket_outlives_its_daemons() {
    for name in ["fd://door", "fd://0"] {
        let launch = Launch::new().listen(name);
        let path = launch.folder().join("inherited");
        let socket = UnixListener::bind(&path).expect("a socket");
        let first = inheriting(launch, &socket);
        let mut peer = Peer::unix(&path).serve("work");
        let next = Launch::beside(&first).listen(name);
        first.stop();
        assert_eq!(peer.last_words(), "");
        // Whoever comes while there is none waits for the next.
        let mut waiting = Peer::unix_silent(&path);
        waiting.send("01");
        let second = inheriting(next, &socket);
        // The folder stays as long as this.
        let _folder = Launch::beside(&second);
        assert_eq!(waiting.read(2), b"01");
        assert_eq!(waiting.call("work", "").kind, 'E');
        second.stop();
        assert!(path.exists(), "it is not the daemon's to remove");
    }
    let none = Launch::new().listen("fd://0").run();
    none.fails(1, &["`0` was inherited", "0 were inherited"]);
}

#[test]
fn commands_talk_over_ipv6() {
    let interfaces = fs::read_to_string("/proc/net/if_inet6").unwrap_or_default();
    if !interfaces.lines().any(|line| line.ends_with(" lo")) {
        eprintln!("skipped: this system has no IPv6");
        return;
    }
    let daemon = Launch::new().listen("tcp://[::1]:0").start();
    assert!(daemon.url().starts_with("tcp://[::1]:"), "{}", daemon.url());
    let _upper = daemon.handle(&["upper", "--", "tr", "a-z", "A-Z"]);
    daemon.run(&["call", "upper", "hello"]).is(0, "HELLO");
    let addresses: Vec<_> = daemon
        .sessions()
        .iter()
        .map(|session| session["address"].to_string())
        .collect();
    assert!(
        addresses.iter().all(|address| address.starts_with("\"[::1]:")),
        "{addresses:?}"
    );
    let subscriber = daemon.subscribe(&["t", "--count", "1"]);
    daemon.run(&["publish", "t", "six"]).is(0, "");
    subscriber.end().is(0, "t\tsix\n");
}

#[test]
fn a_restarted_daemon_gets_its_port_back_at_once() {
    let daemon = Launch::tcp().start();
    let url = daemon.url().to_owned();
    // Connections that linger because the daemon closed them first.
    let peers: Vec<_> = (0..20).map(|_| daemon.peer()).collect();
    daemon.stop();
    for mut peer in peers {
        peer.last_words();
    }
    let daemon = Launch::new().listen(&url).start();
    until("a connection", || Some(daemon.peer()));
}
