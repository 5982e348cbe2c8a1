//! Callers and responders that go away in the middle of everything.

use std::time::{Duration, Instant};

use switchboard_tests::{Alive, Daemon, Launch, Peer, Process, Signal, python, single, stream};

/// Longest time until the other side of a call knows. The daemon learns of it at once, or by its next heartbeat.
const QUICK: Duration = Duration::from_secs(8);

/// A program that holds `alive` open with a child, and never ends by itself.
const TREE: &str = "exec 3> alive; sleep 1000 & sleep 1000";

/// A daemon whose heartbeats find out soon that nobody is there.
fn daemon() -> Daemon {
    Launch::tcp().set("gotalk", "heartbeat_interval", "300ms").start()
}

/// How a party goes.
#[derive(Debug, Clone, Copy)]
enum Going {
    /// A reset: the machine, or a process with unread input, is gone.
    Reset,
    /// A proper end of both halves.
    Close,
    /// It says that something is wrong, and ends.
    Complain,
}

impl Going {
    const ALL: [Self; 3] = [Self::Reset, Self::Close, Self::Complain];

    fn go(self, mut peer: Peer) {
        match self {
            Self::Reset => peer.reset(),
            Self::Close => drop(peer),
            Self::Complain => peer.send("f00000000"),
        }
    }
}

/// Calls `tree` of a new handler by `call`, makes the caller go by `go`; then all processes of the handler end.
#[track_caller]
fn the_tree_falls<T>(what: &str, call: impl FnOnce(&Daemon) -> T, go: impl FnOnce(T)) {
    let daemon = daemon();
    let alive = Alive::new(daemon.folder(), "alive");
    let _handler = daemon.handle(&["tree", "--", "sh", "-c", TREE]);
    let caller = call(&daemon);
    alive.began();
    assert!(!alive.is_over());
    let begin = Instant::now();
    go(caller);
    alive.ended();
    assert!(begin.elapsed() < QUICK, "{what}: it took {:?}", begin.elapsed());
}

#[test]
fn a_caller_that_vanishes_cancels_its_call() {
    for going in Going::ALL {
        let call = |daemon: &Daemon| {
            let mut peer = daemon.peer();
            peer.send(single(b"0001", "tree", "x"));
            peer
        };
        the_tree_falls(&format!("{going:?}"), call, |peer| going.go(peer));
    }
}

#[test]
fn a_caller_that_vanishes_within_its_stream_cancels_its_call() {
    for going in Going::ALL {
        let call = |daemon: &Daemon| {
            let mut peer = daemon.peer();
            peer.send(stream(b"0001", "tree", "x"));
            peer
        };
        the_tree_falls(&format!("{going:?}"), call, |peer| going.go(peer));
    }
}

#[test]
fn a_caller_that_is_killed_cancels_its_call() {
    let kill = |process: Process| process.send(Signal::SIGKILL);
    the_tree_falls("the command", |daemon| daemon.spawn(&["call", "tree", "x"]), kill);
    let foreign = |daemon: &Daemon| {
        let arguments = ["call", daemon.url(), "tree", "x"];
        Process::start(&mut python::command(daemon.folder(), &arguments))
    };
    the_tree_falls("the foreign client", foreign, kill);
}

#[test]
fn a_caller_that_only_stops_talking_gets_its_answer() {
    let daemon = daemon();
    let mut responder = daemon.peer().serve("work");
    let mut caller = daemon.peer();
    caller.send(single(b"0001", "work", "x"));
    let request = responder.message();
    caller.half_close();
    // It is heard that the half is closed before the answer comes.
    daemon.peer().call("nope", "");
    responder.send([b"R", &request.id[..], b"00000004late"].concat());
    assert_eq!(caller.message().text(), "late");
    assert_eq!(caller.last_words(), "");
}

