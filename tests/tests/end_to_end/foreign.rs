//! A gotalk implementation that knows nothing of this one, in another language.

use switchboard_tests::{Daemon, Launch, Process, python, run};

/// Runs the foreign client to its end.
#[track_caller]
fn foreign(daemon: &Daemon, arguments: &[&str]) -> switchboard_tests::Ran {
    run(&mut python::command(daemon.folder(), arguments), b"")
}

#[track_caller]
fn serving(daemon: &Daemon, arguments: &[&str]) -> Process {
    python::start(daemon.folder(), &[&["serve", daemon.url()], arguments].concat())
}

/// Ways of writing the same bytes, and ids that no text could hold.
const MANNERS: [&[&str]; 5] = [
    &[],
    &["--upper"],
    &["--split"],
    &["--merge"],
    &["--id", "00ff0a80", "--upper", "--merge"],
];

#[test]
fn it_calls_what_a_command_handles() {
    let daemon = Launch::tcp().start();
    let _upper = daemon.handle(&["upper", "--", "tr", "a-z", "A-Z"]);
    for manner in MANNERS {
        let call = ["call", daemon.url(), "upper", "hello, this is longer than ten"];
        let stream = [&call[..], &["--stream"], manner].concat();
        foreign(&daemon, &[&call[..], manner].concat()).is(0, "HELLO, THIS IS LONGER THAN TEN");
        foreign(&daemon, &stream).is(0, "HELLO, THIS IS LONGER THAN TEN");
    }
}

#[test]
fn it_is_called_by_commands() {
    let daemon = Launch::tcp().start();
    for manner in MANNERS {
        let _upper = serving(&daemon, &[&["upper"], manner].concat());
        daemon.run(&["call", "upper", "hello"]).is(0, "HELLO");
        daemon
            .run(&["call", "--stream", "upper", "in parts"])
            .is(0, "IN PARTS");
        daemon.run(&["call", "upper", ""]).is(0, "");
        daemon.run(&["call", "--stream", "upper", ""]).is(0, "");
        drop(_upper);
        daemon.until_sessions(0);
    }
}

#[test]
fn streams_of_megabytes_go_through_it() {
    let daemon = Launch::tcp().start();
    let _upper = serving(&daemon, &["upper"]);
    let lines: String = (0..200_000).map(|number| format!("line {number}\n")).collect();
    let ran = run(
        &mut daemon.command(&["call", "--stream", "upper"]),
        lines.as_bytes(),
    );
    assert_eq!((ran.status, ran.stderr.as_str()), (0, ""));
    assert!(
        ran.text() == lines.to_uppercase(),
        "{} bytes came back",
        ran.stdout.len()
    );
}

#[test]
fn faults_cross_in_both_directions() {
    let daemon = Launch::tcp().start();
    let _error = serving(&daemon, &["failing", "--as", "error"]);
    let _retry = serving(&daemon, &["busy", "--as", "retry"]);
    daemon
        .run(&["call", "failing", "Ann"])
        .fails(1, &["switchboard: not today: Ann\n"]);
    daemon
        .run(&["call", "busy", "Ann"])
        .fails(75, &["later: Ann (try again in 1500 ms)"]);

    let script = "case $(cat) in again) echo later >&2; exit 75;; *) echo never >&2; exit 1;; esac";
    let _moody = daemon.handle(&["moody", "--", "sh", "-c", script]);
    let call = |payload| foreign(&daemon, &["call", daemon.url(), "moody", payload]);
    call("x").is(1, "E never\n");
    call("again").is(1, "e 1000 later\n");
    foreign(&daemon, &["call", daemon.url(), "nobody", "x"]).is(1, "E unknown operation \"nobody\"\n");
}

#[test]
fn it_publishes_to_commands_and_gets_what_they_publish() {
    let daemon = Launch::tcp().listen("unix://s").start();
    let by_socket = format!("unix://{}/s", daemon.folder().display());
    let command = daemon.subscribe(&["home/#", "--count", "3"]);
    let subscriber = python::start(daemon.folder(), &["subscribe", &by_socket, "home/+/lamp", "2"]);
    foreign(&daemon, &["publish", daemon.url(), "home/hall/lamp", "on"]).is(0, "");
    daemon.run(&["publish", "home/hall/door", "open"]).is(0, "");
    daemon.run(&["publish", "home/attic/lamp", "günstig"]).is(0, "");
    command.end().is(
        0,
        "home/hall/lamp\ton\nhome/hall/door\topen\nhome/attic/lamp\tgünstig\n",
    );
    subscriber
        .end()
        .is(0, "home/hall/lamp on\nhome/attic/lamp günstig\n");
}

#[test]
fn two_foreigners_talk_through_the_daemon() {
    let daemon = Launch::tcp().start();
    let _upper = serving(&daemon, &["upper", "--split", "--upper"]);
    for extra in [&[][..], &["--stream"]] {
        let call = [
            &["call", daemon.url(), "upper", "to each other", "--id", "ffffffff"],
            extra,
        ]
        .concat();
        foreign(&daemon, &call).is(0, "TO EACH OTHER");
    }
}
