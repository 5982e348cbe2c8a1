//! Keys, and what is kept when the daemon is not: as `docs/keys.md` says, and as it is when something goes wrong.

use std::{fs, os::unix::fs::symlink, process::Command};

use switchboard_tests::{Daemon, Launch, Ran, Signal, run};

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/keys.md");

/// What stands on the page for the door of the daemon under test.
const DOOR: &str = "http://127.0.0.1:4780";

/// A command of the page, and the lines that it prints.
struct Step {
    command: String,
    printed: Vec<String>,
}

fn steps() -> Vec<Step> {
    let page = fs::read_to_string(PAGE).expect("a page");
    let mut steps: Vec<Step> = Vec::new();
    let mut is_console = false;
    for line in page.lines() {
        match (line, is_console) {
            ("```console", _) => is_console = true,
            ("```", _) => is_console = false,
            (line, true) => match (line.strip_prefix("$ "), steps.last_mut()) {
                (Some(command), _) => steps.push(Step {
                    command: command.to_owned(),
                    printed: Vec::new(),
                }),
                (None, Some(step)) => step.printed.push(line.to_owned()),
                (None, None) => panic!("{line} is printed by nobody"),
            },
            _ => {}
        }
    }
    steps
}

/// Runs a line of the page in the daemon's folder, where its commands find it by themselves.
fn shell(daemon: &Daemon, command: &str) -> Ran {
    let path = std::env::var("PATH").unwrap_or_default();
    let mut shell = Command::new("sh");
    shell
        .args(["-c", command])
        .current_dir(daemon.folder())
        .env_clear()
        .env("PATH", format!("{}/bin:{path}", daemon.folder().display()));
    run(&mut shell, b"")
}

/// Whether a text is as the page says, where `…` stands for anything, also for several lines.
fn is_as_said(text: &str, said: &str) -> bool {
    let mut pieces = said.split('…');
    let Some(mut rest) = pieces.next().and_then(|first| text.strip_prefix(first)) else {
        return false;
    };
    let mut ends_open = true;
    let mut pieces = pieces.peekable();
    if pieces.peek().is_none() {
        return rest.is_empty();
    }
    for piece in pieces {
        match rest.find(piece) {
            Some(at) => rest = rest.get(at + piece.len()..).unwrap_or_default(),
            None => return false,
        }
        ends_open = piece.is_empty();
    }
    ends_open || rest.is_empty()
}

#[test]
fn the_page_is_true() {
    let daemon = Launch::new()
        .set("gotalk", "listen", "unix://{data}/switchboard.sock")
        .set("http", "listen", "http://127.0.0.1:0")
        .start();
    let bin = daemon.folder().join("bin");
    fs::create_dir(&bin).expect("a folder");
    let binary = daemon.command(&[]).get_program().to_owned();
    symlink(binary, bin.join("switchboard")).expect("a link");
    let door = daemon.doors.last().expect("the HTTP door").clone();
    let steps = steps();
    assert!(steps.len() >= 15, "only {} commands were found", steps.len());
    for Step { command, printed } in steps {
        let ran = shell(&daemon, &command.replace(DOOR, &door));
        let text = ran.text().replace("\r\n", "\n").replace("\n\n", "\n");
        let said = printed.join("\n");
        assert!(
            is_as_said(text.trim_end(), &said),
            "$ {command}\nprinted:\n{text}\ninstead of:\n{said}\nstderr: {}",
            ran.stderr
        );
    }
}

/// One write is acknowledged after the other, and then the daemon is killed: each of them is there.
#[test]
fn what_was_acknowledged_under_always_is_there_after_kill_9() {
    let mut daemon = Launch::tcp().arguments(&["--durability", "always"]).start();
    for round in 0..3 {
        for number in 0..5 {
            daemon
                .run(&["put", &format!("{round}/{number}"), &format!("value {number}")])
                .is(0, "");
        }
        daemon
            .run(&["publish", "--retain", "round", &round.to_string()])
            .is(0, "");
        let again = Launch::beside(&daemon).listen("tcp://127.0.0.1:0");
        daemon.process.send(Signal::SIGKILL);
        assert_eq!(daemon.process.end().status, 137);
        daemon = again.arguments(&["--durability", "always"]).start();
        for number in 0..5 {
            daemon
                .run(&["get", &format!("{round}/{number}")])
                .is(0, &format!("value {number}"));
        }
        daemon.run(&["get", "topic:round"]).is(0, &round.to_string());
    }
    assert_eq!(daemon.run(&["keys"]).text().lines().count(), 15);
}

/// A daemon whose state was made under one durability starts under another.
#[test]
fn a_clean_stop_keeps_everything_whatever_the_durability() {
    let mut launch = Launch::tcp();
    for durability in ["second", "never", "always"] {
        let daemon = launch.arguments(&["--durability", durability]).start();
        assert_eq!(daemon.run(&["incr", "starts"]).status, 0);
        launch = Launch::beside(&daemon).listen("tcp://127.0.0.1:0");
        let ran = daemon.stop();
        assert!(ran.stderr.contains("stopped"), "{}", ran.stderr);
    }
    launch.start().run(&["get", "starts"]).is(0, "3");
}

#[test]
fn two_daemons_cannot_have_one_folder() {
    let daemon = Launch::tcp().start();
    let second = Launch::beside(&daemon).listen("tcp://127.0.0.1:0").run();
    second.fails(75, &["is in use by another process"]);
    daemon.run(&["put", "a", "1"]).is(0, "");
    daemon.run(&["get", "a"]).is(0, "1");
}