/// A command's call that a responder has begun: `begin` waits for the request and may answer in part; then the
/// responder goes by `go`. Returns how the command ended.
#[track_caller]
fn loses<T>(
    arguments: &[&str],
    begin: impl FnOnce(&Daemon) -> T,
    go: impl FnOnce(T),
    ready: impl FnOnce(&mut T, &mut Process),
) -> switchboard_tests::Ran {
    let daemon = daemon();
    let mut responder = begin(&daemon);
    let mut call = daemon.spawn(&[&["call"], arguments, &["work", "x"]].concat());
    ready(&mut responder, &mut call);
    let lost = Instant::now();
    go(responder);
    let ran = call.end();
    assert!(lost.elapsed() < QUICK, "it took {:?}", lost.elapsed());
    // Nobody serves it any more, and the daemon is well.
    daemon.until_sessions(0);
    let ops = daemon.run(&["ops"]);
    assert_eq!(ops.status, 0, "{ops:?}");
    assert!(!ops.text().contains("work"), "{ops:?}");
    ran
}

fn serving(daemon: &Daemon) -> Peer {
    daemon.peer().serve("work")
}

#[test]
fn a_responder_that_vanishes_costs_its_caller_a_retry() {
    for going in Going::ALL {
        let called = |peer: &mut Peer, _: &mut Process| assert_eq!(peer.message().name, "work");
        let ran = loses(&[], serving, |peer| going.go(peer), called);
        ran.fails(75, &["try again in"]);
        assert_eq!(ran.text(), "", "{going:?}");
    }
}

#[test]
fn a_responder_that_vanishes_within_a_stream_never_makes_it_look_whole() {
    for going in Going::ALL {
        let answered = |peer: &mut Peer, call: &mut Process| {
            let request = peer.message();
            peer.send([b"S", &request.id[..], b"00000005half\n"].concat());
            assert_eq!(call.line(), "half");
        };
        let ran = loses(&["--stream"], serving, |peer| going.go(peer), answered);
        ran.fails(75, &["switchboard: "]);
        assert_eq!(ran.text(), "", "{going:?}");
    }
}

#[test]
fn a_responder_that_stops_talking_costs_its_caller_a_retry() {
    let called = |peer: &mut Peer, _: &mut Process| assert_eq!(peer.message().name, "work");
    let ran = loses(
        &[],
        serving,
        |mut peer| {
            peer.half_close();
            peer.last_words();
        },
        called,
    );
    ran.fails(75, &["try again in"]);
}

#[test]
fn a_foreign_responder_that_is_killed_costs_its_caller_a_retry() {
    let kill = |process: Process| process.send(Signal::SIGKILL);
    let silent = |daemon: &Daemon| {
        python::start(
            daemon.folder(),
            &["serve", daemon.url(), "work", "--as", "silent"],
        )
    };
    let called = |process: &mut Process, _: &mut Process| assert_eq!(process.line(), "called work");
    loses(&[], silent, kill, called).fails(75, &["try again in"]);

    let half =
        |daemon: &Daemon| python::start(daemon.folder(), &["serve", daemon.url(), "work", "--as", "half"]);
    let answered = |_: &mut Process, call: &mut Process| assert_eq!(call.line(), "half");
    loses(&["--stream"], half, kill, answered).fails(75, &["switchboard: "]);
}

#[test]
fn a_raw_caller_of_a_stream_gets_a_fault_instead_of_its_end() {
    let daemon = daemon();
    let mut responder = daemon.peer().serve("work");
    let mut caller = daemon.peer();
    caller.send(single(b"0001", "work", "x"));
    let request = responder.message();
    responder.send([b"S", &request.id[..], b"00000004half"].concat());
    assert_eq!(caller.message().text(), "half");
    responder.reset();
    let end = caller.message();
    assert!("Ee".contains(end.kind), "{end:?}");
    assert_ne!(end.text(), "");
    assert_eq!(caller.call("nope", "").kind, 'E', "the connection goes on");
}
